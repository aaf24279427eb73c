"""What the users come to: a shop on a real server, a gateway before it, a control plane with an administrator."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx2

from admin_api.setup import open_database
from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import MariaDbServer, MongoServer, PostgresServer
from gateway.testing.servers.ports import free_port
from gateway.testing.shop import SENSITIVE_COLUMNS, create_shop
from gateway.testing.shop_documents import SENSITIVE_PATHS, create_document_shop
from gateway.testing.shop_mariadb import create_mariadb_shop, sensitive_columns

CUSTOMERS = 1000
RESOURCE, ANALYST = "shop", "ana@example.com"
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Way:
    """How users reach what they use: the environment of ``loadtests.config``."""

    name: str
    environment: Mapping[str, str] = field(repr=False)
    host: str = ""


@contextmanager
def postgres(folder: Path) -> Iterator[list[Way]]:
    """PostgreSQL, direct and through a gateway."""
    with PostgresServer.start(settings={"max_connections": "1200"}) as server:
        shop = create_shop(server, customers=CUSTOMERS)
        labels = {label: list(columns) for label, columns in SENSITIVE_COLUMNS.items()}
        with _gateway(folder, "postgres", f"127.0.0.1:{server.port}", shop.password, labels) as (port, token):
            through = f"host=127.0.0.1 port={port} dbname={RESOURCE} user={ANALYST} password={token} sslmode=disable"
            yield _ways("LOAD_POSTGRES", shop.dsn(), through)


@contextmanager
def mysql(folder: Path) -> Iterator[list[Way]]:
    """MariaDB, direct and through a gateway."""
    with MariaDbServer.start(settings={"max_connections": "1200"}) as server:
        shop = create_mariadb_shop(server, customers=CUSTOMERS)
        labels = {label: list(columns) for label, columns in sensitive_columns().items()}
        with _gateway(folder, "mysql", f"127.0.0.1:{server.port}", shop.password, labels) as (port, token):

            def url(user: str, password: str, at: int, database: str) -> str:
                return f"mysql://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{at}/{database}"

            direct = url(shop.user, shop.password, server.port, shop.database)
            yield _ways("LOAD_MYSQL", direct, url(ANALYST, token, port, RESOURCE))


@contextmanager
def mongodb(folder: Path) -> Iterator[list[Way]]:
    """MongoDB (a replica set of one), direct and through a gateway."""
    with MongoServer.start(members=1) as server:
        shop = create_document_shop(server, customers=CUSTOMERS)
        labels = {label: list(paths) for label, paths in SENSITIVE_PATHS.items()}
        with _gateway(folder, "mongodb", server.members[0].address, shop.password, labels) as (port, token):
            name = quote_plus(f"{ANALYST}#{RESOURCE}")
            through = f"mongodb://{name}:{quote_plus(token)}@127.0.0.1:{port}/"
            yield _ways("LOAD_MONGODB", server.uri(shop.user, shop.password), through)


@contextmanager
def admin(folder: Path, *, store: str) -> Iterator[list[Way]]:
    """A control plane over ``sqlite`` or ``postgresql``, with a resource that ``explain`` can be asked about."""
    with PostgresServer.start() as server:
        shop = create_shop(server)
        port = free_port()
        plane: Document = {"access_token_ttl": "1h"}
        environment: dict[str, str] = {}
        if store == "postgresql":
            password = secrets.token_urlsafe(18)
            server.create_role("store", password)
            server.create_database("store", owner="store")
            environment["STORE_URL"] = f"postgresql://store:{password}@127.0.0.1:{server.port}/store"
            plane["database"] = {"env": "STORE_URL"}
        config = _write(
            folder,
            {
                "listeners": {"postgres": f"127.0.0.1:{free_port()}"},
                "admin_api": f"127.0.0.1:{port}",
                "control_plane": plane,
                "tls": {"mode": "disable"},
            },
        )
        if store == "postgresql":
            _migrate(config, environment)
        with GatewayProcess.start(config, environment=environment, timeout=120):
            address = f"http://127.0.0.1:{port}"
            labels = {label: list(columns) for label, columns in SENSITIVE_COLUMNS.items()}
            sections = _sections("postgres", f"127.0.0.1:{server.port}", shop.password, labels)
            token = _first_administrator(address, folder / "data" / "bootstrap-token", sections)
            yield [Way(store, {"LOAD_ADMIN_TOKEN": token}, address)]


def _ways(variable: str, direct: str, through: str) -> list[Way]:
    more = {"LOAD_CUSTOMERS": str(CUSTOMERS)}
    return [Way("direct", {variable: direct, **more}), Way("gateway", {variable: through, **more})]


@contextmanager
def _gateway(
    folder: Path, protocol: str, upstream: str, password: str, labels: Mapping[str, list[str]]
) -> Iterator[tuple[int, str]]:
    port, token = free_port(), secrets.token_urlsafe(32)
    sections = _sections(protocol, upstream, {"env": "SHOP_PASSWORD"}, labels)
    sections["principals"][0]["token"] = {"env": "LOAD_TOKEN"}
    head = {"listeners": {protocol: f"127.0.0.1:{port}"}, "tls": {"mode": "disable"}}
    config = _write(folder, {**head, **sections})
    environment = {"SHOP_PASSWORD": password, "LOAD_TOKEN": token}
    with GatewayProcess.start(config, environment=environment, timeout=120):
        yield port, token


def _sections(protocol: str, upstream: str, password: object, labels: Mapping[str, list[str]]) -> Document:
    """Analysts read under masks and may change rows by key; audited as by default."""
    kind = "paths" if protocol == "mongodb" else "columns"
    return {
        "resources": [
            {
                "name": RESOURCE,
                "protocol": protocol,
                "address": upstream,
                **({} if protocol == "mongodb" else {"database": "shop"}),
                "credentials": {"username": "gateway", "password": password},
                "tls": {"mode": "disable"},
                "environment": "production",
            }
        ],
        "principals": [{"name": ANALYST, "groups": ["analysts"]}],
        "classifications": [
            {"resource": RESOURCE, "label": label, kind: patterns} for label, patterns in labels.items()
        ],
        "policies": [
            {
                "name": "analysts-may-work",
                "effect": "allow",
                "match": {"groups": ["analysts"], "actions": ["read", "session", "transaction", "update"]},
            },
            {
                "name": "mask-personal-data",
                "effect": "mask",
                "match": {"groups": ["analysts"], "labels": ["pii.*", "pci.*", "finance.*"]},
                "mask": {"function": "redact"},
            },
            {
                "name": "no-update-without-where",
                "effect": "deny",
                "match": {"actions": ["update"], "when": "!statement.has_predicate"},
            },
        ],
    }


def _write(folder: Path, document: Document) -> Path:
    path = folder / "querygate.yaml"
    path.write_text(json.dumps(document))
    return path


def _migrate(config: Path, environment: Mapping[str, str]) -> None:
    import asyncio

    from admin_api.migrate import upgrade
    from gateway.config import load_config

    async def story() -> None:
        settings = load_config(config, environ=environment)
        if settings.control_plane is None:
            raise ValueError("no control plane to migrate")
        database = open_database(settings, settings.control_plane)
        await upgrade(database)
        await database.close()

    asyncio.run(story())


def _first_administrator(address: str, bootstrap: Path, sections: Document) -> str:
    with httpx2.Client(base_url=address, timeout=60) as client:
        body = {"token": bootstrap.read_text().strip(), "name": "root", "password": secrets.token_urlsafe(18)}
        token: str = client.post("/v1/auth/bootstrap", json=body).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        client.post("/v1/apply", json={"sections": sections}).raise_for_status()
    return token
