"""Tokens of an issuer instead of passwords: MONGODB-OIDC and PLAIN, as drivers speak them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient, MongoClient
from pymongo.auth_oidc import OIDCCallback, OIDCCallbackContext, OIDCCallbackResult
from pymongo.errors import OperationFailure

from gateway.testing.servers.ports import free_port
from gateway.testing.shop_documents import DocumentShop
from tests.fixtures.issuer import Issuer
from tests.fixtures.mongodb import ADMIN, ANALYST, RESOURCE, MongoGateway, StartMongoGateway
from tests.fixtures.waiting import eventually
from tests.integration.mongodb.raw import RawClient

NEWCOMER = "nora@example.com"
LEAVERS = ("lea@example.com", "leo@example.com")
CLAIM: dict[str, Any] = {"querygate_resource": RESOURCE}


@dataclass(frozen=True, slots=True)
class Bearers:
    """A gateway that believes an issuer; ``own`` is the listener of the one resource."""

    gateway: MongoGateway
    own: int
    issuer: Issuer
    keys: Path
    """The issuer's public keys, as the gateway reads them."""

    def client(self, callback: OIDCCallback, *, port: int | None = None, kind: Any = MongoClient, **more: Any) -> Any:
        """A client whose tokens come from ``callback``. Close it."""
        return kind(
            host=self.gateway.host,
            port=port or self.gateway.port,
            authMechanism="MONGODB-OIDC",
            authMechanismProperties={"OIDC_CALLBACK": callback},
            **{"tls": self.gateway.tls, "serverSelectionTimeoutMS": 10_000} | more,
            **({"tlsAllowInvalidCertificates": True} if self.gateway.tls else {}),
        )


class Callback(OIDCCallback):
    """Gives the tokens that ``mint`` makes, and counts."""

    def __init__(self, mint: Callable[[], str]) -> None:
        self.mint = mint
        self.calls = 0

    def fetch(self, context: OIDCCallbackContext) -> OIDCCallbackResult:
        self.calls += 1
        return OIDCCallbackResult(access_token=self.mint())


@pytest.fixture(scope="module")
def bearers(
    start_mongo_gateway: StartMongoGateway, mongo_shop: DocumentShop, tmp_path_factory: pytest.TempPathFactory
) -> Bearers:
    issuer, own, keys = Issuer(), free_port(), tmp_path_factory.mktemp("issuer") / "keys.json"
    keys.write_text(json.dumps(issuer.keys()))

    def change(config: dict[str, Any]) -> None:
        issuers = {"jwks": {"file": str(keys)}, "groups_claim": "groups", "users": ["*@example.com"]}
        config["identity"] = {"jwt": [issuer.configuration(**issuers)]}
        config["resources"][0]["listen"] = f"127.0.0.1:{own}"
        config["principals"] += [
            {"name": name, "kind": "human", "groups": ["admins"], "token": {"env": "TEST_TOKEN"}} for name in LEAVERS
        ]
        locked = {"name": "locked", "credentials": {"username": mongo_shop.user, "password": {"env": "TEST_TOKEN"}}}
        config["resources"].append({**config["resources"][0], **locked})
        del config["resources"][1]["listen"]

    return Bearers(start_mongo_gateway(mongo_shop, tls=True, change=change), own, issuer, keys)


@pytest.mark.parametrize("kind", [MongoClient, AsyncMongoClient, AsyncIOMotorClient])
def test_a_driver_asks_its_callback_once_for_a_whole_pool(bearers: Bearers, kind: Any) -> None:
    callback = Callback(lambda: bearers.issuer.token(ADMIN, **CLAIM))
    client = bearers.client(callback, kind=kind)

    async def together() -> list[Any]:
        found = await asyncio.gather(*(client.shop.orders.find_one({"_id": number}) for number in range(1, 40)))
        closing = client.close()
        if closing is not None:
            await closing
        return found

    if kind is MongoClient:
        # The token that it has goes inside the hello of every further connection.
        with client, ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda number: client.shop.orders.find_one({"_id": number}), range(1, 40)))
    else:
        found = asyncio.run(together())
    assert [document["_id"] for document in found] == list(range(1, 40))
    assert callback.calls == 1


def test_a_listener_of_its_own_needs_no_claim(bearers: Bearers) -> None:
    with bearers.client(Callback(lambda: bearers.issuer.token(ADMIN)), port=bearers.own) as client:
        assert client.shop.customers.count_documents({}) == 200
        (user,) = client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
        assert user["user"] == ADMIN


