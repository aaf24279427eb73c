"""A held statement, decided from a terminal: a real psql-like client, a real control plane, the command line."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.control_plane import PASSWORD, ControlPlane, restart
from tests.fixtures.gateway import ADMIN, SUPPORT
from tests.fixtures.waiting import eventually
from tests.integration.control_plane.test_cli import querygate


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, control_plane: ControlPlane) -> Iterator[Path]:
    """An approver's home, logged in; deletions wait for the admins meanwhile."""
    policy = {
        "name": "deletions-wait",
        "effect": "require_approval",
        "match": {"groups": ["support"], "actions": ["delete"]},
        "approval": {"approvers": ["admins"], "timeout": "90s"},
    }
    control_plane.ask("POST", "/v1/policies", policy, 201)
    folder = tmp_path_factory.mktemp("approver")
    (folder / "password").write_text(PASSWORD + "\n")
    done = querygate(folder, "login", control_plane.url, "--name", ADMIN, "--password-file", "password")
    assert done.returncode == 0, done.stderr
    yield folder
    control_plane.ask("DELETE", "/v1/policies/deletions-wait", status=204, **{"If-Match": "*"})


@pytest.mark.timeout(240)
def test_looking_and_deciding_from_a_terminal(control_plane: ControlPlane, home: Path) -> None:
    def delete() -> str:
        with psycopg.connect(control_plane.conninfo(SUPPORT), autocommit=True) as session:
            return session.execute("DELETE FROM orders WHERE id = -1").statusmessage or ""

    def pending() -> str:
        found = control_plane.ask("GET", "/v1/approvals?state=pending")["items"]
        return str(found[0]["id"]) if found else ""

    with ThreadPoolExecutor(2) as threads:
        statement: Future[str] = threads.submit(delete)
        request = eventually(pending, within=60)
        listed = querygate(home, "approvals", "list")
        assert request in listed.stdout
        assert SUPPORT in listed.stdout
        shown = querygate(home, "approvals", "show", request)
        assert "bounded by  a predicate" in shown.stdout, shown.stderr
        assert "DELETE FROM orders WHERE id = -1" in shown.stdout
        done = querygate(home, "approvals", "approve", request, "--reason", "nothing is deleted")
        assert done.stdout.strip().startswith(f"request {request} is approved"), done.stderr
        assert statement.result(30) == "DELETE 0"
        late = querygate(home, "approvals", "reject", request)
        assert late.returncode == 2
        assert "nothing is left to decide" in late.stderr
        none = querygate(home, "approvals", "show", "")
        assert none.returncode == 2
        assert "the id is empty" in none.stderr

        statement = threads.submit(delete)
        request = eventually(pending, within=60)
        rejected = querygate(home, "approvals", "reject", request, "--reason", "not today")
        assert rejected.returncode == 0, rejected.stderr
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="not today"):
            statement.result(30)
    everything = json.loads(querygate(home, "approvals", "list", "--state", "all", "--json").stdout)
    assert {item["state"] for item in everything} == {"used", "rejected"}


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[1;1H\u202e"
LONG = f"DELETE FROM orders WHERE id IN ({', '.join(str(-number) for number in range(1, 200))}) /* {HOSTILE} */"


class Terminal:
    """A program on a terminal of 80 columns."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        known = {name: value for name, value in os.environ.items() if not name.startswith(("QUERYGATE_", "COLUMNS"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", *arguments],
            cwd=folder,
            env={**known, "HOME": str(folder), "XDG_CONFIG_HOME": "", "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.shown = ""

    def until(self, text: str, seconds: float = 60) -> None:
        """Read until it shows a text."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert self.read(deadline - time.monotonic()), f"{text!r} is not in {self.shown!r}"

    def read(self, seconds: float) -> bool:
        """Read what there is; False where there is nothing more."""
        if not select.select([self._ours], [], [], max(0.0, seconds))[0]:
            return False
        try:
            read = os.read(self._ours, 65536)
        except OSError:  # as the end of a terminal is told
            return False
        self.shown += read.decode()
        return bool(read)

    def type(self, text: str) -> None:
        """What somebody types."""
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self.read(60):
            pass
        code = self.process.wait(60)
        os.close(self._ours)
        return code


def uncoloured(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)


def steers(shown: str) -> bool:
    """Whether anything but colours reached the terminal."""
    return bool(re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]", uncoloured(shown)))


@pytest.fixture
def waiting(control_plane: ControlPlane, home: Path) -> Iterator[str]:
    """The id of a request with a statement that means no good to who looks at it."""
    with psycopg.connect(control_plane.conninfo(SUPPORT), autocommit=True) as session, ThreadPoolExecutor(1) as threads:
        statement = threads.submit(session.execute, LONG)
        found = eventually(lambda: control_plane.ask("GET", "/v1/approvals?state=pending")["items"], within=60)
        yield str(found[0]["id"])
        session.cancel_safe()
        with pytest.raises(psycopg.Error):
            statement.result(60)


@pytest.mark.timeout(240)
def test_what_a_requester_wrote_steers_nobodys_terminal(home: Path, waiting: str) -> None:
    for command in (("list",), ("show", waiting), ("list", "--json")):
        terminal = Terminal(home, "approvals", *command)
        assert terminal.end() == 0
        assert waiting in terminal.shown
        assert not steers(terminal.shown), terminal.shown
    shown = querygate(home, "approvals", "show", waiting).stdout
    assert not steers(shown)
    assert "    DELETE FROM orders WHERE id IN (-1, -2" in shown
    assert shown.count("-199") == 1, "an approver sees all of it"


@pytest.mark.timeout(240)
def test_a_list_fits_the_terminal_and_stays_whole_in_a_pipe(home: Path, waiting: str) -> None:
    terminal = Terminal(home, "approvals", "list")
    assert terminal.end() == 0
    lines = uncoloured(terminal.shown).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 10
    heading, *rows = querygate(home, "approvals", "list").stdout.splitlines()
    assert heading.split() == ["ID", "STATE", "LEFT", "WHO", "RESOURCE", "WAITS", "FOR", "WHAT"]
    (row,) = [row for row in rows if row.startswith(waiting)]
    assert "-199" in row
    unknown = querygate(home, "approvals", "list", "--state", "open")
    assert unknown.returncode == 2
    assert "pending" in unknown.stderr


@pytest.mark.timeout(240)
def test_watching_outlives_the_control_plane_and_ends_with_ctrl_c(
    control_plane: ControlPlane, control_stack: ExitStack, home: Path
) -> None:
    terminal = Terminal(home, "approvals", "watch")

    def delete() -> None:
        with psycopg.connect(control_plane.conninfo(SUPPORT), autocommit=True) as session:
            session.execute("DELETE FROM orders WHERE id = -5")

    def pending() -> str:
        found = control_plane.ask("GET", "/v1/approvals?state=pending")["items"]
        return str(found[0]["id"]) if found else ""

    with ThreadPoolExecutor(1) as threads:
        for restarted in (False, True):
            if restarted:
                control_plane.process.kill()
                terminal.until("cannot be reached")
                restart(control_plane, control_stack)
                terminal.until("the API answers again")
            statement = threads.submit(delete)
            request = eventually(pending, within=60)
            terminal.until(f"{request}  pending")
            control_plane.ask("POST", f"/v1/approvals/{request}/decision", {"decision": "reject"})
            terminal.until(f"{request}  rejected")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                statement.result(60)
    terminal.type("\x03")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.shown
    assert terminal.shown.count("cannot be reached") == 1


@pytest.mark.timeout(240)
def test_watching_ends_with_the_login(control_plane: ControlPlane, tmp_path: Path, waiting: str) -> None:
    made = {"name": "watcher@example.com", "password": PASSWORD, "roles": ["approver"]}
    path = f"/v1/admins/{control_plane.ask('POST', '/v1/admins', made, 201)['id']}"
    (tmp_path / "password").write_text(PASSWORD + "\n")
    login = ("login", control_plane.url, "--name", "watcher@example.com", "--password-file", "password")
    assert querygate(tmp_path, *login).returncode == 0
    terminal = Terminal(tmp_path, "approvals", "watch", "--json")
    terminal.until(waiting)
    control_plane.ask("PATCH", path, {"disabled": True}, 200, **{"If-Match": "*"})
    assert terminal.end() == 2
    assert "run querygate login again" in terminal.shown


@pytest.mark.timeout(240)
def test_watching_ends_quietly_with_who_reads_it(control_plane: ControlPlane, home: Path, waiting: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "approvals", "watch", "--json"],
        cwd=home,
        env={**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert json.loads(watching.stdout.readline())["id"] == waiting
        watching.stdout.close()
        control_plane.ask("POST", f"/v1/approvals/{waiting}/decision", {"decision": "reject"})
        assert watching.wait(60) == 1
        assert watching.stderr.read() == b""
