"""An agent with an exchanged token (RFC 8693) on real databases of three kinds: its rights, its budget, its trace."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import psycopg
import pymongo
import pymongo.errors
import pymysql
import pytest

from gateway.testing.servers.ports import free_port
from gateway.testing.shop import Shop
from gateway.testing.shop_documents import DocumentShop
from gateway.testing.shop_mariadb import MariaDbShop
from tests.fixtures.control_plane import ControlPlane, start_control_plane
from tests.fixtures.waiting import eventually

ANA, COPILOT = "ana@example.com", "copilot"
BUDGET = 8
"""Statements that a courier may run within an hour."""

Ask = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Estate:
    plane: ControlPlane
    ports: dict[str, int]

    def exchanged(self, agent: str = COPILOT) -> str:
        """A token with which an agent acts for Ana."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": self.plane.token(ANA),
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_name": ANA,
            "actor_token": self.plane.token(agent),
            "actor_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "actor_name": agent,
        }
        answer = self.plane.api.post("/oauth/token", data=form, headers={"Authorization": ""})
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token


@pytest.fixture(scope="module")
def estate(
    tmp_path_factory: pytest.TempPathFactory,
    shop_database: Shop,
    mariadb_shop: MariaDbShop,
    mongo_shop: DocumentShop,
    control_stack: ExitStack,
) -> Estate:
    ports = {"mysql": free_port(), "mongodb": free_port()}
    folder = tmp_path_factory.mktemp("agents") / "control"
    passwords = {"QUERYGATE_SECRET_CRM": mariadb_shop.password, "QUERYGATE_SECRET_DOCS": mongo_shop.password}
    plane = start_control_plane(folder, shop_database, control_stack, tls=True, listeners=ports, environment=passwords)
    for name, protocol, address, user, variable in (
        ("crm-prod", "mysql", f"127.0.0.1:{mariadb_shop.server.port}", mariadb_shop.user, "QUERYGATE_SECRET_CRM"),
        ("docs-prod", "mongodb", f"127.0.0.1:{mongo_shop.server.port}", mongo_shop.user, "QUERYGATE_SECRET_DOCS"),
    ):
        resource = {
            "name": name,
            "protocol": protocol,
            "address": address,
            "credentials": {"username": user, "password": {"env": variable}},
            "tls": {"mode": "disable"},
            "environment": "production",
        }
        plane.ask("POST", "/v1/resources", resource | ({"database": "shop"} if protocol == "mysql" else {}), 201)
    for labelled, where in (
        ("crm-prod", {"columns": ["shop.customers.email"]}),
        ("docs-prod", {"paths": ["shop.customers.contact.email"]}),
    ):
        plane.ask("POST", "/v1/classifications", {"resource": labelled, "label": "pii.email", **where}, 201)
    agent = {"name": COPILOT, "kind": "agent", "groups": ["agents"], "acts_for": ANA, "bearer": True}
    plane.ask("POST", "/v1/principals", agent, 201)
    reading = {"groups": ["agents"], "actions": ["read", "session"]}
    plane.ask("POST", "/v1/policies", {"name": "agents-may-read", "effect": "allow", "match": reading}, 201)
    budget = {
        "name": "couriers-stay-small",
        "effect": "limit",
        "match": {"groups": ["couriers"]},
        "limit": {"budget": {"statements": BUDGET, "per": "1h"}},
    }
    plane.ask("POST", "/v1/policies", budget, 201)
    return Estate(plane, ports | {"postgres": plane.port})


# --- one way to ask for each protocol: rows of (id, e-mail), a change, and what a refusal looks like ----------------


@dataclass(frozen=True, slots=True)
class Client:
    read: Callable[[], list[tuple[Any, Any]]]
    change: Callable[[], object]


@contextmanager
def postgres(estate: Estate, user: str, password: str) -> Iterator[Client]:
    where = {"host": "127.0.0.1", "port": estate.ports["postgres"], "dbname": "shop-prod", "sslmode": "require"}
    with psycopg.connect(**where, user=user, password=password, autocommit=True) as connection:  # type: ignore[arg-type]
        yield Client(
            lambda: connection.execute("SELECT id, email FROM customers ORDER BY id LIMIT 3").fetchall(),
            lambda: connection.execute("UPDATE customers SET full_name = full_name WHERE id = 1"),
        )


