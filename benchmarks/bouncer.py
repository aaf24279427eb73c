"""PgBouncer in session mode: the yardstick."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Self

from benchmarks.data import DATABASE, ROLE
from gateway.testing.servers import ServerFailed, ServerUnavailable
from gateway.testing.servers.account import server_account
from gateway.testing.servers.places import temporary_folder
from gateway.testing.servers.ports import free_port, listening
from gateway.testing.servers.process import Program, ServerProcess, StopMode, log_tail

_PLACES = ("/usr/sbin/pgbouncer", "/usr/local/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer")
_SIGNALS = {
    StopMode.SMART: signal.SIGINT,
    StopMode.FAST: signal.SIGTERM,
    StopMode.IMMEDIATE: signal.SIGKILL,
}


def find_pgbouncer() -> str:
    """The program; ``ServerUnavailable`` says how to get it."""
    found = shutil.which("pgbouncer") or next((place for place in _PLACES if Path(place).is_file()), None)
    if found is None:
        raise ServerUnavailable("no pgbouncer on the PATH; on Debian: apt-get install pgbouncer")
    return found


class PgBouncer:
    """A running PgBouncer on 127.0.0.1, without TLS, with SCRAM on both sides. A context manager."""

    def __init__(self, upstream_port: int, password: str) -> None:
        program = find_pgbouncer()
        account = server_account("postgres", "nobody")
        self._folder = temporary_folder(account, "querygate-pgbouncer-")
        self.port = free_port()
        users = self._folder / "users.txt"
        users.write_text(f'"{ROLE}" "{password}"\n')
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(
            f"""\
[databases]
{DATABASE} = host=127.0.0.1 port={upstream_port} dbname={DATABASE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = session
max_client_conn = 100
default_pool_size = 50
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
stats_period = 3600
"""
        )
        for file in (users, settings):
            file.chmod(0o600)
            account.own(file)
        log = self._folder / "pgbouncer.log"
        self._process = ServerProcess(
            Program(
                command=(program, str(settings)),
                environment={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
                log=log,
                pid_file=self._folder / "pgbouncer.pid",
                signals=_SIGNALS,
            ),
            account,
        )
        self.pid = self._process.pid
        deadline = time.monotonic() + 10
        while not listening(self.port):
            if not self._process.running() or time.monotonic() > deadline:
                raise ServerFailed(f"pgbouncer did not start\n{log_tail(log)}")
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop(StopMode.FAST)
        shutil.rmtree(self._folder, ignore_errors=True)
