"""A real mongod: reachable as promised, a replica set where asked for, gone when its owner is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from gateway.testing.servers import MongoServer
from gateway.testing.servers.mongod import X509_USER
from gateway.testing.shop_documents import DocumentShop, shop_documents
from tests.fixtures.mongodb import start_mongod


def test_a_standalone_server_asks_for_a_password() -> None:
    with start_mongod() as server:
        with server.client() as client:
            assert "setName" not in client.admin.command("hello")
        with MongoClient[dict[str, Any]](server.uri(password="wrong")) as client, pytest.raises(OperationFailure):
            client.admin.command("ping")
        with MongoClient[dict[str, Any]](server.host, server.port) as client, pytest.raises(OperationFailure):
            client.admin.command("listDatabases")
        directory = server.directory
    assert not directory.exists()


def test_a_client_certificate_logs_in_over_tls(mongo_server: MongoServer) -> None:
    with MongoClient[dict[str, Any]](
        "localhost",
        mongo_server.port,
        directConnection=True,
        tls=True,
        tlsCAFile=str(mongo_server.ca_path),
        tlsCertificateKeyFile=str(mongo_server.client_certificate),
        authMechanism="MONGODB-X509",
    ) as client:
        (user,) = client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
    assert user == {"user": X509_USER, "db": "$external"}


def test_the_server_is_not_run_by_root(mongo_server: MongoServer) -> None:
    assert Path(f"/proc/{mongo_server.pid}").stat().st_uid != 0


def test_the_shop_is_the_same_every_time(mongo_shop: DocumentShop) -> None:
    with mongo_shop.client() as client:
        found = client[mongo_shop.database].customers.find_one({"_id": 7})
        assert client[mongo_shop.database].order_overview.find_one({}) is not None
    assert found is not None
    assert found["contact"] == shop_documents()["customers"][6]["contact"]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_another_member_takes_over_when_the_primary_steps_down_or_dies() -> None:
    with start_mongod(members=3) as server:
        first = server.primary()
        assert first is server.members[0]
        server.step_down(30)
        second = server.primary()
        assert second is not first
        second.kill()
        assert server.primary() is not second
        second.start()
