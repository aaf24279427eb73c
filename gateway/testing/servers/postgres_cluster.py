"""PostgreSQL data directories: made once for each version, then copied."""

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
from gateway.testing.servers.places import cache_folder, copy_tree, prepared

SUPERUSER = "postgres"

# Fast because nothing in it has to survive a crash of the machine; steady because no setting comes from the machine.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "1GB",
    "max_connections": "200",
    "max_prepared_transactions": "10",
    "wal_level": "logical",
    "autovacuum_naptime": "5min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "logging_collector": "off",
    "update_process_title": "off",
}
_HOST_ACCESS = """\
# type  database     user  address       method
host    all          all   127.0.0.1/32  scram-sha-256
host    replication  all   127.0.0.1/32  scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data directory and its superuser's password."""

    data: Path
    password: str


def create_cluster(directory: Path, installation: Installation, account: Account) -> Cluster:
    """Make ``directory/data`` from the template for this installation. An existing one is taken as it is."""
    data, secret = directory / "data", directory / "superuser.password"
    if not (data / "PG_VERSION").exists():
        template = _template(installation, account)
        shutil.copyfile(template / "password", secret)
        secret.chmod(0o600)
        copy_tree(template / "data", data)
    return Cluster(data, secret.read_text().strip())


def configure(
    cluster: Cluster, account: Account, port: int, settings: Mapping[str, str], certificates: CertificateFiles | None
) -> None:
    """Write what depends on this start. ``settings`` win over everything else."""
    chosen = dict(_SETTINGS) | {"port": str(port), "ssl": "off"}
    if certificates is not None:
        chosen |= {
            "ssl": "on",
            "ssl_cert_file": str(certificates.certificate),
            "ssl_key_file": str(certificates.key),
            "ssl_min_protocol_version": "TLSv1.2",
        }
    chosen |= settings
    text = "".join(f"{name} = {_quoted(value)}\n" for name, value in chosen.items())
    _write(cluster.data / "postgresql.conf", text, account)
    _write(cluster.data / "pg_hba.conf", _HOST_ACCESS, account)


def _write(path: Path, text: str, account: Account) -> None:
    path.write_text(text)
    account.own(path)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _template(installation: Installation, account: Account) -> Path:
    build = zlib.crc32(os.fsencode(installation.bindir))  # two builds of one version may differ
    name = f"postgres-{'.'.join(map(str, installation.version))}-{build:08x}-{account.uid}"
    return prepared(cache_folder(account), name, lambda target: _initialise(target, installation, account))


def _initialise(target: Path, installation: Installation, account: Account) -> None:
    password, data = secrets.token_urlsafe(24), target / "data"
    secret = target / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    data.mkdir(mode=0o700)
    account.own(data, secret)
    command: list[str | Path] = [
        installation.bindir / "initdb",
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={secret}",
    ]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=4", "--no-sync"]
    done = account.run(command, environment=installation.environment(), timeout=120)
    if done.returncode:
        raise ServerFailed(f"initdb failed\n{done.stdout.strip()[-2000:]}")
    if account.dropped:
        os.chown(secret, os.geteuid(), os.getegid())
