"""Budgets of labelled values, as clients of documents meet them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from gateway.testing.servers import MongoServer
from gateway.testing.shop_documents import SENSITIVE_PATHS, DocumentShop, create_document_shop
from tests.fixtures.mongodb import ADMIN, ANALYST, MongoGateway, StartMongoGateway
from tests.fixtures.waiting import eventually

CELLS = 30
ROWS = 50
READERS = ("rows", "small batches", "batches", "nested", "masked", "computed", "distinct", "changes", "one", "copies")
DATABASE = "budgets"
PERSONAL = ["pii.email", "pii.phone"]


def _limits(config: dict[str, Any]) -> None:
    for item in config["classifications"]:
        item["paths"] = [path.replace("shop.", f"{DATABASE}.", 1) for path in SENSITIVE_PATHS[item["label"]]]
    # A principal for each test, so that none spends another's.
    config["principals"] += [
        {"name": name, "kind": "human", "groups": ["readers", name], "token": {"env": "TEST_TOKEN"}} for name in READERS
    ]
    config["policies"] += [
        {"name": "readers-read", "effect": "allow", "match": {"groups": ["readers"], "actions": ["*"]}},
        {"name": "few-emails", "effect": "limit", "match": {"groups": ["readers"], "labels": PERSONAL},
         "limit": {"budget": {"cells": CELLS, "per": "1h"}}},
        {"name": "no-emails", "effect": "mask", "match": {"groups": ["masked"], "labels": ["pii.email"]},
         "mask": {"function": "redact"}},
        {"name": "few-rows", "effect": "limit", "match": {"groups": ["rows"]}, "limit": {"rows": ROWS}},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def limited(start_mongo_gateway: StartMongoGateway, mongo_server: MongoServer) -> MongoGateway:
    shop = create_document_shop(mongo_server, database=DATABASE, user=DATABASE)
    return start_mongo_gateway(shop, change=_limits)


@contextmanager
def suppress_budget() -> Iterator[None]:
    """Let the error at the end of a budget go, and no other."""
    try:
        yield
    except OperationFailure as error:
        if error.code != 96 or "budget" not in str(error):
            raise


def open_cursors(server: MongoServer, collection: str) -> int:
    """How many the database holds open on a collection."""
    with server.client() as direct:
        idle: list[dict[str, Any]] = [
            {"$currentOp": {"allUsers": True, "idleCursors": True}},
            {"$match": {"type": "idleCursor", "ns": f"{DATABASE}.{collection}"}},
        ]
        return len(list(direct.admin.aggregate(idle)))


def read(customers: Collection[dict[str, Any]], *fields: str, **options: Any) -> list[dict[str, Any]]:
    """Documents up to the end, or up to the error, which must be the budget's."""
    found: list[dict[str, Any]] = []
    with suppress_budget():
        for document in customers.find({}, list(fields), **options):
            found.append(document)
    return found


@pytest.mark.parametrize(("reader", "batch_size"), [("batches", 0), ("small batches", 7)])
def test_reading_ends_where_the_budget_does(limited: MongoGateway, reader: str, batch_size: int) -> None:
    with limited.client(reader) as client:
        customers = client[DATABASE].customers
        found = read(customers, "contact.email", batch_size=batch_size)
        assert len(found) == CELLS
        assert all(document["contact"]["email"] for document in found)
        # Nothing is left, for any connection; what has no such label is not counted.
        with pytest.raises(OperationFailure, match="budget"):
            customers.find_one({}, ["contact.email"])
        assert len(read(customers, "name")) == 200
        assert len(list(client[DATABASE].orders.find())) > CELLS
    assert limited.audit(f'"{reader}"', "limited")


@pytest.mark.parametrize("transaction", [False, True], ids=["alone", "transaction"])
@pytest.mark.parametrize("way", ["find", "aggregate", "compressed"])
def test_a_cursor_that_reached_its_limit_is_closed_in_the_database(
    limited: MongoGateway, mongo_server: MongoServer, way: str, transaction: bool
) -> None:
    options = "compressors=zlib" if way == "compressed" else ""
    with limited.client("rows", options=options) as client, client.start_session() as session:
        before = counted_cursors(mongo_server)
        if transaction:
            session.start_transaction()
        orders = client[DATABASE].orders
        found = (
            orders.aggregate([{"$match": {}}], batchSize=20, session=session)
            if way == "aggregate"
            else orders.find({}, batch_size=20, session=session)
        )
        seen = [next(found) for _ in range(20)]
        assert open_cursors(mongo_server, "orders") == 1
        with pytest.raises(OperationFailure, match="limit"):
            seen.extend(found)
        assert len(seen) == ROWS
        # The connection is good for further commands, and what it was told is not mistaken for their answer.
        for number in (1, 2, 3):
            assert (orders.find_one({"_id": number}, session=session) or {})["_id"] == number
        eventually(lambda: open_cursors(mongo_server, "orders") == 0 and counted_cursors(mongo_server) <= before)
        if transaction:
            session.commit_transaction()


