"""``querygate demo`` as somebody who tries it for the first time would use it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from rich.console import Console

from gateway.demo.stage import set_up
from gateway.demo.tour import play
from gateway.testing.servers import MariaDbServer, MongoServer, PostgresServer, ServerUnavailable
from gateway.testing.servers.ports import free_port
from tests.adversity.bed import FIGURES
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def demo(
    postgres_server: PostgresServer, mariadb_server: MariaDbServer, mongo_server: MongoServer, tmp_path: Path
) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"TMPDIR": str(tmp_path), "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
    tmp_path.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "demo", "--port", str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def _instructions(demo: subprocess.Popen[str]) -> str:
    assert demo.stdout is not None
    lines: list[str] = []
    for line in demo.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    return "".join(lines)


def _family(pid: int) -> list[int]:
    """A process's descendants."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *_family(int(child))]
    return found


def test_what_it_prints_works_and_nothing_is_left(demo: subprocess.Popen[str]) -> None:
    shown = _instructions(demo)
    lines = [line for line in shown.splitlines() if line.startswith("PGPASSWORD=")]
    assert len(lines) == 4, shown
    change = lines.pop()
    for line, is_masked in zip(lines, (True, False, True), strict=True):
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        assert "(3 rows)" in done.stdout
        assert ("@" not in done.stdout) is is_masked, done.stdout
    (other,) = [line for line in shown.splitlines() if line.startswith("MYSQL_PWD=")]
    done = subprocess.run(["/bin/sh", "-c", other], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "****" in done.stdout
    assert "@" not in done.stdout, done.stdout
    (documents,) = [shlex.split(line) for line in shown.splitlines() if line.startswith("mongosh ")]
    with MongoClient[dict[str, Any]](documents[1]) as client:
        (customer,) = client.shop.customers.find().limit(1)
    assert customer["contact"]["email"] == "****"
    waiting = subprocess.Popen(["/bin/sh", "-c", change], stdout=-1, stderr=subprocess.STDOUT, text=True)
    login, listing, approving = re.findall(r"^export .*$|^\S+ approvals .*$", shown, re.MULTILINE)

    def request() -> str | None:
        done = subprocess.run(["/bin/sh", "-c", f"{login}; {listing}"], capture_output=True, text=True, timeout=30)
        found = re.search(r"^(\w+) +pending .* ALTER TABLE", done.stdout, re.MULTILINE)
        return found and found[1]

    identifier = eventually(request)
    assert identifier is not None
    yes = f"{login}; {approving.replace('ID', identifier)}"
    assert subprocess.run(["/bin/sh", "-c", yes], timeout=30, check=False).returncode == 0
    assert f"request {identifier}" in (told := waiting.communicate(timeout=30)[0]), told
    assert told.endswith("ALTER TABLE\n")
    verify = next(line for line in shown.splitlines() if "audit verify" in line)
    done = subprocess.run(["/bin/sh", "-c", verify], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr

    folder = Path(re.search(r"Configuration: (\S+)/querygate.yaml", shown)[1])  # type: ignore[index]
    family = _family(demo.pid)
    assert folder.is_dir()
    assert len(family) >= 4, "keepers, the gateway and the database"
    os.killpg(demo.pid, signal.SIGINT)  # what a terminal does for Ctrl-C
    assert demo.wait(timeout=50) == 0
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    assert not folder.exists()


def test_killed_it_leaves_no_process(demo: subprocess.Popen[str]) -> None:
    shown = _instructions(demo)
    family = _family(demo.pid)
    demo.kill()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), within=20)
    folder = Path(re.search(r"Configuration: (\S+)/querygate.yaml", shown)[1])  # type: ignore[index]
    shutil.rmtree(folder, ignore_errors=True)


def test_the_tour_keeps_its_promises(
    postgres_server: PostgresServer, mariadb_server: MariaDbServer, mongo_server: MongoServer
) -> None:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "demo", "--tour"], capture_output=True, text=True, timeout=80
    )
    FIGURES.info(f"tour: {time.monotonic() - start:.1f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promises kept" in done.stdout
    assert "✗" not in done.stdout
    assert "MariaDB's are in the same trail" in done.stdout
    assert "and so are MongoDB's" in done.stdout


def test_without_the_others_the_tour_says_so_and_goes_on(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_mariadb(*_: object, **__: object) -> MariaDbServer:
        raise ServerUnavailable("no MariaDB here; try: apt-get install mariadb-server")

    def no_mongodb(*_: object, **__: object) -> MongoServer:
        raise ServerUnavailable("no mongod here")

    monkeypatch.setattr(MariaDbServer, "start", no_mariadb)
    monkeypatch.setattr(MongoServer, "start", no_mongodb)
    console = Console(record=True, width=200)
    with set_up(port=free_port()) as stage:
        assert play(stage, console) == 0
    text = console.export_text()
    assert "left out: no MariaDB here; try: apt-get install mariadb-server" in text
    assert "left out: no mongod here" in text
    assert "promises kept" in text
