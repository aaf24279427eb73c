"""What the audit counts as masked, by label, is what the client can count in what it got."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from gateway.testing.servers import MongoServer
from gateway.testing.shop_documents import DocumentShop
from tests.fixtures.audit import masked_in
from tests.fixtures.mongodb import ANALYST, RESOURCE, Config, MongoGateway, StartMongoGateway

DATABASE = "counted"
PEOPLE = 4_000
EMAIL, CONTACT, CARD = "pii.counted_email", "pii.counted_contact", "pci.counted_card"
PATHS = {EMAIL: "contact.emails", CONTACT: "contact", CARD: "card"}


def person(number: int) -> dict[str, Any]:
    contact = {"emails": [f"a{index}@example.com" for index in range(number % 3)], "phone": None if number % 2 else "1"}
    return {"_id": number, "contact": contact, "note": "x" * 100} | ({"card": "4000"} if number % 5 else {})


EXPECTED = {
    EMAIL: sum(number % 3 for number in range(PEOPLE)),
    CONTACT: sum(number % 3 + (number % 2 == 0) for number in range(PEOPLE)),
    CARD: sum(number % 5 > 0 for number in range(PEOPLE)),
}


@pytest.fixture(scope="module")
def gateway(
    mongo_server: MongoServer, mongo_shop: DocumentShop, start_mongo_gateway: StartMongoGateway
) -> Iterator[MongoGateway]:
    def change(config: Config) -> None:
        config["classifications"] += [
            {"resource": RESOURCE, "label": label, "paths": [f"{DATABASE}.people.{path}"]}
            for label, path in PATHS.items()
        ]

    with mongo_server.client() as client:
        client[DATABASE].people.insert_many([person(number) for number in range(PEOPLE)])
        yield start_mongo_gateway(mongo_shop, change=change)
        client.drop_database(DATABASE)


@pytest.mark.parametrize("size", [300, PEOPLE + 1])
def test_values_are_counted_by_label_in_short_replies_and_in_long_ones(gateway: MongoGateway, size: int) -> None:
    comment = f"counted in batches of {size}"
    with gateway.client(ANALYST) as client:
        found = list(client[DATABASE].people.find(batch_size=size, comment=comment))
    hidden = [email for one in found for email in one["contact"]["emails"]]
    assert (len(hidden), set(hidden)) == (EXPECTED[EMAIL], {"****"})
    told = masked_in(gateway.folder, comment, -(-PEOPLE // size))
    by_label = {label: sum(labels.get(label, 0) for _, labels in told) for label in PATHS}
    assert by_label == EXPECTED


def test_a_single_value_and_distinct_ones_are_counted_too(gateway: MongoGateway) -> None:
    with gateway.client(ANALYST) as client:
        people = client[DATABASE].people
        assert people.distinct("card", comment="counted distinct") == ["****"]
        changed = people.find_one_and_update({"_id": 1}, {"$set": {"seen": True}}, comment="counted once")
    assert changed is not None
    assert changed["card"] == "****"
    assert masked_in(gateway.folder, "counted distinct") == [(1, {CARD: 1})]
    assert masked_in(gateway.folder, "counted once") == [(2, {EMAIL: 1, CONTACT: 1, CARD: 1})]


def test_null_alone_masks_nothing(gateway: MongoGateway) -> None:
    with gateway.client(ANALYST) as client:
        found = client[DATABASE].people.find_one({"_id": 5}, {"contact.phone": 1}, comment="counted nobody")
    assert found == {"_id": 5, "contact": {"phone": None}}
    assert masked_in(gateway.folder, "counted nobody") == [(0, {})]


def test_an_expression_counts_for_every_label_in_it(gateway: MongoGateway) -> None:
    stages: list[dict[str, Any]] = [
        {"$match": {"_id": {"$in": [1, 2, 4]}}},
        {"$project": {"both": {"$concat": ["$card", {"$arrayElemAt": ["$contact.emails", 0]}]}, "n": {"$size": [[]]}}},
    ]
    with gateway.client(ANALYST) as client:
        found = list(client[DATABASE].people.aggregate(stages, comment="counted together"))
    assert [one["both"] for one in found] == ["****"] * 3
    assert masked_in(gateway.folder, "counted together") == [(3, {EMAIL: 3, CONTACT: 3, CARD: 3})]


def test_results_behind_a_limit_are_not_counted(
    gateway: MongoGateway, mongo_shop: DocumentShop, start_mongo_gateway: StartMongoGateway
) -> None:
    def change(config: Config) -> None:
        config["classifications"].append({"resource": RESOURCE, "label": CARD, "paths": [f"{DATABASE}.people.card"]})
        config["policies"].append(
            {"name": "fifty", "effect": "limit", "match": {"groups": ["analysts"]}, "limit": {"rows": 50}}
        )

    limited = start_mongo_gateway(mongo_shop, change=change)
    found: list[dict[str, Any]] = []
    with limited.client(ANALYST) as client, pytest.raises(OperationFailure, match="limit"):
        found.extend(client[DATABASE].people.find({}, comment="counted too many", sort=[("_id", 1)]))
    assert len(found) == 50
    seen = sum("card" in one for one in found)
    assert masked_in(limited.folder, "counted too many", 2) == [(seen, {CARD: seen}), (0, {})], (
        "and what asked for more"
    )