@contextmanager
def mysql(estate: Estate, user: str, password: str) -> Iterator[Client]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    where: dict[str, Any] = {"host": "127.0.0.1", "port": estate.ports["mysql"], "database": "crm-prod", "ssl": context}
    with closing(pymysql.connect(**where, user=user, password=password, autocommit=True)) as connection:

        def run(text: str) -> list[tuple[Any, Any]]:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return list(cursor.fetchall())

        yield Client(
            lambda: run("SELECT id, email FROM customers ORDER BY id LIMIT 3"),
            lambda: run("UPDATE customers SET full_name = full_name WHERE id = 1"),
        )


@contextmanager
def mongodb(estate: Estate, user: str, password: str) -> Iterator[Client]:
    # A bearer token goes as PLAIN, an access token by the driver's own choice.
    options = "tls=true&tlsAllowInvalidCertificates=true" + (
        "&authMechanism=PLAIN&authSource=$external" if password.startswith("eyJ") else ""
    )
    name = quote_plus(f"{user}#docs-prod")
    uri = f"mongodb://{name}:{quote_plus(password)}@127.0.0.1:{estate.ports['mongodb']}/?{options}"
    with pymongo.MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=20_000) as client:
        customers = client.shop.customers

        def read() -> list[tuple[Any, Any]]:
            found = customers.find({}, {"contact.email": 1}).sort("_id").limit(3)
            return [(one["_id"], one["contact"]["email"]) for one in found]

        yield Client(read, lambda: customers.update_one({"_id": 1}, {"$set": {"name": "Ana"}}))


PROTOCOLS = pytest.mark.parametrize(
    ("connect", "resource"),
    [(postgres, "shop-prod"), (mysql, "crm-prod"), (mongodb, "docs-prod")],
    ids=["postgres", "mysql", "mongodb"],
)
REFUSALS = (psycopg.Error, pymysql.Error, pymongo.errors.PyMongoError)


@PROTOCOLS
def test_the_agent_sees_what_both_may_and_both_are_in_the_audit(estate: Estate, connect: Any, resource: str) -> None:
    with connect(estate, COPILOT, estate.exchanged()) as client:
        rows = client.read()
        assert [number for number, _ in rows] == [1, 2, 3]
        assert all("@" not in str(email) for _, email in rows), "Ana sees masks, and so does who acts for her"
        with pytest.raises(REFUSALS):
            client.change()
    read, refused = recorded_of(estate, COPILOT, resource, 2)
    assert (read["status_id"], refused["status_id"], refused["action_id"]) == (1, 2, 2)
    for event in (read, refused):
        assert [member["name"] for member in event["unmapped"]["session"]["acts_for"]] == [ANA]


@PROTOCOLS
def test_its_budget_is_its_own(estate: Estate, connect: Any, resource: str) -> None:
    agent = f"courier-{resource}"
    document = {"name": agent, "kind": "agent", "groups": ["agents", "couriers"], "acts_for": ANA, "bearer": True}
    estate.plane.ask("POST", "/v1/principals", document, 201)

    def run(times: int) -> None:
        with connect(estate, agent, estate.exchanged(agent)) as client:
            for _ in range(times):
                client.read()

    run(1)
    with pytest.raises(REFUSALS, match="budget"):
        run(BUDGET + 1)
    with pytest.raises(REFUSALS, match="budget"):
        run(1)  # another session, another token: the same agent
    with connect(estate, ANA, estate.plane.token(ANA)) as client:
        assert len(client.read()) == 3, "the person's own budget is not touched"


def recorded_of(estate: Estate, agent: str, resource: str, count: int) -> list[dict[str, Any]]:
    """The agent's statements that touched customers, oldest first, as soon as there are ``count``."""
    found: list[dict[str, Any]] = []

    def recorded() -> bool:
        query = f"/v1/audit-events?person={ANA}&resource={resource}&kind=statement&limit=200"
        events = estate.plane.ask("GET", query)["items"]
        found[:] = [event for event in reversed(events) if event["actor"]["user"]["name"] == agent]
        found[:] = [event for event in found if "customers" in str(event["query_info"])]
        return len(found) >= count

    eventually(recorded)
    return found
