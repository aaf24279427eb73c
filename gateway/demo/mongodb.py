"""The part of the tour that is played on MongoDB: the same people and policies, with pymongo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from typing_extensions import override

from gateway.demo.play import Play
from gateway.demo.stage import AGENT, SUPPORT, MongoStage, Stage
from gateway.demo.teller import Teller

_Command = Mapping[str, Any]

_ATTEMPTS: Final[tuple[tuple[str, _Command], ...]] = (
    ("db.customers.distinct('contact.email')", {"distinct": "customers", "key": "contact.email"}),
    (
        "aggregate: {$project: {city: '$contact.email'}}",
        {"aggregate": "customers", "pipeline": [{"$project": {"city": "$contact.email"}}]},
    ),
    (
        "aggregate: {$group: {_id: null, all: {$push: '$contact.email'}}}",
        {"aggregate": "customers", "pipeline": [{"$group": {"_id": None, "all": {"$push": "$contact.email"}}}]},
    ),
    (
        "aggregate: {$project: {x: {$objectToArray: '$contact'}}}",
        {"aggregate": "customers", "pipeline": [{"$project": {"x": {"$objectToArray": "$contact"}}}]},
    ),
    (
        "orders joined with their customers by $lookup",
        {
            "aggregate": "orders",
            "pipeline": [
                {"$lookup": {"from": "customers", "localField": "customer_id", "foreignField": "_id", "as": "who"}},
                {"$limit": 5},
            ],
        },
    ),
    ("a view over the contacts", {"find": "customer_contacts", "limit": 5}),
    (
        "aggregate: {$out: 'mine'}",
        {"aggregate": "customers", "pipeline": [{"$project": {"mail": "$contact.email"}}, {"$out": "mine"}]},
    ),
    ("find with $where and JavaScript", {"find": "customers", "filter": {"$where": "this.contact.email.length > 1"}}),
)
_DESTRUCTION: Final[tuple[tuple[str, str, _Command], ...]] = (
    (SUPPORT, "db.orders.drop()", {"drop": "orders"}),
    (SUPPORT, "db.dropDatabase()", {"dropDatabase": 1}),
    (
        SUPPORT,
        "db.customers.updateMany({}, {$set: {vip: true}})",
        {"update": "customers", "updates": [{"q": {}, "u": {"$set": {"vip": True}}, "multi": True}]},
    ),
    (SUPPORT, "db.orders.deleteMany({})", {"delete": "orders", "deletes": [{"q": {}, "limit": 0}]}),
    (
        AGENT,
        "db.customers.updateOne({_id: 7}, {$set: {vip: true}})",
        {"update": "customers", "updates": [{"q": {"_id": 7}, "u": {"$set": {"vip": True}}}]},
    ),
    (AGENT, "db.products.insertOne({sku: 'X'})", {"insert": "products", "documents": [{"_id": -1, "sku": "X"}]}),
)
_NOT_AUTHORIZED: Final = 13
"""MongoDB's error code for what somebody may not do."""


def play_mongodb(stage: Stage, teller: Teller) -> None:
    """Tell it, or why it cannot be told."""
    teller.chapter("The same policies in front of MongoDB")
    if stage.mongodb is None:
        teller.remark(f"left out: {stage.mongodb_missing}")
        return
    _Play(stage, stage.mongodb, teller).play(_ATTEMPTS, _DESTRUCTION)


class _Play(Play[_Command]):
    question = "db.customers.find().sort({_id: 1}).limit(2)"
    fields = ("name", "e-mail", "tax number", "card")

    def __init__(self, stage: Stage, mongodb: MongoStage, teller: Teller) -> None:
        with mongodb.shop.client() as client:
            customers = list(client[mongodb.shop.database].customers.find())
        super().__init__(teller, (str(value) for one in customers for value in _personal(one)[1:] if value))
        self._stage = stage
        self._mongodb = mongodb

    @override
    def _rows(self, who: str) -> list[tuple[object, ...]]:
        with self._client(who) as client:
            return [_personal(customer) for customer in client.shop.customers.find().sort("_id").limit(2)]

    @override
    def _writing(self) -> None:
        change = {"q": {"_id": 7}, "u": {"$set": {"vip": True}}}
        answer, _ = self._ask(SUPPORT, {"update": "customers", "updates": [change]})
        self._teller.promise(f"{SUPPORT}: changes one customer by its _id", "'n': 1" in answer, answer)

    def _client(self, who: str) -> MongoClient[dict[str, Any]]:
        return MongoClient(self._mongodb.uri(who, self._stage.tokens[who], self._stage.certificate))

    @override
    def _ask(self, who: str, command: _Command) -> tuple[str, bool]:
        (name, *_) = command
        cursor: dict[str, Any] = {"cursor": {}} if name == "aggregate" else {}
        with self._client(who) as client:
            try:
                answer = client.shop.command({**command, **cursor})
            except PyMongoError as error:
                return f"{error} {getattr(error, 'details', '')}", getattr(error, "code", None) == _NOT_AUTHORIZED
        found = answer.get("cursor", {}).get("firstBatch", answer.get("values"))
        return str(answer if found is None else found), False

    @override
    def _census(self) -> list[int]:
        with self._mongodb.shop.client() as client:
            shop = client[self._mongodb.shop.database]
            names = ("orders", "products", "customers")
            return [*(shop[name].count_documents({}) for name in names), shop.customers.count_documents({"vip": True})]


def _personal(customer: Mapping[str, Any]) -> tuple[object, ...]:
    cards = customer.get("cards") or [{}]
    return (customer["name"], customer["contact"].get("email"), customer.get("tax_number"), cards[0].get("number"))