def test_masks_are_those_of_whom_the_token_names(bearers: Bearers, mongo_shop: DocumentShop) -> None:
    with mongo_shop.client() as direct:
        stored = direct.shop.customers.find_one({"_id": 7})
    assert stored is not None
    with bearers.client(Callback(lambda: bearers.issuer.token(ANALYST, **CLAIM))) as client:
        found = client.shop.customers.find_one({"_id": 7})
    assert found["name"] == stored["name"]
    assert stored["contact"]["email"] not in str(found)
    # Somebody of whom the configuration knows nothing is who the token says, in its groups.
    newcomer = Callback(lambda: bearers.issuer.token(NEWCOMER, groups=["analysts"], **CLAIM))
    with bearers.client(newcomer) as client:
        assert client.shop.customers.find_one({"_id": 7}) == found
    (event,) = bearers.gateway.audit(NEWCOMER, "customers")
    assert event["status_id"] == 1


BAD: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "audience": (lambda issuer: issuer.token(ADMIN, aud="another-service", **CLAIM), "for another audience"),
    "expired": (lambda issuer: issuer.token(ADMIN, lifetime=-60, **CLAIM), "expired"),
    "issuer": (lambda issuer: Issuer("https://evil.example.com").token(ADMIN, **CLAIM), "of an unknown issuer"),
    "key": (lambda issuer: Issuer().token(ADMIN, **CLAIM), "the signature cannot be verified"),
    "subject": (lambda issuer: issuer.token("nobody@example.org", **CLAIM), "its subject is not a principal"),
    "no-resource": (lambda issuer: issuer.token(ADMIN), "asked for the resource ''"),
    "resource": (lambda issuer: issuer.token(ADMIN, querygate_resource="none"), "asked for the resource 'none'"),
    "text": (lambda issuer: "not-a-token", "no identity provider recognises the credentials"),
}


@pytest.mark.parametrize(("mint", "reason"), BAD.values(), ids=BAD.keys())
def test_bad_tokens_look_alike_to_clients_and_not_to_the_audit(
    bearers: Bearers, mint: Callable[[Issuer], str], reason: str
) -> None:
    token = mint(bearers.issuer)
    with bearers.client(Callback(lambda: token)) as client, pytest.raises(OperationFailure) as failure:
        client.admin.command("ping")
    assert failure.value.code == 18
    # Only who has proved who they are is told that there is no such resource.
    told = "no such database behind this gateway" if "resource" in reason else "authentication failed"
    assert (failure.value.details or {})["errmsg"].startswith(f"{told} (reference ")
    reference = str(failure.value).partition("(reference ")[2].partition(")")[0]
    (event,) = bearers.gateway.audit(reference, reason, kind=6005 if "resource" in reason else 3002)
    assert token not in str(event)


def test_a_token_that_is_not_good_any_more_is_replaced_by_the_driver(bearers: Bearers) -> None:
    stale = bearers.issuer.token(ADMIN, **CLAIM)
    callback = Callback(lambda: bearers.issuer.token(ADMIN, **CLAIM))
    # No connection is used twice: each asks anew, with the token that the driver has kept, inside its hello.
    with bearers.client(callback, maxIdleTimeMS=1, retryReads=False) as client:
        assert client.shop.orders.find_one({"_id": 1})["_id"] == 1
        bearers.issuer.renew()
        bearers.keys.write_text(json.dumps(bearers.issuer.keys()))
        eventually(lambda: refuses(bearers, stale))
        time.sleep(0.01)
        assert client.shop.orders.find_one({"_id": 2})["_id"] == 2
    assert callback.calls == 2


def test_a_client_has_no_more_tries_than_a_driver_needs(bearers: Bearers) -> None:
    # The tries inside a hello count, and are in the audit as any other.
    with RawClient(bearers.gateway) as client:
        wrong = shown(Issuer().token(ADMIN, **CLAIM))
        hello = {"hello": 1, "speculativeAuthenticate": {**wrong, "db": "$external"}}
        assert "speculativeAuthenticate" not in client.ask(hello)
        assert "speculativeAuthenticate" not in client.ask(hello), "a login may be in one hello of a connection"
        refused = [client.ask(wrong, database="$external") for _ in range(2)]
        assert [reply["code"] for reply in refused] == [18, 18]
        with pytest.raises((EOFError, ConnectionResetError)):
            client.ask(shown(bearers.issuer.token(ADMIN, **CLAIM)), database="$external")
    reference = refused[0]["errmsg"].partition("(reference ")[2].rstrip(")")
    eventually(lambda: len(bearers.gateway.audit(reference, kind=3002)) == 3)


