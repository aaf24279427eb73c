"""Statements that wait on a linked gateway, with MySQL and MongoDB clients: what each of them sees."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote_plus

import mysql.connector
import pymysql
import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from gateway.testing.shop import Shop
from gateway.testing.shop_documents import DocumentShop
from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.control_plane import ControlPlane, LinkedGateway, StartLinked, restart, start_control_plane
from tests.fixtures.gateway import SUPPORT
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(180)
HELD, LATER = "linked_protocols_held", "linked_protocols_later"
PATIENCE = 60
"""Seconds for what takes a moment where nobody else uses the machine."""
AT_ONCE = 12
"""Statements of each protocol."""


@dataclass(frozen=True)
class Refusal:
    """A native error."""

    code: int
    message: str


def _context() -> ssl.SSLContext:
    """TLS with a gateway that made its certificate itself."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class MySql:
    """A client of MariaDB behind the gateway."""

    name, resource, denied = "mysql", "crm-linked", 1142

    def __init__(self, plane: ControlPlane, linked: LinkedGateway) -> None:
        self._arguments: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": linked.ports["mysql"],
            "user": SUPPORT,
            "password": plane.token(SUPPORT),
            "database": self.resource,
        }
        self._connection = pymysql.connect(**self._arguments, ssl=_context(), autocommit=True)

    def write(self, number: int, table: str = HELD) -> int:
        """Insert one row, and say how many were."""
        with self._connection.cursor() as cursor:
            return int(cursor.execute(f"INSERT INTO {table} VALUES ({number})"))

    def works(self) -> bool:
        """Whether the session does what needs no approval."""
        with self._connection.cursor() as cursor:
            return cursor.execute(f"SELECT count(*) FROM {HELD}") == 1

    def prepared(self, number: int) -> int:
        """Insert by a prepared statement with a parameter."""
        with mysql.connector.connect(**self._arguments, use_pure=True, autocommit=True) as connection:
            cursor = connection.cursor(prepared=True)
            cursor.execute(f"INSERT INTO {LATER} VALUES (%s)", (number,))
            return int(cursor.rowcount)

    def take_back(self) -> None:
        """Cancel what the session runs, from another one."""
        with pymysql.connect(**self._arguments, ssl=_context()) as other, other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {self._connection.thread_id()}")

    def in_a_process(self, number: int) -> list[str]:
        """A program that writes the same."""
        where = {**self._arguments, "ssl": {"check_hostname": False}, "autocommit": True}
        text = f"INSERT INTO {HELD} VALUES ({number})"
        return ["-c", f"import pymysql; pymysql.connect(**{where!r}).cursor().execute({text!r})"]

    def close(self) -> None:
        with suppress(pymysql.Error):
            self._connection.close()


class MongoDb:
    """A client of MongoDB behind the gateway."""

    name, resource, denied = "mongodb", "docs-linked", 13

    def __init__(self, plane: ControlPlane, linked: LinkedGateway) -> None:
        user = quote_plus(f"{SUPPORT}#{self.resource}")
        where = f"127.0.0.1:{linked.ports['mongodb']}"
        options = "tls=true&tlsAllowInvalidCertificates=true&"
        options += f"retryWrites=false&retryReads=false&maxPoolSize=1&serverSelectionTimeoutMS={PATIENCE * 1000}"
        self._uri = f"mongodb://{user}:{quote_plus(plane.token(SUPPORT))}@{where}/?{options}"
        self._client: MongoClient[dict[str, Any]] = MongoClient(self._uri)

    def write(self, number: int, table: str = HELD) -> int:
        """Insert one document, and say how many were."""
        return int(self._client.shop.command({"insert": table, "documents": [{"_id": number}]})["n"])

    def works(self) -> bool:
        """Whether the client's one connection does what needs no approval."""
        return self._client.shop[HELD].count_documents({}) >= 0

    def prepared(self, number: int) -> int:
        """The same: every command carries its values."""
        return self.write(number, LATER)

    def in_a_process(self, number: int) -> list[str]:
        """A program that writes the same."""
        command = {"insert": HELD, "documents": [{"_id": number}]}
        return ["-c", f"import pymongo; pymongo.MongoClient({self._uri!r}).shop.command({command!r})"]

    def close(self) -> None:
        self._client.close()


Client = MySql | MongoDb
Kind = type[MySql] | type[MongoDb]
KINDS: tuple[Kind, ...] = (MySql, MongoDb)
ERRORS = (pymysql.Error, mysql.connector.Error, PyMongoError)


def refusal(work: Callable[[], object]) -> Refusal:
    """The error that something ends with."""
    with pytest.raises(ERRORS) as caught:
        work()
    error: Any = caught.value
    code = error.args[0] if isinstance(error, pymysql.Error) else getattr(error, "errno", getattr(error, "code", 0))
    return Refusal(int(code or 0), str(error))


