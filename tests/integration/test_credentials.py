"""No credential that a client sends in a statement can be read anywhere afterwards, with real servers of three kinds.

Every byte is searched of every file that the gateway writes, of its own log, of what a webhook and a sink are told, and
of what the admin API and the command line show.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import psycopg
import pymysql
import pytest
import zstandard
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from gateway.testing.servers.ports import free_port
from gateway.testing.shop import Shop
from gateway.testing.shop_documents import DocumentShop
from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.control_plane import PASSWORD, ControlPlane, start_control_plane
from tests.fixtures.gateway import ADMIN, SUPPORT
from tests.fixtures.mongodb import mongo_config
from tests.fixtures.mysql_gateway import mysql_gateway_config
from tests.fixtures.waiting import eventually
from tests.gateway.sql.test_credentials import MYSQL, POSTGRES
from tests.integration.control_plane.test_cli import querygate

pytestmark = pytest.mark.timeout(300)
CANARY = "canary"
LAST = "basalt_last"
"""In the last statement: what was sent before it has arrived once it has."""

NOT_RUN = ("SET PASSWORD = ", "ALTER SYSTEM", "GLOBAL", "CHANGE ", "START ")
"""What would change the server that other tests use, or the account that the gateway has there: only asked for."""

ASKED = ["ddl", "privileges", "read", "write", "prepare", "explain", "call", "unknown", "copy_out"]

MONGO: tuple[dict[str, Any], ...] = (
    {"createUser": "bob", "pwd": "canary", "roles": []},
    {"updateUser": "bob", "pwd": "canary", "customData": {"note": "canary"}},
    {"creatUser": "bob", "pwd": "canary", "roles": []},
    {"explain": {"createUser": "bob", "pwd": "canary", "roles": []}},
    {"explain": {"saslStart": 1, "mechanism": "PLAIN", "payload": b"\0bob\0canary"}},
    {"saslStart": 1, "mechanism": "PLAIN", "payload": b"\0bob\0canary"},
    {"saslContinue": 1, "conversationId": 1, "payload": b"canary"},
    {"authenticate": 1, "user": "bob", "nonce": "x", "key": "canary"},
    {"setParameter": 1, "ldapQueryPassword": 1, "password": "canary"},
)


class Heard:
    """What a webhook or a sink was told."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []


@contextmanager
def hearing(heard: Heard) -> Iterator[str]:
    """A receiver that keeps all bodies; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            gzipped = self.headers.get("Content-Encoding") == "gzip"
            heard.bodies.append(zlib.decompress(body, 31) if gzipped else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Place:
    """A gateway with its control plane, webhook and sinks, in front of three databases."""

    def __init__(self, plane: ControlPlane, ports: dict[str, int], told: Heard, shipped: Heard) -> None:
        self.plane, self.ports, self.told, self.shipped = plane, ports, told, shipped

    def search(self, home: Path) -> dict[str, bytes]:
        """Everything that can be read afterwards, by where it is."""
        found = {str(path): path.read_bytes() for path in self.plane.folder.rglob("*") if path.is_file()}
        for name, content in list(found.items()):
            if name.endswith(".zst"):
                found[name] = zstandard.ZstdDecompressor().decompressobj().decompress(content)
        found["log"] = self.plane.process.log().encode()
        found["webhook"] = b"\n".join(self.told.bodies)
        found["sink"] = b"\n".join(self.shipped.bodies)
        items = self.plane.ask("GET", "/v1/approvals?limit=200")["items"]
        for item in items:
            found[item["id"]] = self.plane.api.get(f"/v1/approvals/{item['id']}").content
        found["events"] = self.plane.api.get("/v1/audit/events?limit=200").content
        found["cli"] = querygate(home, "approvals", "list", "--state", "all", "--json").stdout.encode()
        if items:
            found["cli show"] = querygate(home, "approvals", "show", items[0]["id"]).stdout.encode()
        found["metrics"] = self.plane.api.get("/metrics").content
        return found


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    shop_database: Shop,
    mariadb_shop: MariaDbShop,
    mongo_shop: DocumentShop,
) -> Iterator[Place]:
    """Accounts and definitions wait for an approval where support makes them; admins make them at once."""
    told, shipped = Heard(), Heard()
    with ExitStack() as stack:
        webhook, sink = stack.enter_context(hearing(told)), stack.enter_context(hearing(shipped))
        ports = {"mysql": free_port(), "mongodb": free_port()}
        plane = start_control_plane(
            tmp_path_factory.mktemp("credentials") / "control",
            shop_database,
            stack,
            listeners=ports,
            environment={"HOOK_SECRET": "s" * 32},
            audit={
                "literals": "keep",
                "durability": {"write": "before_forward", "read": "buffered"},
                "sinks": [
                    {"type": "file", "path": "copy.jsonl"},
                    {"type": "webhook", "name": "hook", "url": sink},
                    {"type": "otlp_traces", "name": "spans", "url": sink},
                    {"type": "archive", "name": "archive", "path": "archived"},
                ],
            },
            approvals={
                "webhooks": [
                    {"url": webhook, "secret": {"env": "HOOK_SECRET"}, "statement": "full"},
                    {"url": webhook, "secret": {"env": "HOOK_SECRET"}, "statement": "normalised", "format": "slack"},
                ]
            },
        )
        mysql = mysql_gateway_config(mariadb_shop, port=1, fixed_port=1, tls=False)["resources"][0]
        mongo = mongo_config(mongo_shop, port=1, tls=False)["resources"][0]
        for resource, name, password in (
            (mysql, "shop-mysql", mariadb_shop.password),
            (mongo, "shop-mongo", mongo_shop.password),
        ):
            resource.pop("listen", None)
            resource |= {"name": name}
            resource["credentials"]["password"] = password
            plane.ask("POST", "/v1/resources", resource, 201)
        plane.ask(
            "POST",
            "/v1/policies",
            {"name": "support-may-ask", "effect": "allow", "match": {"groups": ["support"], "actions": ["*"]}},
            201,
        )
        plane.ask(
            "POST",
            "/v1/policies",
            {
                "name": "somebody-else-looks",
                "effect": "require_approval",
                "match": {"groups": ["support"], "actions": ASKED},
                "approval": {"approvers": ["admins"], "hold": False},
            },
            201,
        )
        yield Place(plane, ports, told, shipped)


@pytest.fixture
def home(tmp_path: Path, place: Place) -> Path:
    """An approver's home, logged in."""
    (tmp_path / "password").write_text(PASSWORD + "\n")
    done = querygate(tmp_path, "login", place.plane.url, "--name", ADMIN, "--password-file", "password")
    assert done.returncode == 0, done.stderr
    return tmp_path


