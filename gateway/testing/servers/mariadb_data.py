"""MariaDB data directories: made once for each version, then copied."""

from __future__ import annotations

import os
import secrets
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.testing.servers.account import Account
from gateway.testing.servers.certificates import CertificateFiles
from gateway.testing.servers.errors import ServerFailed
from gateway.testing.servers.installation import Installation
from gateway.testing.servers.mariadb_finder import plugin_folder, server_program, share_folder
from gateway.testing.servers.places import cache_folder, copy_tree, prepared
from gateway.testing.servers.text import mysql_literal

SUPERUSER = "root"

# As mariadb-install-db runs them.
_SCRIPTS = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "fill_help_tables.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
)
# Fast because nothing in it has to survive a crash of the machine; steady because no setting comes from the machine.
_SETTINGS: Mapping[str, str] = {
    "bind_address": "127.0.0.1",
    "skip_name_resolve": "ON",
    "skip_log_bin": "ON",
    "innodb_flush_log_at_trx_commit": "0",
    "innodb_doublewrite": "OFF",
    "innodb_buffer_pool_size": "64M",
    "innodb_log_file_size": "16M",
    "innodb_fast_shutdown": "1",
    "max_connections": "300",
    "max_allowed_packet": "64M",
    "default_time_zone": "+00:00",
    "character_set_server": "utf8mb4",
    "collation_server": "utf8mb4_general_ci",
    "feedback": "OFF",
}


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A data directory and its superuser's password."""

    data: Path
    password: str


def create_data(directory: Path, installation: Installation, account: Account) -> DataDirectory:
    """Make ``directory/data`` from the template for this installation. An existing one is taken as it is."""
    data, secret = directory / "data", directory / "superuser.password"
    if not (data / "mysql").exists():
        template = _template(installation, account)
        shutil.copyfile(template / "password", secret)
        secret.chmod(0o600)
        copy_tree(template / "data", data)
    return DataDirectory(data, secret.read_text().strip())


def configure(
    place: DataDirectory,
    installation: Installation,
    account: Account,
    *,
    port: int,
    settings: Mapping[str, str],
    certificates: CertificateFiles | None,
) -> Path:
    """Write what depends on this start and return the option file. ``settings`` win over everything else."""
    chosen = dict(_SETTINGS) | _paths(installation, place.data) | {"port": str(port)}
    chosen |= {"socket": str(place.data / "server.sock"), "pid_file": str(place.data / "server.pid")}
    # A server that starts removes every temporary table in this folder, also those of other servers that use it.
    scratch = place.data.with_name("tmp")
    scratch.mkdir(mode=0o700, exist_ok=True)
    account.own(scratch)
    chosen["tmpdir"] = str(scratch)
    if certificates is not None:
        chosen |= {
            "ssl_ca": str(certificates.ca),
            "ssl_cert": str(certificates.certificate),
            "ssl_key": str(certificates.key),
            "tls_version": "TLSv1.2,TLSv1.3",
        }
    chosen |= settings
    options = place.data / "server.cnf"
    options.write_text("[mariadbd]\n" + "".join(f"{name} = {value}\n" for name, value in chosen.items()))
    account.own(options)
    return options


def _paths(installation: Installation, data: Path) -> dict[str, str]:
    return {
        "basedir": str(installation.bindir.parent),
        "datadir": str(data),
        "lc_messages_dir": str(share_folder(installation)),
        "character_sets_dir": str(share_folder(installation) / "charsets"),
        "plugin_dir": str(plugin_folder(installation)),
    }


def _template(installation: Installation, account: Account) -> Path:
    build = zlib.crc32(os.fsencode(installation.bindir))  # two builds of one version may differ
    name = f"mariadb-{'.'.join(map(str, installation.version))}-{build:08x}-{account.uid}"
    return prepared(cache_folder(account), name, lambda target: _initialise(target, installation, account))


def _initialise(target: Path, installation: Installation, account: Account) -> None:
    password, data = secrets.token_urlsafe(24), target / "data"
    secret = target / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    data.mkdir(mode=0o700)
    account.own(data)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in _paths(installation, data).items()]
    options += ["--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0", "--enforce-storage-engine="]
    command: list[str | Path] = [server_program(installation), "--no-defaults", "--bootstrap", *options]
    done = account.run(
        command, environment=installation.environment(), timeout=120, text=_script(installation, password)
    )
    if done.returncode:
        raise ServerFailed(f"mariadbd --bootstrap failed\n{done.stdout.strip()[-2000:]}")


def _script(installation: Installation, password: str) -> str:
    """System tables, and one account that may do everything. No anonymous account and no login by socket.

    In a bootstrap, a statement ends with the line that ends with a semicolon.
    """
    folder = share_folder(installation)
    return "\n".join(
        [
            "CREATE DATABASE IF NOT EXISTS mysql;",
            "USE mysql;",
            "SET @auth_root_socket = NULL;",
            *((folder / name).read_text("utf-8") for name in _SCRIPTS),
            "DELETE FROM mysql.global_priv WHERE User IN ('', 'root');",
            "FLUSH PRIVILEGES;",
            f"CREATE USER {SUPERUSER}@'%' IDENTIFIED BY {mysql_literal(password)};",
            f"GRANT ALL PRIVILEGES ON *.* TO {SUPERUSER}@'%' WITH GRANT OPTION;",
            "",
        ]
    )