@pytest.fixture(scope="module")
def plane(
    tmp_path_factory: pytest.TempPathFactory,
    shop_database: Shop,
    mariadb_shop: MariaDbShop,
    mongo_shop: DocumentShop,
    control_stack: ExitStack,
) -> Iterator[ControlPlane]:
    """A control plane under whose policies writing to two tables needs an approval."""
    folder = tmp_path_factory.mktemp("plane") / "control"
    plane = start_control_plane(folder, shop_database, control_stack)
    places: tuple[tuple[Kind, str, MariaDbShop | DocumentShop, dict[str, str]], ...] = (
        (MySql, f"127.0.0.1:{mariadb_shop.server.port}", mariadb_shop, {"database": mariadb_shop.database}),
        (MongoDb, mongo_shop.server.members[0].address, mongo_shop, {}),
    )
    for kind, address, shop, more in places:
        resource = {
            "name": kind.resource,
            "protocol": kind.name,
            "address": address,
            "credentials": {"username": shop.user, "password": shop.password},
            "tls": {"mode": "disable"},
            **more,
        }
        plane.ask("POST", "/v1/resources", resource, 201)
    for table, hold in ((HELD, True), (LATER, False)):
        policy = {
            "name": f"ask-{table}",
            "effect": "require_approval",
            "match": {"objects": [f"*.{table}"], "actions": ["write"]},
            "approval": {"approvers": ["admins"], "timeout": "10m", "hold": hold},
        }
        plane.ask("POST", "/v1/policies", policy, 201)
    plane.token(SUPPORT)
    for table in (HELD, LATER):
        mariadb_shop.sql(f"CREATE TABLE IF NOT EXISTS {table} (id int)")
    yield plane
    for table in (HELD, LATER):
        mariadb_shop.sql(f"DROP TABLE {table}")
        with mongo_shop.client() as direct:
            direct.shop.drop_collection(table)


@pytest.fixture(scope="module")
def linked(plane: ControlPlane, start_linked: StartLinked) -> LinkedGateway:
    return start_linked(plane, "gw-protocols", protocols=("mysql", "mongodb"), tls=True, approval_grace="2m")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def connect(plane: ControlPlane, linked: LinkedGateway) -> Iterator[Callable[..., Client]]:
    """Makes clients, which are closed in the end."""
    with ExitStack() as stack:

        def make(kind: Kind, where: LinkedGateway = linked) -> Client:
            made = kind(plane, where)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(2 * AT_ONCE)
    yield pool
    # After a failure something may still wait: what it waits for ends with its gateway.
    pool.shutdown(wait=False, cancel_futures=True)


def waiting(plane: ControlPlane, count: int = 1) -> list[dict[str, Any]]:
    """What waits, once it is so many."""

    def look() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = plane.ask("GET", "/v1/approvals?state=pending&limit=100")["items"]
        return found if len(found) == count else None

    return eventually(look, within=PATIENCE)


def decide(plane: ControlPlane, request: dict[str, Any], decision: str = "approve", **more: Any) -> None:
    plane.ask("POST", f"/v1/approvals/{request['id']}/decision", {"decision": decision, **more})


def state(plane: ControlPlane, request: dict[str, Any]) -> str:
    return str(plane.ask("GET", f"/v1/approvals/{request['id']}")["state"])


def rows(kind: Kind, mariadb_shop: MariaDbShop, mongo_shop: DocumentShop, number: int, table: str = HELD) -> int:
    """How many rows of this number the database itself has."""
    if kind is MySql:
        return int(mariadb_shop.sql(f"SELECT count(*) FROM {table} WHERE id = {number}").split()[-1])
    with mongo_shop.client() as direct:
        return direct.shop[table].count_documents({"_id": number})


Stored = Callable[..., int]


@pytest.fixture
def stored(kind: Kind, mariadb_shop: MariaDbShop, mongo_shop: DocumentShop) -> Stored:
    return lambda number, table=HELD: rows(kind, mariadb_shop, mongo_shop, number, table)


def test_it_waits_and_goes_on_when_approved(
    plane: ControlPlane, kind: Kind, connect: Callable[..., Client], threads: ThreadPoolExecutor, stored: Stored
) -> None:
    session, other = connect(kind), connect(kind)
    statement = threads.submit(session.write, 1)
    (request,) = waiting(plane)
    assert (request["gateway"], request["principal"], request["protocol"]) == ("gw-protocols", SUPPORT, kind.name)
    assert request["statement"]["writes"][0].endswith(f".{HELD}")
    assert other.works(), "other sessions go on"
    assert not statement.done()
    assert stored(1) == 0
    decide(plane, request)
    assert statement.result(PATIENCE) == 1
    assert session.works()
    assert stored(1) == 1
    assert state(plane, request) == "used"


