"""What the corpora run on: a server, the vault database, a gateway with two people under masks."""

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

import psycopg
import yaml

from gateway.masking.keys import load_or_create_key
from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import PostgresServer
from gateway.testing.servers.ports import free_port
from tests.corpora.canaries import TEXTS, substitutions
from tests.corpora.wire import Client

MASKED, STRICT = "ana@example.com", "eve@example.com"
"""Who may infer, and who may not. Both may do everything else that a policy can allow."""

_FOLDER = Path(__file__).parent
_PLACE = re.compile(r"\$\{(\w+)\}")
_TEMPLATE = "vault"
_RESOURCE = "vault"
LABELS: dict[str, tuple[str, ...]] = {
    "pii.contact": ("customers.email", "customers.phone", "customers.contact", "customers.aliases", "staff.home_email"),
    "pii.identity": ("customers.tax_number", "customers.born", "customers.ref_uuid", "customers.level"),
    "pii.place": ("homes.place",),
    "pci.card": ("customers.card",),
    "finance.amount": ("customers.income", "customers.balance", "customers.credit", "staff.salary"),
    "secret.content": (
        *("customers.secret_doc", "customers.key_material", "documents.body", "visits.visitor"),
        *("tickets.ticket_key", "lockers.pin", "lockers.code"),
    ),
}
_MASKS: dict[str, tuple[list[str], dict[str, object]]] = {
    "wholly": (["pii.contact", "pii.place", "secret.*"], {"function": "redact"}),
    "partly": (["pci.card"], {"function": "partial", "last": 4}),
    "hashed": (["pii.identity"], {"function": "hash"}),
    "rounded": (["finance.amount"], {"function": "round", "to": 100_000}),
}
_PARTS = """
SELECT string_agg(format('SELECT %s, count(*), sum(xmin::text::bigint) FROM %s', c.oid, c.oid::regclass), ' UNION ALL ')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname IN ('public', 'lab')
   OR c.relname IN ('pg_class', 'pg_attribute', 'pg_proc', 'pg_type', 'pg_rewrite', 'pg_constraint', 'pg_trigger',
       'pg_namespace', 'pg_largeobject_metadata', 'pg_description', 'pg_policy', 'pg_event_trigger', 'pg_publication',
       'pg_foreign_server', 'pg_index', 'pg_inherits', 'pg_attrdef', 'pg_statistic_ext', 'pg_operator', 'pg_cast')
"""
_REST = """
SELECT string_agg(s::text, '' ORDER BY sequencename) FROM pg_sequences s
UNION ALL SELECT string_agg(s::text, '') FROM pg_db_role_setting s
UNION ALL SELECT string_agg(slot_name, '') FROM pg_replication_slots
"""
"""What is different after anything in the vault was changed: a query for that query, and one for the rest."""
_SHARED_MEMORY = Path("/dev/shm")
_SETTINGS = {
    "shared_buffers": "16MB",
    "max_connections": "100",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "wal_level": "logical",
    "max_wal_senders": "4",
    "log_statement": "all",
    "timezone": "UTC",
}
_WITH_CONTRIB = {"shared_preload_libraries": "pg_stat_statements"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A running stage. Both people have the same password."""

    server: PostgresServer
    gateway: GatewayProcess
    port: int
    password: str
    data: str
    """The server's data directory."""
    _making: threading.Lock

    def masked(self, database: str, user: str = MASKED, **parameters: str) -> Client:
        """A session through the gateway."""
        return Client.connect(self.port, user, self.password, f"{_RESOURCE}/{database}", **parameters)

    def direct(self, database: str, **parameters: str) -> Client:
        """A session at the server itself, as the role that the gateway uses."""
        return Client.connect(self.server.port, self.server.superuser, self.server.password, database, **parameters)

    def owner(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """A driver's connection at the server itself."""
        return psycopg.connect(self.dsn(database), autocommit=True)

    def dsn(self, database: str) -> str:
        """Where the server itself is."""
        return (
            f"host=127.0.0.1 port={self.server.port} user={self.server.superuser} dbname={database}"
            f" password={self.server.password} sslmode=disable"
        )

    def state(self, database: str) -> object:
        """Something that is equal as long as nobody changes anything in the database."""
        with self.owner(database) as connection:
            (parts,) = connection.execute(_PARTS).fetchone() or ("",)
            tables = connection.execute(str(parts).encode()).fetchall()
            return sorted(map(str, tables)), connection.execute(_REST).fetchall()

    def renew(self, database: str) -> None:
        """Make the database anew, as it was in the beginning. Sessions in it end."""
        # Only one at a time may copy a template.
        with self._making, self.owner("postgres") as connection:
            slots = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s"
            connection.execute(slots, [database])
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {database} TEMPLATE {_TEMPLATE}")


@contextmanager
def set_up(*databases: str, version: int | None = None) -> Iterator[Stage]:
    """Start everything with these copies of the vault. All of it is gone afterwards.

    ``version`` is the server's major version, None the first that is there. Without contrib there are no extensions.
    """
    folder = Path(tempfile.mkdtemp(prefix="querygate-corpora-", dir=_fast_folder()))
    try:
        folder.chmod(0o755)
        contrib = _has_contrib(version)
        settings = {**_SETTINGS, **(_WITH_CONTRIB if contrib else {})}
        with PostgresServer.start(folder / "server", settings=settings, version=version) as server:
            server.create_database(_TEMPLATE)
            values = substitutions()
            script = _PLACE.sub(lambda found: values[found[1]], (_FOLDER / "vault.sql").read_text())
            if not contrib:
                script = re.sub(r"^CREATE (EXTENSION|SERVER|FOREIGN TABLE) .*$", "", script, flags=re.MULTILINE)
            server.psql(script, database=_TEMPLATE)
            password = secrets.token_urlsafe(24)
            port = free_port()
            config = folder / "querygate.yaml"
            config.write_text(yaml.safe_dump(_configuration(server, port, folder)))
            fix_masks(folder)
            environment = {"PERSON_TOKEN": password, "OWNER_PASSWORD": server.password}
            with GatewayProcess.start(config, ports=[port], environment=environment) as gateway:
                data = server.psql("SHOW data_directory").strip()
                stage = Stage(server, gateway, port, password, data, threading.Lock())
                for database in databases:
                    stage.renew(database)
                yield stage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_contrib(version: int | None) -> bool:
    found = PostgresServer.find(version=version)
    shared = found.bindir.parent / "share"
    folders = (shared, shared / "postgresql", Path("/usr/share/postgresql") / str(found.version[0]))
    return any((folder / "extension" / "pageinspect.control").exists() for folder in folders)


def _fast_folder() -> Path | None:
    """Memory, if there is enough of it: databases are made anew hundreds of times."""
    if not _SHARED_MEMORY.is_dir() or shutil.disk_usage(_SHARED_MEMORY).free < 1 << 30:
        return None
    return _SHARED_MEMORY


def fix_masks(folder: Path) -> None:
    """Have each run mask alike: under one key in some hundred, digests of all rows spell a piece of a canary."""
    load_or_create_key(folder / "data" / "masking.key", random=bytes)


def _configuration(server: PostgresServer, port: int, folder: Path) -> dict[str, object]:
    tls = {"mode": "verify-full", "ca": str(server.ca_path)} if server.ca_path else {"mode": "disable"}
    match = {"labels": ["*"]}
    return {
        "data_dir": str(folder / "data"),
        "listeners": {"postgres": f"127.0.0.1:{port}"},
        "tls": {"mode": "disable"},
        "resources": [
            {
                "name": _RESOURCE,
                "protocol": "postgres",
                "address": f"127.0.0.1:{server.port}",
                "credentials": {"username": server.superuser, "password": {"env": "OWNER_PASSWORD"}},
                "tls": tls,
            }
        ],
        "principals": [
            {"name": MASKED, "groups": ["analysts"], "token": {"env": "PERSON_TOKEN"}},
            {"name": STRICT, "groups": ["analysts", "strict"], "token": {"env": "PERSON_TOKEN"}},
        ],
        "classifications": [
            {"resource": _RESOURCE, "label": label, "columns": [f"public.{column}" for column in columns]}
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
                "match": {**match, "groups": ["strict"]},
                "mask": {"function": "redact"},
                "inference": "deny",
            },
        ],
        "audit": {"durability": {"write": "buffered", "read": "buffered"}},
    }


def gossip(stage: Stage, database: str) -> psycopg.Connection[tuple[object, ...]]:
    """Somebody else's session, whose last statement has a canary in its text."""
    connection = stage.owner(database)
    connection.execute(f"SELECT 1 WHERE 'x' = '{TEXTS['email_1']}'")
    return connection
