"""A real MariaDB: reachable as promised, safe to stop and kill, gone when its owner is."""

from __future__ import annotations

import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import pymysql
import pytest

from gateway.testing.servers import MariaDbServer, ServerFailed, ServerUnavailable
from gateway.testing.servers.mariadb_finder import BASEDIR_VARIABLE
from tests.fixtures.mariadb import start_mariadb
from tests.fixtures.waiting import eventually


def test_a_driver_logs_in_with_verified_tls(mariadb_server: MariaDbServer) -> None:
    connection = pymysql.connect(
        host="localhost",
        port=mariadb_server.port,
        user=mariadb_server.superuser,
        password=mariadb_server.password,
        ssl=ssl.create_default_context(cafile=str(mariadb_server.ca_path)),
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        assert cursor.fetchone() == ("Ssl_version", "TLSv1.3")


def test_a_wrong_password_is_refused(mariadb_server: MariaDbServer) -> None:
    with pytest.raises(ServerFailed, match="Access denied"):
        mariadb_server.sql("SELECT 1", password="wrong")


def test_nobody_else_can_log_in(mariadb_server: MariaDbServer) -> None:
    told = mariadb_server.sql("SELECT User FROM mysql.global_priv WHERE User IN ('', 'root')")
    assert told == "root\n"


def test_names_and_passwords_are_quoted_and_plugins_installed(mariadb_server: MariaDbServer) -> None:
    user, password, database = "o'brien\\", "it's; \\ DROP", "my `data`"
    mariadb_server.create_user(user, "first")
    mariadb_server.create_user(user, password, grants="ALL ON *.*")
    mariadb_server.create_database(database)
    told = mariadb_server.sql("SELECT DATABASE()", database=database, user=user, password=password)
    assert told == f"{database}\n"
    mariadb_server.drop_database(database)
    mariadb_server.create_user("elliptic", password, plugin="ed25519")
    told = mariadb_server.sql("SELECT plugin FROM mysql.user WHERE user = 'elliptic'")
    assert told == "ed25519\n"
    assert mariadb_server.sql("SELECT 1", user="elliptic", password=password) == "1\n"


def test_a_failing_script_stops_and_tells_the_error(mariadb_server: MariaDbServer) -> None:
    with pytest.raises(ServerFailed, match="nonsense"):
        mariadb_server.sql("SELECT nonsense; SELECT 1")


def test_the_server_is_not_run_by_root_and_listens_on_loopback_only(mariadb_server: MariaDbServer) -> None:
    assert Path(f"/proc/{mariadb_server.pid}").stat().st_uid != 0
    sockets = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    listeners = [line.split()[1] for line in sockets.splitlines() if f":{mariadb_server.port:04X} " in line]
    assert [entry for entry in listeners if entry.endswith(f":{mariadb_server.port:04X}")]
    assert all(entry.startswith(("0100007F:", "0000000000000000FFFF00000100007F:")) for entry in listeners)


def test_data_survives_kill_and_restart_and_goes_with_the_context() -> None:
    with start_mariadb(settings={"sort_buffer_size": "3M", "innodb_flush_log_at_trx_commit": "1"}) as server:
        port, directory = server.port, server.directory
        server.sql("CREATE DATABASE kept; CREATE TABLE kept.t AS SELECT 7 AS n")
        server.kill()
        assert not server.running()
        server.restart()
        assert server.sql("SELECT n, @@sort_buffer_size FROM kept.t") == f"7\t{3 << 20}\n"
        server.stop("fast")
        server.restart()
        assert server.port == port
        assert "Normal shutdown" in server.log()
    assert not directory.exists()


def test_a_given_directory_is_used_again() -> None:
    with start_mariadb() as scratch:
        directory = scratch.directory.with_name(scratch.directory.name + "-kept")
    try:
        with MariaDbServer.start(directory) as server:
            server.sql("CREATE DATABASE kept")
        with MariaDbServer.start(directory) as server:
            assert "kept" in server.sql("SHOW DATABASES").split()
    finally:
        subprocess.run(["rm", "-rf", str(directory)], check=True)


def test_a_server_that_starts_leaves_temporary_tables_of_others_alone(mariadb_server: MariaDbServer) -> None:
    """It clears its folder for them, which many servers on one machine would share."""
    connection = pymysql.connect(
        host="127.0.0.1", port=mariadb_server.port, user="root", password=mariadb_server.password, database="mysql"
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE held (words text) ENGINE = Aria")
        with start_mariadb(tls=False) as other:
            assert other.sql("SELECT 1") == "1\n"
        cursor.execute("DROP TEMPORARY TABLE held")


def test_a_wrong_setting_is_told_with_the_log() -> None:
    with pytest.raises(ServerFailed, match="no_such_setting"):
        start_mariadb(settings={"no_such_setting": "1"})


def test_without_tls_when_asked() -> None:
    with start_mariadb(tls=False) as server:
        assert not server.tls
        assert server.ca_path is None
        assert server.sql("SELECT @@have_ssl") == "DISABLED\n"


def test_a_missing_version_is_told_with_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServerUnavailable) as caught:
        MariaDbServer.find(version=3)
    assert "no MariaDB 3 on this machine" in str(caught.value)
    assert "apt-get install mariadb-server" in str(caught.value)
    assert BASEDIR_VARIABLE in str(caught.value)


def test_the_server_and_its_data_go_when_the_owner_is_killed() -> None:
    program = """
        import os
        from gateway.testing.servers import MariaDbServer
        server = MariaDbServer.start()
        print(server.pid, server.directory, flush=True)
        os.kill(os.getpid(), 9)
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=40, check=False
    ).stdout.split()
    eventually(lambda: not (Path(f"/proc/{told[0]}").exists() or Path(told[1]).exists()), told=lambda: told)