def check(place: Place, home: Path, mark: str) -> None:
    """Once the last statement is everywhere, nothing is found anywhere."""
    eventually(lambda: mark.encode() in b"\n".join(place.shipped.bodies), within=60)
    searched = place.search(home)
    assert any(mark.encode() in content for name, content in searched.items() if "audit" in name)
    found = {name: content.find(CANARY.encode()) for name, content in searched.items()}
    assert {name: searched[name][max(0, at - 300) : at + 60] for name, at in found.items() if at >= 0} == {}


def test_postgres(place: Place, home: Path, shop_database: Shop) -> None:
    for user in (ADMIN, SUPPORT):
        for text in POSTGRES:
            if user == ADMIN and any(words in text for words in NOT_RUN):
                continue
            with psycopg.connect(place.plane.conninfo(user), autocommit=True) as connection:
                for part in ("BEGIN", text, "ROLLBACK"):
                    connection.pgconn.exec_(part.encode())
    with psycopg.connect(place.plane.conninfo(ADMIN), autocommit=True) as connection:
        for binary in (False, True):
            for text in ("SELECT set_password(%s, %s)", "SELECT pgp_sym_encrypt(%s, %s)", "SELECT crypt(%s, %s)"):
                with suppress(psycopg.Error):
                    connection.execute(text, ("x", CANARY), binary=binary, prepare=True)
            with suppress(psycopg.Error):
                connection.execute("SELECT no_such_function(%s)", ("host=h password=canary",), binary=binary)
        connection.execute(f"SELECT 1 AS {LAST}_postgres")
    check(place, home, f"{LAST}_postgres")
    assert any(b"ALTER USER bob PASSWORD ?" in body for body in place.told.bodies), "who is asked sees what for"


def test_mysql(place: Place, home: Path) -> None:
    def run(user: str, text: str) -> None:
        options: dict[str, Any] = {"user": user, "password": place.plane.token(user), "database": "shop-mysql"}
        port = place.ports["mysql"]
        connection = pymysql.connect(host="127.0.0.1", port=port, ssl_disabled=True, **options)
        with closing(connection), suppress(pymysql.Error), connection.cursor() as cursor:
            cursor.execute(text)

    for user in (ADMIN, SUPPORT):
        for text in MYSQL:
            if user == ADMIN and any(words in text for words in NOT_RUN):
                continue
            run(user, text)
    run(ADMIN, "DROP USER IF EXISTS bob")
    run(ADMIN, f"SELECT 1 AS {LAST}_mysql")
    check(place, home, f"{LAST}_mysql")


def test_mongodb(place: Place, home: Path) -> None:
    for user in (ADMIN, SUPPORT):
        name = quote_plus(f"{user}#shop-mongo")
        address = f"mongodb://{name}:{place.plane.token(user)}@127.0.0.1:{place.ports['mongodb']}/?retryWrites=false"
        client: MongoClient[dict[str, Any]]
        with MongoClient(address, maxPoolSize=1) as client:
            for command in MONGO:
                with suppress(PyMongoError):
                    client.shop.command(command)
            with suppress(PyMongoError):
                client.shop.command({"count": f"{LAST}_mongodb"})
            with suppress(PyMongoError):
                client.shop.command("dropUser", "bob")
    check(place, home, f"{LAST}_mongodb")