def test_a_rejection_is_a_native_error_and_the_session_goes_on(
    plane: ControlPlane, kind: Kind, connect: Callable[..., Client], threads: ThreadPoolExecutor, stored: Stored
) -> None:
    session = connect(kind)
    statement = threads.submit(session.write, 2)
    decide(plane, waiting(plane)[0], "reject", reason="not on a Friday")
    refused = refusal(lambda: statement.result(PATIENCE))
    assert refused.code == kind.denied
    assert "not on a Friday" in refused.message
    assert session.works()
    assert stored(2) == 0


def test_a_client_that_is_gone_withdraws_its_request(
    plane: ControlPlane, kind: Kind, connect: Callable[..., Client], stored: Stored
) -> None:
    with subprocess.Popen([sys.executable, *connect(kind).in_a_process(3)]) as program:
        try:
            (request,) = waiting(plane)
        finally:
            program.kill()
    eventually(lambda: state(plane, request) == "withdrawn", within=PATIENCE)
    plane.ask("POST", f"/v1/approvals/{request['id']}/decision", {"decision": "approve"}, 409)
    assert stored(3) == 0


def test_kill_query_takes_a_statement_back(
    plane: ControlPlane, linked: LinkedGateway, threads: ThreadPoolExecutor
) -> None:
    session = MySql(plane, linked)
    with closing(session):
        statement = threads.submit(session.write, 4)
        (request,) = waiting(plane)
        session.take_back()
        assert refusal(lambda: statement.result(PATIENCE)).code == 1317
        assert session.works()
    eventually(lambda: state(plane, request) == "withdrawn", within=PATIENCE)


def test_what_was_refused_with_an_id_passes_once_with_the_same_values(
    plane: ControlPlane, kind: Kind, connect: Callable[..., Client], stored: Stored
) -> None:
    session = connect(kind)
    refused = refusal(lambda: session.prepared(4))
    assert "run it again once it is approved" in refused.message
    (request,) = waiting(plane)
    assert request["id"] in refused.message
    decide(plane, request)
    assert refusal(lambda: session.prepared(5)).code == kind.denied, "another value is another statement"
    assert connect(kind).prepared(4) == 1
    assert refusal(lambda: session.prepared(4)).code == kind.denied, "once"
    assert (stored(4, LATER), stored(5, LATER)) == (1, 0)
    for left in waiting(plane, 2):
        decide(plane, left, "reject")


def test_many_wait_at_once_and_each_gets_its_own_decision(
    plane: ControlPlane,
    connect: Callable[..., Client],
    threads: ThreadPoolExecutor,
    mariadb_shop: MariaDbShop,
    mongo_shop: DocumentShop,
) -> None:
    statements: dict[tuple[Kind, int], Future[int]] = {}
    for kind in KINDS:
        for number in range(100, 100 + AT_ONCE):
            statements[kind, number] = threads.submit(connect(kind).write, number)
    requests = waiting(plane, len(statements))
    assert not any(statement.done() for statement in statements.values())

    def number_of(request: dict[str, Any]) -> int:
        (found,) = (n for n in range(100, 100 + AT_ONCE) if str(n) in request["statement"]["text"])
        return found

    for request in requests:
        decide(plane, request, "reject" if number_of(request) % 3 == 0 else "approve")
    for (kind, number), statement in statements.items():
        if number % 3 == 0:
            assert refusal(partial(statement.result, PATIENCE)).code == kind.denied
        else:
            assert statement.result(PATIENCE) == 1
        assert rows(kind, mariadb_shop, mongo_shop, number) == int(number % 3 != 0)


def test_the_control_plane_is_lost_and_comes_back(
    plane: ControlPlane,
    start_linked: StartLinked,
    connect: Callable[..., Client],
    threads: ThreadPoolExecutor,
    control_stack: ExitStack,
    mariadb_shop: MariaDbShop,
    mongo_shop: DocumentShop,
) -> None:
    hasty = start_linked(plane, "gw-hasty", protocols=("mysql", "mongodb"), tls=True, approval_grace="1s")
    patient, lost = {kind: connect(kind) for kind in KINDS}, {kind: connect(kind, hasty) for kind in KINDS}
    go_on = {kind: threads.submit(session.write, 200) for kind, session in patient.items()}
    refused = {kind: threads.submit(session.write, 300) for kind, session in lost.items()}
    before = {request["id"]: request["gateway"] for request in waiting(plane, 4)}
    plane.process.kill()
    try:
        for kind, statement in refused.items():
            told = refusal(partial(statement.result, PATIENCE))
            assert told.code == kind.denied
            assert "control plane was lost" in told.message
            assert lost[kind].works(), "what needs no approval goes on"
        assert not any(statement.done() for statement in go_on.values())
    finally:
        restart(plane, control_stack)
    requests = waiting(plane, 2)
    assert [before[request["id"]] for request in requests] == ["gw-protocols"] * 2, "those of the other are withdrawn"
    for request in requests:
        decide(plane, request)
    for kind, statement in go_on.items():
        assert statement.result(PATIENCE) == 1
        assert patient[kind].works()
        assert [rows(kind, mariadb_shop, mongo_shop, number) for number in (200, 300)] == [1, 0]
