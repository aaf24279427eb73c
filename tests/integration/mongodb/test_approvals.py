"""A command that waits for a human, with a real driver and a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import quote_plus

import pytest
from pymongo import MongoClient
from pymongo.errors import NetworkTimeout, OperationFailure

from gateway.domain.approval import ApprovalState
from gateway.testing.shop_documents import DocumentShop
from tests.fixtures.mongodb import ADMIN, RESOURCE, Config, mongo_config
from tests.fixtures.waiting import eventually
from tests.integration.approvals import DAVE, TOKEN, DeskBed, serving_bed

Client = MongoClient[dict[str, Any]]
HELD, LATER = "approvals_held", "approvals_later"


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory, mongo_shop: DocumentShop) -> Iterator[DeskBed]:
    def make(port: int) -> Config:
        config = mongo_config(mongo_shop, port=port, tls=False)
        config["approvals"] = {"url": "https://querygate.example/approvals"}
        for name, hold in ((HELD, True), (LATER, False)):
            config["policies"].append(
                {
                    "name": f"ask-{name}",
                    "effect": "require_approval",
                    "match": {"objects": [f"*.{name}"], "actions": ["write", "ddl"]},
                    "approval": {"approvers": ["dba"], "timeout": "30s", "hold": hold},
                }
            )
        return config

    with serving_bed(tmp_path_factory.mktemp("approvals"), make, mongo_shop.password) as bed:
        yield bed
    with mongo_shop.server.client() as direct:
        for database in ("shop", "elsewhere"):
            for name in (HELD, LATER):
                direct[database].drop_collection(name)


@pytest.fixture
def client(bed: DeskBed) -> Iterator[Client]:
    with connect(bed) as client:
        yield client


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def connect(bed: DeskBed, **options: Any) -> Client:
    name = quote_plus(f"{ADMIN}#{RESOURCE}")
    return MongoClient(f"mongodb://{name}:{TOKEN}@127.0.0.1:{bed.port}/?retryWrites=false", maxPoolSize=1, **options)


def insert(client: Client, threads: ThreadPoolExecutor, *numbers: int) -> Future[Any]:
    return threads.submit(client.shop[HELD].insert_many, [{"_id": number} for number in numbers])


def state(bed: DeskBed, identifier: str) -> ApprovalState:
    return bed.call(bed.assembly.desk.get(identifier)).state


def test_it_waits_and_goes_on_when_approved(bed: DeskBed, client: Client, threads: ThreadPoolExecutor) -> None:
    waiting = insert(client, threads, 1, 2)
    request = bed.pending()
    assert not waiting.done()
    with connect(bed) as other:
        assert other.shop[HELD].count_documents({}) == 0
    assert request.subject.principal == ADMIN
    assert request.statement is not None
    assert request.statement.writes == (f"shop.{HELD}",)
    assert '"_id": 2' in request.statement.text
    bed.decide(request, DAVE)
    assert waiting.result(10).inserted_ids == [1, 2]
    assert client.shop[HELD].count_documents({}) == 2


def test_a_rejection_is_a_native_error_and_the_connection_goes_on(
    bed: DeskBed, client: Client, threads: ThreadPoolExecutor
) -> None:
    before = client.admin.command("whatsmyuri")["you"]
    waiting = threads.submit(client.shop.drop_collection, HELD)
    bed.decide(bed.pending(), DAVE, approve=False, reason="we still need it")
    with pytest.raises(OperationFailure, match="we still need it") as refused:
        waiting.result(10)
    assert refused.value.code == 13
    assert client.admin.command("whatsmyuri")["you"] == before
    assert HELD in client.shop.list_collection_names()


def test_in_a_transaction_a_rejection_leaves_the_choice_to_the_client(
    bed: DeskBed, client: Client, threads: ThreadPoolExecutor
) -> None:
    client.shop.create_collection("approvals_free")
    with client.start_session() as session:
        session.start_transaction()
        client.shop.approvals_free.insert_one({"_id": "kept"}, session=session)
        waiting = threads.submit(client.shop[HELD].insert_one, {"_id": "no"}, session=session)
        bed.decide(bed.pending(), DAVE, approve=False)
        with pytest.raises(OperationFailure) as refused:
            waiting.result(10)
        assert refused.value.code == 13
        assert not refused.value.has_error_label("TransientTransactionError")
        client.shop.approvals_free.insert_one({"_id": "also kept"}, session=session)
        session.commit_transaction()
    assert {found["_id"] for found in client.shop.approvals_free.find()} == {"kept", "also kept"}
    assert client.shop[HELD].count_documents({"_id": "no"}) == 0
    client.shop.drop_collection("approvals_free")


def test_a_refused_first_command_leaves_no_transaction_behind(bed: DeskBed, client: Client) -> None:
    with client.start_session() as session:
        session.start_transaction()
        with pytest.raises(OperationFailure) as refused:
            client.shop[LATER].insert_one({"_id": "first"}, session=session)
        assert refused.value.code == 13
        assert not refused.value.has_error_label("TransientTransactionError")
        with pytest.raises(OperationFailure) as nothing:
            session.commit_transaction()
        assert nothing.value.code == 251
        session.start_transaction()  # the session itself is as good as before
        assert client.shop[LATER].find_one({"_id": "first"}, session=session) is None
        session.commit_transaction()
    bed.decide(bed.pending(), DAVE, approve=False)


def test_a_client_that_leaves_withdraws_its_request(bed: DeskBed, threads: ThreadPoolExecutor) -> None:
    with connect(bed, socketTimeoutMS=1500) as client:
        waiting = insert(client, threads, 99)
        request = bed.pending()
        with pytest.raises(NetworkTimeout):
            waiting.result(10)
        eventually(lambda: state(bed, request.id) is ApprovalState.WITHDRAWN)
    with connect(bed) as other:
        assert other.shop[HELD].count_documents({"_id": 99}) == 0


def test_an_approval_is_for_the_same_bytes_once(bed: DeskBed, client: Client) -> None:
    def insert_later(database: str, number: Any) -> None:
        client[database][LATER].insert_one({"_id": number})

    with pytest.raises(OperationFailure) as refused:
        insert_later("shop", 7)
    request = bed.pending()
    assert request.id in str(refused.value)
    bed.decide(request, DAVE)
    for database, number in (("shop", 8), ("elsewhere", 7), ("shop", 7.0)):
        with pytest.raises(OperationFailure):
            insert_later(database, number)
    with connect(bed) as other:  # another session of the client, with a cluster time of its own
        other.shop[LATER].insert_one({"_id": 7})
    with pytest.raises(OperationFailure) as refused:
        insert_later("shop", 7)
    assert refused.value.code == 13
    for left in bed.requests(ApprovalState.PENDING):
        bed.decide(left, DAVE, approve=False)


@pytest.mark.parametrize(
    "other",
    [
        {"q": {"name": "X"}},
        {"q": {"name": {"$eq": "x"}}},
        {"limit": 0},
        {"collation": {"locale": "en", "strength": 1}},
        {"hint": {"_id": 1}},
        {"more": {"let": {"name": "y"}}},
        {"more": {"ordered": False}},
        {"more": {"writeConcern": {"w": 0}}},
        {"more": {"maxTimeMS": 1}},
        {"more": {"comment": "another"}},
        {"twice": True},
    ],
    ids=str,
)
def test_what_else_a_command_says_is_part_of_what_was_approved(
    bed: DeskBed, client: Client, other: dict[str, Any]
) -> None:
    def delete(q: Any = None, more: Any = None, twice: bool = False, **options: Any) -> Any:
        one = {"q": {"name": "x"} if q is None else q, "limit": 1} | options
        return client.shop.command({"delete": LATER, "deletes": [one] * (1 + twice), **(more or {})})

    with pytest.raises(OperationFailure, match="approval"):
        delete()
    bed.decide(bed.pending(), DAVE)
    with pytest.raises(OperationFailure, match="approval"):
        delete(**other)
    assert delete()["n"] == 0, "as it was asked for"
    for left in bed.requests(ApprovalState.PENDING):
        bed.decide(left, DAVE, approve=False)


ESTIMATES: dict[str, tuple[dict[str, Any], int | None]] = {
    "all": ({"delete": LATER, "deletes": [{"q": {}, "limit": 0}]}, 40),
    "some": ({"update": LATER, "updates": [{"q": {"shelf": 3}, "u": {"$set": {"a": 1}}, "multi": True}]}, 10),
    "the first of some": ({"update": LATER, "updates": [{"q": {"shelf": 3}, "u": {"$set": {"a": 1}}}]}, 1),
    "none, so it is made": ({"update": LATER, "updates": [{"q": {"shelf": 9}, "u": {"a": 1}, "upsert": True}]}, 1),
    "none": ({"delete": LATER, "deletes": [{"q": {"shelf": 9}, "limit": 0}]}, 0),
    "two filters": (
        {"delete": LATER, "deletes": [{"q": {"shelf": 1}, "limit": 0}, {"q": {"_id": 2}, "limit": 1}]},
        11,
    ),
    "other letters": (
        {
            "delete": LATER,
            "deletes": [{"q": {"note": "NOTE"}, "limit": 0, "collation": {"locale": "en", "strength": 2}}],
        },
        40,
    ),
    "one that is found and changed": ({"findAndModify": LATER, "query": {"shelf": 3}, "update": {"$set": {"a": 1}}}, 1),
    "more filters than are counted": (
        {"delete": LATER, "deletes": [{"q": {"_id": number}, "limit": 1} for number in range(9)]},
        None,
    ),
    "a filter with variables": (
        {
            "delete": LATER,
            "deletes": [{"q": {"$expr": {"$eq": ["$shelf", "$$s"]}}, "limit": 0}],
            "let": {"s": 1},
        },
        None,
    ),
    "a filter that would come back as another": (
        {"delete": LATER, "deletes": [{"q": {"note": {"$not": {"$regex": "", "$in": []}}}, "limit": 0}]},
        None,
    ),
    "an expression, which no time limit ends": (
        {"delete": LATER, "deletes": [{"q": {"$expr": {"$gt": ["$shelf", 2]}}, "limit": 0}]},
        None,
    ),
    "a pattern": ({"delete": LATER, "deletes": [{"q": {"note": re.compile("^NO", re.IGNORECASE)}, "limit": 0}]}, 40),
    "JavaScript": ({"delete": LATER, "deletes": [{"q": {"$where": "sleep(5) || true"}, "limit": 0}]}, None),
    "new documents": ({"insert": LATER, "documents": [{"_id": 100}]}, None),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_an_approver_is_told_how_many_documents_are_meant(bed: DeskBed, mongo_shop: DocumentShop, name: str) -> None:
    command, expected = ESTIMATES[name]
    with mongo_shop.server.client() as direct:
        direct.elsewhere.drop_collection(LATER)
        direct.elsewhere[LATER].insert_many({"_id": n, "shelf": n % 4, "note": "note"} for n in range(40))
    with connect(bed) as client, pytest.raises(OperationFailure, match="approval"):
        client.elsewhere.command(command)
    request = bed.pending()
    bed.decide(request, DAVE, approve=False)
    assert request.statement is not None
    assert request.statement.estimated_rows == expected
