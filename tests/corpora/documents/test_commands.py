"""Nothing labelled leaves through any command, and what is not labelled does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import bson
import pytest
from pymongo import MongoClient

from gateway.domain.masking import MaskSpec
from gateway.errors import MaskingError
from gateway.testing.servers import MongoServer
from tests.corpora.documents import vault
from tests.corpora.documents.attacks import attacks
from tests.corpora.documents.compare import difference
from tests.corpora.documents.direct import Answer, Direct
from tests.corpora.documents.generated import COLLECTIONS, Generator
from tests.corpora.documents.ordinary import ordinary, writes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_CHANGES = ("insert", "update", "delete", "findAndModify", "create", "collMod", "renameCollection", "drop")
GENERATED = 400
_CONTENT: Mapping[str, Mapping[str, list[Any]]] = {
    vault.DATABASE: vault.documents(),
    "other": {"t": [{"_id": 1}]},
}


class Stage:
    """A vault on a server, and somebody under a mask."""

    def __init__(self, client: MongoClient[Any]) -> None:
        self.client = client
        self._pristine: tuple[dict[str, Any], dict[str, str]] | None = None
        self.reset()
        self.direct = Direct(client)

    def reset(self) -> None:
        """The vault as it is at the beginning: only what changed is made again, since indexes take their time."""
        if not self._pristine or self._shape() != self._pristine[0]:
            self._build()
            self._pristine = (self._shape(), self._content())
            return
        for place, digest in self._content().items():
            if digest != self._pristine[1].get(place):
                database, _, name = place.partition(".")
                collection = self.client[database][name]
                collection.delete_many({})
                collection.insert_many(_CONTENT[database][name])

    def _build(self) -> None:
        for name, collections in _CONTENT.items():
            self.client.drop_database(name)
            for collection, documents in collections.items():
                self.client[name][collection].insert_many(documents)
        database = self.client[vault.DATABASE]
        for name, (source, pipeline) in vault.VIEWS.items():
            database.command({"create": name, "viewOn": source, "pipeline": pipeline})
        database.customers.create_index("tax", unique=True)
        database.customers.create_index("contact.email")
        database.customers.create_index([("name", "text"), ("contact.email", "text")])
        database.places.create_index([("loc", "2dsphere")])

    def _shape(self) -> dict[str, Any]:
        """Collections, views and their options, and indexes."""
        found: dict[str, Any] = {}
        for database in _CONTENT:
            for told in self.client[database].list_collections():
                place = f"{database}.{told['name']}"
                found[place] = {name: value for name, value in told.items() if name != "info"}
                if told["type"] == "collection":
                    found[place]["indexes"] = list(self.client[database][told["name"]].list_indexes())
        return found

    def _content(self) -> dict[str, str]:
        return {
            f"{database}.{name}": digest
            for database in _CONTENT
            for name, digest in self.client[database].command("dbHash")["collections"].items()
        }

    def run(self, command: Mapping[str, Any], database: str = vault.DATABASE) -> Answer:
        """The answer; what cannot be masked is a refusal, too."""
        try:
            answer = self.direct.run(command, database)
        except MaskingError as error:
            return Answer(refusal=str(error))
        if not answer.refusal and ("$out" in str(command) or "$merge" in str(command)):
            self.direct.refresh()
        return answer

    def changed(self, command: Mapping[str, Any]) -> bool:
        """Whether the vault may be another one after a command."""
        return any(name in command for name in _CHANGES) or "$out" in str(command) or "$merge" in str(command)


@pytest.fixture(scope="module")
def stage(mongo_server: MongoServer) -> Iterator[Stage]:
    with mongo_server.client() as client:
        yield Stage(client)


def found_in(answer: Answer, sent: bytes = b"") -> frozenset[str]:
    return frozenset[str]().union(*(vault.search(reply, sent) for reply in answer.replies))


def test_no_attack_gets_a_labelled_value_out(stage: Stage) -> None:
    cases = attacks()
    assert len(cases) >= 300
    leaks = []
    for attack in cases:
        sent = b""
        for step in attack.steps:
            sent += bson.encode(step)
            answer = stage.run(step, attack.database)
            if found := found_in(answer, sent):
                leaks.append((attack.name, found))
            if not answer.refusal and stage.changed(step):
                stage.reset()
                stage.direct.refresh()
    assert leaks == []


def test_the_search_finds_what_comes_without_a_mask(stage: Stage) -> None:
    """Most attacks that are let through would show something if nothing were masked."""
    shown = 0
    for attack in attacks():
        if attack.name.startswith(("reading", "expressions", "groups", "roots", "joins", "windows")):
            answer = stage.run(attack.steps[0], attack.database)
            shown += any(vault.search(reply) for reply in answer.originals)
    assert shown >= 130


def test_who_may_not_infer_can_filter_by_no_labelled_path(stage: Stage) -> None:
    stage.direct.inference = False
    try:
        for command in (
            {"find": "customers", "filter": {"tax": "x"}},
            {"find": "customers", "filter": {"contact": {"email": "x"}}},
            {"find": "customers", "filter": {"contact.phones.0.number": "x"}},
            {"find": "customers", "filter": {"cards": {"$elemMatch": {"number": "x"}}}},
            {"find": "customers", "filter": {"$expr": {"$eq": ["$tax", "x"]}}},
            {"find": "customers", "filter": {"$or": [{"a": 1}, {"map.x.pin": 1}]}},
            {"find": "customers", "filter": {"$text": {"$search": "x"}}},
            {"find": "customers", "filter": {"$jsonSchema": {"properties": {"tax": {"pattern": "^K"}}}}},
            {"find": "customers", "sort": {"income": 1}},
            {"find": "customers", "hint": {"tax": 1}, "min": {"tax": "K"}, "max": {"tax": "L"}},
            {"find": "mails", "filter": {"mail": "x"}},
            {"find": "customers", "hint": "tax_1", "projection": {"name": 1}},
            {"aggregate": "customers", "pipeline": [{"$project": {"name": 1}}], "cursor": {}, "hint": {"tax": 1}},
            {"count": "customers", "query": {"credit": {"$gt": 5}}},
            {"distinct": "customers", "key": "tax"},
            {"aggregate": "customers", "pipeline": [{"$group": {"_id": "$tax"}}], "cursor": {}},
            {"aggregate": "customers", "pipeline": [{"$project": {"t": "$tax"}}, {"$match": {"t": 1}}], "cursor": {}},
            {
                "aggregate": "orders",
                "pipeline": [
                    {"$lookup": {"from": "staff", "localField": "customer", "foreignField": "salary", "as": "s"}}
                ],
                "cursor": {},
            },
            {"update": "customers", "updates": [{"q": {"tax": {"$gt": "K"}}, "u": {"$set": {"a": 1}}}]},
            {"update": "customers", "updates": [{"q": {}, "u": {"$pull": {"cards": {"number": "x"}}}}]},
            {
                "update": "customers",
                "updates": [{"q": {}, "u": {"$set": {"cards.$[c].kind": 1}}, "arrayFilters": [{"c.number": "x"}]}],
            },
            {"delete": "customers", "deletes": [{"q": {"born": None}, "limit": 0}]},
        ):
            assert stage.run(command).refusal, command
        assert not stage.run({"find": "customers", "filter": {"name": "x"}}).refusal
    finally:
        stage.direct.inference = True


def test_ordinary_commands_give_the_same_as_without_masks(stage: Stage) -> None:
    different = [(str(command)[:200], found) for command in ordinary() if (found := difference(stage.run(command)))]
    count = len(ordinary())
    for steps in writes():
        stage.reset()
        stage.direct.refresh()
        count += len(steps)
        for command in steps:
            if found := difference(stage.run(command)):
                different.append((str(command)[:200], found))
            stage.direct.refresh()
    stage.reset()
    stage.direct.refresh()
    assert count >= 200
    assert len(different) <= 0.02 * count, different


@pytest.mark.timeout(600)
def test_no_generated_pipeline_lets_a_labelled_value_out(stage: Stage) -> None:
    shown, leaks = 0, []
    for seed in range(GENERATED):
        generator = Generator(seed)
        source = generator.rng.choice((*(COLLECTIONS[0],) * 4, *COLLECTIONS))
        command = {"aggregate": source, "pipeline": generator.pipeline(), "cursor": {}}
        answer = stage.run(command)
        if found := found_in(answer):
            leaks.append((seed, command, found))
        shown += any(vault.search(original) for original in answer.originals)
    assert leaks == []
    assert shown > GENERATED / 4, "the pipelines hardly touch what is labelled"


def test_change_streams_are_masked_by_path(stage: Stage) -> None:
    pipeline = [{"$changeStream": {"fullDocument": "updateLookup"}}]
    with stage.client.start_session() as session:
        command = {"aggregate": "customers", "pipeline": pipeline, "cursor": {}}
        opened = stage.client[vault.DATABASE].command(dict(command), session=session)
        cursor = opened["cursor"]["id"]
        new = {"_id": 50, "name": "n", "contact": {"email": vault.TEXTS["email_1"] + "x"}, "tax": "T50"}
        customers = stage.client[vault.DATABASE].customers
        customers.insert_one(new)
        customers.update_one({"_id": 50}, {"$set": {"contact.email": vault.TEXTS["email_2"], "name": "m"}})
        customers.update_one(
            {"_id": 50}, {"$set": {"contact.phones": [{"kind": "k", "number": vault.TEXTS["phone_1"]}]}}
        )
        customers.update_one({"_id": 50}, {"$set": {"contact.phones.0.number": vault.TEXTS["phone_2"]}})
        customers.delete_one({"_id": 50})
        events: list[Any] = []
        while len(events) < 5:
            more = {"getMore": cursor, "collection": "customers", "maxTimeMS": 2000}
            reply = bson.encode(stage.client[vault.DATABASE].command(more, session=session))
            assert not events or vault.search(reply) or len(events) == 4
            masked, _, _ = stage.direct.mask_of(command).mask_batch(reply)
            assert vault.search(masked) == frozenset()
            events += bson.decode(masked)["cursor"]["nextBatch"]
        stage.client[vault.DATABASE].command({"killCursors": "customers", "cursors": [cursor]}, session=session)
    assert [event["operationType"] for event in events] == ["insert", "update", "update", "update", "delete"]
    assert events[0]["fullDocument"]["contact"]["email"] == "****"
    assert events[1]["updateDescription"]["updatedFields"] == {"contact.email": "****", "name": "m"}
    assert events[3]["updateDescription"]["updatedFields"] == {"contact.phones.0.number": "****"}
    keyed = {"aggregate": "keyed", "pipeline": pipeline, "cursor": {}}
    with pytest.raises(MaskingError, match="resume tokens"):
        stage.direct.mask_of(keyed)


def test_partial_masks_are_for_bare_paths_only(stage: Stage) -> None:
    partly = frozenset({MaskSpec("partial", (("last", 4),))})
    shown = Direct(stage.client, masks={**stage.direct.masks, "pci.card": partly})
    (answer,) = shown.run({"find": "customers", "filter": {"_id": 1}, "projection": {"cards": 1}}).documents
    assert answer["cursor"]["firstBatch"][0]["cards"] == [{"kind": "visa", "number": "****1184"}]
    for expression in (
        {"$toUpper": {"$first": "$cards.number"}},
        {"$concatArrays": ["$cards.number", ["guess"]]},
        {"$substrCP": [{"$first": "$cards.number"}, 0, 4]},
    ):
        command = {"aggregate": "customers", "pipeline": [{"$project": {"x": expression}}], "cursor": {}}
        reply = shown.run(command)
        assert not reply.refusal
        assert b"1184" not in b"".join(reply.replies), expression


def test_nobody_finds_the_value_behind_a_hash_by_putting_guesses_beside_it(stage: Stage) -> None:
    hashed = frozenset({MaskSpec("hash")})
    shown = Direct(stage.client, masks={**stage.direct.masks, "pii.money": hashed, "pii.tax": hashed})
    own = {"income": vault.NUMBERS["income_1"], "tax": vault.TEXTS["tax_1"]}
    guesses: list[list[dict[str, Any]]] = [
        [{"$project": {"tax": 1}}, {"$unionWith": {"pipeline": [{"$documents": [own]}]}}],
        [{"$project": {"x": ["$tax", own["tax"]]}}, {"$unwind": "$x"}],
        [{"$project": {"x": {"$ifNull": ["$tax", own["tax"]]}}}],
        [{"$project": {"x": {"$mergeObjects": ["$$ROOT", own]}}}],
        [{"$densify": {"field": "income", "range": {"step": 1000000, "bounds": [934857, 9000000]}}}],
        [{"$fill": {"output": {"tax": {"value": own["tax"]}}}}],
        [
            {
                "$setWindowFields": {
                    "sortBy": {"_id": 1},
                    "output": {"x": {"$shift": {"output": "$tax", "by": 9, "default": own["tax"]}}},
                }
            }
        ],
    ]
    (plain,) = shown.run({"find": "customers", "projection": {"tax": 1, "income": 1}}).documents
    assert all(isinstance(item["tax"], str) and item["tax"] != "****" for item in plain["cursor"]["firstBatch"])
    for pipeline in guesses:
        answer = shown.run({"aggregate": "customers", "pipeline": pipeline, "cursor": {}})
        assert not answer.refusal
        looked_at = {"$densify": "income", "$fill": "tax", "$unionWith": "tax"}.get(next(iter(pipeline[-1])), "x")
        for document in answer.documents[0]["cursor"]["firstBatch"]:
            value = document.get(looked_at)
            inner = value.get("tax") if isinstance(value, dict) else value
            assert inner in (None, "****"), pipeline