def test_passwords_are_guessed_once_and_on_record(bearers: Bearers) -> None:
    guess = {"saslStart": 1, "mechanism": "PLAIN", "payload": f"\0guessed@example.com#{RESOURCE}\0wrong".encode()}
    with RawClient(bearers.gateway) as client:
        for _ in range(3):
            greeted = client.ask({"hello": 1, "speculativeAuthenticate": {**guess, "db": "$external"}})
            assert "speculativeAuthenticate" not in greeted
        assert client.ask(guess, database="$external")["code"] == 18
        with pytest.raises((EOFError, ConnectionResetError)):
            client.ask({"ping": 1})
    eventually(lambda: len(bearers.gateway.audit("guessed@example.com", "login_failed", kind=3002)) == 2)


def test_plain_takes_a_token_of_the_issuer_for_whom_it_names(bearers: Bearers) -> None:
    options = "authMechanism=PLAIN&authSource=$external"
    for name, bearer in ((ANALYST, ANALYST), (NEWCOMER, NEWCOMER), (ANALYST, ADMIN), (ANALYST, "x@example.org")):
        token = bearers.issuer.token(bearer, groups=["analysts"])
        uri = bearers.gateway.uri(name, password=token, options=options)
        with MongoClient[dict[str, Any]](uri) as client:
            if name == bearer:
                found = client.shop.customers.find_one({"_id": 7}) or {}
                assert found["name"]
                assert "viktor" not in str(found["contact"]["email"])
            else:
                with pytest.raises(OperationFailure) as failure:
                    client.admin.command("ping")
                assert failure.value.code == 18


def test_no_token_is_taken_in_clear(bearers: Bearers, mongo_gateway: MongoGateway) -> None:
    with RawClient(mongo_gateway) as client:
        hello = {"hello": 1, "speculativeAuthenticate": {**shown(bearers.issuer.token(ADMIN)), "db": "$external"}}
        assert "speculativeAuthenticate" not in client.ask(hello)
        for _ in range(2):
            refused = client.ask(shown(bearers.issuer.token(ADMIN)), database="$external")
            assert (refused["code"], "encrypted connections only" in refused["errmsg"]) == (18, True)
        with pytest.raises((EOFError, ConnectionResetError)):
            client.ask({"ping": 1})


def test_a_database_that_cannot_be_had_is_told_whichever_way_the_token_comes(bearers: Bearers) -> None:
    callback = Callback(lambda: bearers.issuer.token(ADMIN, querygate_resource="locked"))
    # After an error in a handshake, a driver waits until its monitor has seen the server again.
    with bearers.client(callback, retryReads=False, heartbeatFrequencyMS=500) as client:
        for _ in range(2):  # first by a command, then inside the hello
            with pytest.raises(OperationFailure, match="could not log in") as failure:
                client.shop.orders.find_one()
            assert failure.value.code == 6
    assert callback.calls == 1


def test_sessions_end_with_what_let_them_in(bearers: Bearers) -> None:
    by_token, by_password = LEAVERS
    path = bearers.gateway.folder / "querygate.yaml"
    config = json.loads(path.read_text())
    with RawClient(bearers.gateway) as oidc, RawClient(bearers.gateway) as plain:
        assert oidc.ask(shown(bearers.issuer.token(by_token, **CLAIM)), database="$external")["done"] is True
        payload = f"\0{by_password}#{RESOURCE}\0{bearers.gateway.token}".encode()
        assert plain.ask({"saslStart": 1, "mechanism": "PLAIN", "payload": payload}, database="$external")["done"]
        for client in (oidc, plain):
            assert client.ask({"count": "orders"}, database="shop")["n"] == 600
        # One is no principal any more, the other one is, without a token.
        config["principals"] = [one for one in config["principals"] if one["name"] != by_token]
        del next(one for one in config["principals"] if one["name"] == by_password)["token"]
        path.write_text(json.dumps(config))
        os.kill(bearers.gateway.process.pid, signal.SIGHUP)
        for client in (oidc, plain):
            assert ended(client)


def ended(client: RawClient) -> bool:
    """Whether the gateway hangs up, as a client that only listens sees it."""
    try:
        while True:
            client.receive()
    except (EOFError, ConnectionResetError):
        return True


def refuses(bearers: Bearers, token: str) -> bool:
    """Whether the gateway does not believe a token any more."""
    with RawClient(bearers.gateway) as client:
        return bool(client.ask(shown(token), database="$external")["ok"] == 0)


def shown(token: str) -> dict[str, Any]:
    """The command with which a driver shows a token."""
    return {"saslStart": 1, "mechanism": "MONGODB-OIDC", "payload": encode({"jwt": token})}
