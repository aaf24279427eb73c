"""What the audit counts as masked, by label, is what the client can count in what it got."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

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
