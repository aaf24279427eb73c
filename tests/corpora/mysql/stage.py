"""What the corpora run on: a MariaDB, the vault database, a gateway with two people under masks."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import yaml

from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import MariaDbServer
from gateway.testing.servers.ports import free_port
from tests.corpora.canaries import TEXTS, substitutions
from tests.corpora.mysql.wire import Client
from tests.corpora.stage import MASKED, STRICT, fix_masks

_FOLDER = Path(__file__).parent
_PLACE = re.compile(r"\$\{(\w+)\}")
_RESOURCE = "vault"
LABELS: dict[str, tuple[str, ...]] = {
    "pii.contact": ("customers.email", "customers.phone", "customers.contact", "customers.aliases", "staff.home_email"),
    "pii.identity": ("customers.tax_number", "customers.born", "customers.ref_uuid", "customers.level"),
    "pci.card": ("customers.card",),
    "finance.amount": ("customers.income", "customers.balance", "customers.credit", "staff.salary"),
    "secret.content": (
        *("customers.secret_doc", "customers.key_material", "documents.body", "visits.visitor", "kept.body"),
        *("tickets.ticket_key", "lockers.pin", "lockers.code", "old_mails.mail"),
    ),
}
_MASKS: dict[str, tuple[list[str], dict[str, object]]] = {
    "wholly": (["pii.contact", "secret.*"], {"function": "redact"}),
    "partly": (["pci.card"], {"function": "partial", "last": 4}),
    "hashed": (["pii.identity"], {"function": "hash"}),
    "rounded": (["finance.amount"], {"function": "round", "to": 100_000}),
}
_SETTINGS = {
    "innodb_flush_log_at_trx_commit": "0",
    "innodb_buffer_pool_size": "32M",
    "performance_schema": "ON",
    "secure_file_priv": "",
    "event_scheduler": "OFF",
    "log_bin": "OFF",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A running stage. Both people have the same password."""

    server: MariaDbServer
    gateway: GatewayProcess
    port: int
    password: str
    script: tuple[str, ...]
    _making: threading.Lock

    def masked(self, database: str, user: str = MASKED) -> Client:
        """A session through the gateway."""
        return Client(self.port, user, self.password, f"{_RESOURCE}/{database}")

    def direct(self, database: str) -> Client:
        """A session at the server itself, as the account that the gateway uses."""
        return Client(self.server.port, self.server.superuser, self.server.password, database)

    def owner(self, database: str | None = None) -> Any:
        """A driver's connection at the server itself."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.server.port,
            user=self.server.superuser,
            password=self.server.password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,  # its context would read all of the system's authorities, for each connection anew
        )

    def renew(self, database: str) -> None:
        """Make the database anew, as it was in the beginning."""
        with self._making, self.owner() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SET GLOBAL general_log = 0, GLOBAL log_output = 'FILE', GLOBAL innodb_ft_aux_table = DEFAULT"
            )
            cursor.execute("SET GLOBAL init_connect = ''")
            cursor.execute("DROP DATABASE IF EXISTS elsewhere")
            cursor.execute(f"DROP DATABASE IF EXISTS {database}")
            cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
            cursor.execute(f"USE {database}")
            for statement in self.script:
                cursor.execute(statement)


@contextmanager
def set_up(*databases: str) -> Iterator[Stage]:
    """Start everything with these copies of the vault. All of it is gone afterwards."""
    memory = Path("/dev/shm")
    fast = memory if memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30 else None
    folder = Path(tempfile.mkdtemp(prefix="querygate-corpora-", dir=fast))
    try:
        folder.chmod(0o755)
        values = substitutions()
        script = _PLACE.sub(lambda found: values[found[1]], (_FOLDER / "vault.sql").read_text())
        with MariaDbServer.start(folder / "server", settings=_SETTINGS) as server:
            password = secrets.token_urlsafe(24)
            port = free_port()
            config = folder / "querygate.yaml"
            config.write_text(yaml.safe_dump(_configuration(server, port, folder, databases)))
            fix_masks(folder)
            environment = {"PERSON_TOKEN": password, "OWNER_PASSWORD": server.password}
            with GatewayProcess.start(config, ports=[port], environment=environment) as gateway:
                statements = tuple(part for part in script.split(";\n") if part.strip())
                stage = Stage(server, gateway, port, password, statements, threading.Lock())
                for database in databases:
                    stage.renew(database)
                yield stage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configuration(server: MariaDbServer, port: int, folder: Path, databases: tuple[str, ...]) -> dict[str, object]:
    return {
        "data_dir": str(folder / "data"),
        "listeners": {"mysql": f"127.0.0.1:{port}"},
        "tls": {"mode": "disable"},
        "resources": [
            {
                "name": _RESOURCE,
                "protocol": "mysql",
                "address": f"127.0.0.1:{server.port}",
                "credentials": {"username": server.superuser, "password": {"env": "OWNER_PASSWORD"}},
                "tls": {"mode": "disable"},
            }
        ],
        "principals": [
            {"name": MASKED, "groups": ["analysts"], "token": {"env": "PERSON_TOKEN"}},
            {"name": STRICT, "groups": ["analysts", "strict"], "token": {"env": "PERSON_TOKEN"}},
        ],
        "classifications": [
            {"resource": _RESOURCE, "label": label, "columns": [f"{d}.{c}" for d in databases for c in columns]}
            for label, columns in LABELS.items()
        ],
        # Policies that allow everything there is: only the masks are left to hold.
        "policies": [
            {"name": "everything", "effect": "allow", "match": {"actions": ["*", "function_call", "replicate"]}},
            *(
                {"name": f"hide-{function}", "effect": "mask", "match": {"labels": labels}, "mask": mask}
                for function, (labels, mask) in _MASKS.items()
            ),
            {
                "name": "hide-strictly",
                "effect": "mask",
                "match": {"labels": ["*"], "groups": ["strict"]},
                "mask": {"function": "redact"},
                "inference": "deny",
            },
        ],
        "audit": {"durability": {"write": "buffered", "read": "buffered"}},
    }


def gossip(stage: Stage, database: str) -> Any:
    """Somebody else's session, which waits in a statement that has a canary in its text."""
    connection = stage.owner(database)
    connection._execute_command(3, f"SELECT sleep(3600), '{TEXTS['email_1']}'")
    return connection