def counted_cursors(server: MongoServer) -> int:
    """``metrics.cursor.open.total``."""
    with server.client() as direct:
        return int(direct.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"])


def test_every_value_of_an_array_is_counted(limited: MongoGateway) -> None:
    with limited.client(ADMIN) as client:
        everything = list(client[DATABASE].customers.find({}, ["contact.email", "contact.phones"]))
    with limited.client("nested") as client:
        found = read(client[DATABASE].customers, "contact.email", "contact.phones", batch_size=5)

    def cells(documents: list[dict[str, Any]]) -> int:
        return sum(("email" in d["contact"]) + sum("number" in p for p in d["contact"]["phones"]) for d in documents)

    assert found == everything[: len(found)]
    assert cells(found) <= CELLS < cells(everything[: len(found) + 1])


def test_masked_values_cost_nothing(limited: MongoGateway) -> None:
    with limited.client("masked") as client:
        customers = client[DATABASE].customers
        assert len(read(customers, "contact.email")) == 200
        assert len(read(customers, "contact.email")) == 200
        assert 0 < len(read(customers, "contact.phones")) < 200


def test_values_made_of_others_count_by_their_size(limited: MongoGateway) -> None:
    gathered: list[dict[str, Any]] = [{"$group": {"_id": None, "all": {"$push": "$contact.email"}}}]
    renamed: list[dict[str, Any]] = [{"$project": {"_id": 0, "n": "$contact.email"}}, {"$limit": 3}]
    with limited.client("computed") as client:
        customers = client[DATABASE].customers
        with pytest.raises(OperationFailure, match="budget"):
            customers.aggregate(gathered)
        assert len(list(customers.aggregate(renamed))) == 3
        assert len(read(customers, "contact.email")) == CELLS - 3


def test_values_of_distinct_leave_together_or_not_at_all(limited: MongoGateway) -> None:
    with limited.client("distinct") as client:
        customers = client[DATABASE].customers
        with pytest.raises(OperationFailure, match="budget"):
            customers.distinct("contact.email")
        assert customers.distinct("contact.email", {"contact.email": {"$in": []}}) == []
        assert len(read(customers, "contact.email")) == CELLS


def test_documents_that_a_change_returns_are_counted(limited: MongoGateway) -> None:
    with limited.client("changes") as client:
        customers = client[DATABASE].customers
        ids = [document["_id"] for document in customers.find({}, ["_id"]).sort("_id", 1).limit(CELLS + 1)]
        for number in ids[:CELLS]:
            found = customers.find_one_and_update(
                {"_id": number},
                {"$set": {"seen": True}},
                projection=["contact.email"],
                return_document=ReturnDocument.AFTER,
            )
            assert found is not None
            assert found["contact"]["email"]
        with pytest.raises(OperationFailure, match="budget"):
            customers.find_one_and_update({"_id": ids[-1]}, {"$set": {"seen": True}}, projection=["contact.email"])


def test_no_error_is_taken_for_no_document(limited: MongoGateway) -> None:
    with limited.client("one") as client:
        customers = client[DATABASE].customers
        # One batch is asked for and no more: a shorter one would look like all there is.
        with pytest.raises(OperationFailure, match="budget"):
            list(customers.find({}, ["contact.email"]).limit(-CELLS - 1))
        assert len(list(customers.find({}, ["contact.email"]).limit(-CELLS))) == CELLS
        with pytest.raises(OperationFailure, match="budget"):
            customers.find_one({}, ["contact.email"])


def test_a_budget_is_not_spared_by_a_copy(limited: MongoGateway) -> None:
    with limited.client("copies") as client:
        customers = client[DATABASE].customers
        pipelines: list[list[dict[str, Any]]] = [
            [{"$out": "copied"}],
            [{"$project": {"e": "$contact.email"}}, {"$merge": {"into": "copied"}}],
        ]
        for pipeline in pipelines:
            with pytest.raises(OperationFailure, match="masked"):
                customers.aggregate(pipeline)
        with pytest.raises(OperationFailure, match="masked"):
            customers.update_many({"_id": 1}, [{"$set": {"open": "$contact.email"}}])


def test_a_failed_write_concern_hides_no_document_from_masks(
    mongo_gateway: MongoGateway, mongo_shop: DocumentShop
) -> None:
    with mongo_shop.client() as direct:
        stored = direct.shop.customers.find_one(sort=[("_id", 1)])
    assert stored is not None
    with mongo_gateway.client(ANALYST) as client:
        reply = client.shop.command(
            {
                "findAndModify": "customers",
                "query": {"_id": stored["_id"]},
                "update": {"$set": {"name": stored["name"]}},
                "writeConcern": {"w": 7, "wtimeout": 1},
            }
        )
    assert reply["writeConcernError"]["code"]
    assert reply["value"]["_id"] == stored["_id"]
    assert stored["contact"]["email"] not in str(reply)
