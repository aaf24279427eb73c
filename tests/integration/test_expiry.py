"""Sessions outlast nothing that let them in: what drivers see when a bearer token or an access token expires."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import mysql.connector
import psycopg
import pymysql
import pytest
from pymongo import MongoClient
from pymongo.auth_oidc import OIDCCallback, OIDCCallbackContext, OIDCCallbackResult
from pymongo.errors import AutoReconnect, OperationFailure

from gateway.testing.shop import Shop, copy_shop
from gateway.testing.shop_documents import DocumentShop
from gateway.testing.shop_mariadb import MariaDbShop, copy_mariadb_shop
from tests.fixtures.gateway import ADMIN, RESOURCE, RunningGateway, StartGateway
from tests.fixtures.issuer import Issuer
from tests.fixtures.mongodb import RESOURCE as DOCUMENTS
from tests.fixtures.mongodb import MongoGateway, StartMongoGateway
from tests.fixtures.mysql_gateway import MySqlGateway, StartMySqlGateway
from tests.fixtures.waiting import eventually

LIFETIME = 5.0
"""Seconds: enough to log in on a busy machine."""
TOLD = "the token of this session has expired; log in again with a new one"
ISSUER = Issuer()

TO_PEOPLE: dict[str, Any] = {"groups_claim": "groups", "client_id": "database-clients", "scopes": ["openid", "email"]}

Config = dict[str, Any]


def believing(config: Config) -> None:
    """Tokens of the issuer are good, to the second; dora has one."""
    config["identity"] = {"expiry_leeway": "0s", "jwt": [ISSUER.configuration(**TO_PEOPLE)]}
    next(one for one in config["principals"] if one["name"] == ADMIN)["bearer"] = True


def over(started: float) -> Callable[[], bool]:
    """Whether a token of that time has expired, by any reading of its seconds."""
    return lambda: time.time() > started + LIFETIME + 1


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(shop_template: Shop) -> Iterator[Shop]:
    own = copy_shop(shop_template, "expiring")
    yield own
    own.server.drop_database(own.database)


@pytest.fixture(scope="module")
def postgres(start_gateway: StartGateway, shop: Shop) -> RunningGateway:
    return start_gateway(shop, tls=True, change=believing)


def dial(gateway: RunningGateway, password: str, **more: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=gateway.host, port=gateway.port, user=ADMIN, dbname=RESOURCE, password=password, sslmode="require", **more
    )


def test_postgres_lets_a_statement_finish_and_rolls_back_what_is_open(postgres: RunningGateway, shop: Shop) -> None:
    shop.psql("create table if not exists expiring(n int); truncate expiring")
    with dial(postgres, ISSUER.token(ADMIN, lifetime=LIFETIME)) as session:
        session.execute("insert into expiring values (1)")
        assert session.execute(f"select 7 from pg_sleep({LIFETIME + 2})").fetchone() == (7,)
        with pytest.raises(psycopg.OperationalError, match=TOLD) as failure:
            session.execute("insert into expiring values (2)")
        assert failure.value.sqlstate == "28000"
    assert shop.psql("select count(*) from expiring").strip() == "0"
    eventually(lambda: "CredentialExpired: the token that the session was opened with" in postgres.audit_text())


def test_postgres_tells_who_waits_and_lets_a_copy_finish(postgres: RunningGateway, shop: Shop) -> None:
    shop.psql("create table if not exists copied(n int); truncate copied")
    started = time.time()
    token = ISSUER.token(ADMIN, lifetime=LIFETIME)
    with dial(postgres, token, autocommit=True) as idle, dial(postgres, token, autocommit=True) as session:
        cursor = session.cursor()
        with cursor.copy("copy copied from stdin") as copy:
            copy.write(b"1\n")
            eventually(over(started))
            copy.write(b"2\n")
        for ended in (idle, session):
            with pytest.raises(psycopg.OperationalError, match=TOLD):
                ended.execute("select 1")
    assert shop.psql("select count(*) from copied").strip() == "2"


def test_postgres_runs_nothing_that_is_sent_after_it(postgres: RunningGateway, shop: Shop) -> None:
    shop.psql("create table if not exists ahead(n int); truncate ahead")
    started = time.time()
    wait, before = f"select pg_sleep({LIFETIME + 4})", postgres.audit_text().count("CredentialExpired")
    session = dial(postgres, ISSUER.token(ADMIN, lifetime=LIFETIME), autocommit=True)
    session.pgconn.enter_pipeline_mode()
    session.pgconn.send_query_params(wait.encode(), None)
    session.pgconn.pipeline_sync()
    session.pgconn.flush()
    eventually(over(started))
    session.pgconn.send_query_params(b"insert into ahead values (1)", None)
    session.pgconn.pipeline_sync()
    session.pgconn.flush()
    first = session.pgconn.get_result()
    assert first is not None
    assert first.get_value(0, 0) == b""
    eventually(lambda: postgres.audit_text().count("CredentialExpired") > before)
    session.close()
    assert shop.psql("select count(*) from ahead").strip() == "0"


def test_an_access_token_with_an_end_is_no_other(start_gateway: StartGateway, shop: Shop) -> None:
    gateway = start_gateway(shop, tls=True)
    words = ["token", "create", "-p", ADMIN, "--ttl", f"{2 * LIFETIME:.0f}s", "--config", "querygate.yaml"]
    environment = os.environ | {"SHOP_PASSWORD": "x", "TEST_TOKEN": gateway.token}
    command = [sys.executable, "-m", "gateway.cli", *words]
    made = subprocess.run(
        command, cwd=gateway.folder, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    token = made.stdout.strip()
    with dial(gateway, token) as session:
        assert session.execute(f"select 7 from pg_sleep({2 * LIFETIME + 1})").fetchone() == (7,)
        with pytest.raises(psycopg.OperationalError, match=TOLD):
            session.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        dial(gateway, token)


# --- MySQL -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_shop(mariadb_shop: MariaDbShop) -> Iterator[MariaDbShop]:
    own = copy_mariadb_shop(mariadb_shop, "expiring")
    yield own
    own.server.drop_database(own.database)


@pytest.fixture(scope="module")
def mariadb(start_mysql_gateway: StartMySqlGateway, own_shop: MariaDbShop) -> MySqlGateway:
    return start_mysql_gateway(own_shop, tls=True, change=believing)


def call(gateway: MySqlGateway, password: str) -> Any:
    return pymysql.connect(**{**gateway.arguments(), "password": password}, ssl={"check_hostname": False})


def call_packed(gateway: MySqlGateway, password: str) -> Any:
    words = {**gateway.arguments(), "password": password, "compress": True, "ssl_verify_cert": False}
    return mysql.connector.connect(**words, auth_plugin="mysql_clear_password", use_pure=True)


@pytest.mark.parametrize("dial", [call, call_packed])
def test_mysql_lets_a_statement_finish_and_rolls_back_what_is_open(
    mariadb: MySqlGateway, own_shop: MariaDbShop, dial: Callable[[MySqlGateway, str], Any]
) -> None:
    own_shop.sql("create table if not exists expiring(n int); truncate expiring")
    token = ISSUER.token(ADMIN, lifetime=LIFETIME)
    with dial(mariadb, token) as idle, dial(mariadb, token) as session, session.cursor() as cursor:
        waiting = idle.cursor()
        cursor.execute("insert into expiring values (1)")
        cursor.execute(f"select sleep({LIFETIME + 2})")
        assert cursor.fetchone() == (0,)
        for ended in (cursor, waiting):
            with pytest.raises(Exception, match=TOLD) as failure:
                ended.execute("insert into expiring values (2)")
            assert failure.value.args[0] == 4031
    assert own_shop.sql("select count(*) from expiring").strip() == "0"
    eventually(lambda: "CredentialExpired: the token that the session was opened with" in mariadb.audit_text())


# --- MongoDB ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mongodb(start_mongo_gateway: StartMongoGateway, mongo_shop: DocumentShop) -> MongoGateway:
    return start_mongo_gateway(mongo_shop, tls=True, change=believing)


@dataclass(slots=True)
class Person(OIDCCallback):
    """Gives tokens of ``name`` that last as long as ``lifetime`` says, and remembers what it was told."""

    name: str = ADMIN
    groups: tuple[str, ...] = ()
    lifetime: float = LIFETIME
    calls: int = 0
    told: OIDCCallbackContext | None = None

    def fetch(self, context: OIDCCallbackContext) -> OIDCCallbackResult:
        self.calls += 1
        self.told = context
        claims = {"querygate_resource": DOCUMENTS, "groups": list(self.groups)}
        token = ISSUER.token(self.name, lifetime=self.lifetime, **claims)
        return OIDCCallbackResult(access_token=token, refresh_token="again")


def bearer(gateway: MongoGateway, callback: OIDCCallback, *, kind: str = "OIDC_CALLBACK", **more: Any) -> Any:
    return MongoClient(
        host=gateway.host,
        port=gateway.port,
        authMechanism="MONGODB-OIDC",
        authMechanismProperties={kind: callback},
        tls=True,
        tlsAllowInvalidCertificates=True,
        serverSelectionTimeoutMS=10_000,
        **more,
    )


@pytest.fixture
def emptied(mongo_shop: DocumentShop) -> Iterator[Any]:
    """A collection for one test, seen from behind the gateway."""
    with mongo_shop.client() as direct:
        direct.shop.drop_collection("expiring")
        direct.shop.create_collection("expiring")
        yield direct.shop.expiring
        direct.shop.drop_collection("expiring")


@pytest.mark.parametrize("kind", ["OIDC_CALLBACK", "OIDC_HUMAN_CALLBACK"])
def test_mongodb_has_drivers_renew_their_tokens_on_the_same_connection(
    mongodb: MongoGateway, emptied: Any, kind: str
) -> None:
    callback = Person()
    with bearer(mongodb, callback, kind=kind, retryWrites=False, retryReads=False, maxPoolSize=1) as client:
        with client.start_session() as session, session.start_transaction():
            started = time.time()
            client.shop.expiring.insert_one({"_id": 1}, session=session)
            eventually(over(started))
            callback.lifetime = 300
            client.shop.expiring.insert_one({"_id": 2}, session=session)
        assert callback.calls == 2
        assert [found["_id"] for found in client.shop.expiring.find()] == [1, 2]
        known = client.admin.command("hello")["connectionId"]
        assert client.admin.command("hello")["connectionId"] == known
    if kind == "OIDC_HUMAN_CALLBACK":
        assert callback.told is not None
        assert callback.told.refresh_token == "again"
    assert mongodb.audit(ADMIN, "proved once more, by another token", kind=3002)


def test_mongodb_lets_a_command_finish(mongodb: MongoGateway, emptied: Any) -> None:
    with bearer(mongodb, Person()) as client, ThreadPoolExecutor(1) as pool:
        emptied.insert_one({"_id": 1})
        started = time.time()
        wait = {"$where": f"sleep({int(LIFETIME + 3) * 1000}) || true"}
        slow = pool.submit(lambda: list(client.shop.expiring.find(wait, allow_disk_use=None)))
        eventually(over(started))
        assert [found["_id"] for found in slow.result()] == [1]


@pytest.mark.parametrize(
    ("name", "groups", "reason"),
    [
        ("ana@example.com", (), "for another user name"),
        (ADMIN, ("support",), "another principal, or other groups"),
    ],
)
def test_mongodb_takes_no_other_principal_on_a_live_connection(
    mongodb: MongoGateway, emptied: Any, name: str, groups: tuple[str, ...], reason: str
) -> None:
    callback = Person()
    with bearer(mongodb, callback, retryWrites=False, retryReads=False, maxPoolSize=1) as client:
        started = time.time()
        client.shop.expiring.insert_one({"_id": 1})
        eventually(over(started))
        callback.name, callback.groups = name, groups
        with pytest.raises((OperationFailure, AutoReconnect)) as failure:
            client.shop.expiring.insert_one({"_id": 2})
        assert getattr(failure.value, "code", 18) == 18
        assert emptied.count_documents({}) == 1
    assert mongodb.audit(reason, kind=3002)


def test_mongodb_ends_what_cannot_be_renewed(mongodb: MongoGateway, emptied: Any) -> None:
    token = ISSUER.token(ADMIN, lifetime=LIFETIME)
    uri = mongodb.uri(ADMIN, resource=DOCUMENTS, password=token, options="authMechanism=PLAIN&authSource=$external")
    with MongoClient[dict[str, Any]](uri, retryWrites=False, retryReads=False, maxPoolSize=1) as client:
        with client.start_session() as session:
            session.start_transaction()
            started = time.time()
            client.shop.expiring.insert_one({"_id": 1}, session=session)
            eventually(over(started))
            with pytest.raises(OperationFailure, match=TOLD) as failure:
                client.shop.expiring.insert_one({"_id": 2}, session=session)
            assert failure.value.code == 18
        # The transaction is over: what it had locked can be had at once.
        emptied.insert_one({"_id": 1})
        with pytest.raises(OperationFailure, match="authentication failed"):
            client.shop.expiring.find_one()
    assert mongodb.audit("insert: the token that the session was opened with has expired", kind=6005)
