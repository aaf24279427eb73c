"""Which commands share a ruling: equal keys must mean equal facts."""

from __future__ import annotations

import random
import struct
from typing import Any

import bson
import pytest
from bson import Code, Int64, MinKey, ObjectId, Regex

from gateway_mongodb import _keys_reference as reference
from gateway_mongodb import keys
from gateway_mongodb.catalog import Collection, MongoCatalog
from gateway_mongodb.keys import names_twice
from gateway_mongodb.statements import analyse_command, result_shape

CATALOG = MongoCatalog([Collection("shop", "c", paths={"_id": "int", "a": "int", "b": "string"})])


def cache_key(body: bytes, sequences: Any = ()) -> bytes | None:
    """The key, which both makers must agree on."""
    found = reference.cache_key(body, sequences)
    assert keys.cache_key(body, sequences) == found
    return found


def key(command: dict[str, Any], sequences: Any = ()) -> bytes | None:
    return cache_key(bson.encode({**command, "$db": "shop"}), sequences)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    found = key(one)
    return found is not None and found == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"find": "c", "filter": {"_id": 1}}, {"find": "c", "filter": {"_id": 2}, "lsid": {"id": 1}}),
        ({"find": "c", "filter": {"_id": ObjectId()}}, {"find": "c", "filter": {"_id": ObjectId()}}),
        ({"find": "c", "filter": {"a": {"$in": [1, 2]}}}, {"find": "c", "filter": {"a": {"$in": [3, 4, 5]}}}),
        ({"find": "c", "filter": {"b": "x"}, "limit": 1}, {"find": "c", "filter": {"b": "yy"}, "limit": 5}),
        (
            {"aggregate": "c", "pipeline": [{"$match": {"a": 1}}, {"$limit": 2}], "cursor": {}},
            {"aggregate": "c", "pipeline": [{"$match": {"a": 7}}, {"$limit": 3}], "cursor": {"batchSize": 5}},
        ),
        (
            {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"a": 1}}}]},
            {"update": "c", "updates": [{"q": {"_id": 2}, "u": {"$set": {"a": 9}}}], "txnNumber": Int64(4)},
        ),
        ({"insert": "c", "documents": [{"a": 1}]}, {"insert": "c", "documents": [{"z": "q"}, {}]}),
    ],
)
def test_commands_that_differ_in_literals_share_a_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"find": "c", "filter": {"_id": 1}}, {"find": "c", "filter": {"a": 1}}),
        ({"find": "c", "filter": {"_id": 1}}, {"find": "d", "filter": {"_id": 1}}),
        ({"find": "c", "filter": {"a": 1}}, {"find": "c", "filter": {"a": None}}),
        ({"find": "c", "filter": {"a": 1}}, {"find": "c", "filter": {"a": {"$ne": 1}}}),
        ({"find": "c", "filter": {"a": {"$exists": True}}}, {"find": "c", "filter": {"a": {"$exists": False}}}),
        ({"find": "c", "filter": {"a": {"$in": []}}}, {"find": "c", "filter": {"a": {"$in": [1]}}}),
        ({"find": "c", "filter": {"a": {"$in": [1]}}}, {"find": "c", "filter": {"a": {"$in": [None]}}}),
        ({"find": "c", "filter": {"a": {"$gte": 1}}}, {"find": "c", "filter": {"a": {"$gte": MinKey()}}}),
        ({"find": "c", "filter": {"b": Regex("x")}}, {"find": "c", "filter": {"b": Regex(".*")}}),
        ({"find": "c", "filter": {"$expr": True}}, {"find": "c", "filter": {"$expr": False}}),
        ({"find": "c", "projection": {"a": 1}}, {"find": "c", "projection": {"a": "$b"}}),
        ({"find": "c", "filter": {"a": {}}}, {"find": "c", "filter": {"a": {"$gt": 1}}}),
        (
            {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"a": 1}}}]},
            {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"a": 1}}, "multi": True}]},
        ),
        (
            {"update": "c", "updates": [{"q": {"_id": 1}, "u": [{"$set": {"a": "$b"}}]}]},
            {"update": "c", "updates": [{"q": {"_id": 1}, "u": [{"$set": {"a": "b"}}]}]},
        ),
        (
            {"delete": "c", "deletes": [{"q": {}, "limit": 0}]},
            {"delete": "c", "deletes": [{"q": {}, "limit": 1}]},
        ),
    ],
)
def test_commands_with_other_facts_do_not(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not same(one, other)


def test_document_sequences_count() -> None:
    def statement(q: dict[str, Any], u: dict[str, Any]) -> bytes:
        return bson.encode({"q": q, "u": u, "multi": False})

    one = key({"update": "c"}, [("updates", statement({"_id": 1}, {"$set": {"a": 1}}))])
    alike = key({"update": "c"}, [("updates", statement({"_id": 7}, {"$set": {"a": 3}}))])
    other = key({"update": "c"}, [("updates", statement({"_id": 7}, {"$rename": {"a": "b"}}))])
    assert one is not None
    assert one == alike != other
    assert key({"insert": "c"}, [("documents", bson.encode({"a": 1}))]) is not None
    assert key({"bulkWrite": 1}, [("ops", bson.encode({"insert": 0}))]) is None


def _scalar(rng: random.Random) -> Any:
    return rng.choice(
        [1, 2, "x", "y", None, 1.5, True, ObjectId(), Regex("a"), Regex(".*"), MinKey(), [], [1], {}, {"k": 1}]
    )


def _filter(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(rng.randint(0, 2)):
        field = rng.choice(["_id", "a", "b", "nosuch"])
        match rng.randint(0, 6):
            case 0 | 1:
                found[field] = _scalar(rng)
            case 2:
                found[field] = {rng.choice(["$gt", "$gte", "$ne", "$lte", "$eq"]): _scalar(rng)}
            case 3:
                found[field] = {rng.choice(["$in", "$nin"]): [_scalar(rng) for _ in range(rng.randint(0, 2))]}
            case 4:
                found[field] = {"$exists": rng.random() < 0.5}
            case 5:
                found[field] = {"$not": rng.choice([Regex("a"), {"$gt": _scalar(rng)}])}
            case _:
                if depth < 2:
                    found[rng.choice(["$and", "$or", "$nor"])] = [_filter(rng, depth + 1), _filter(rng, depth + 1)]
    return found


def _update(rng: random.Random) -> Any:
    return rng.choice(
        [
            {"$set": {rng.choice("ab"): _scalar(rng)}},
            {"$inc": {"a": 1}},
            {"a": _scalar(rng)},
            {"$rename": {"a": rng.choice("bc")}},
            {"a": 1, "$set": {"b": 1}},
            [{"$set": {"a": rng.choice(["$b", "b", 1])}}],
        ]
    )


def test_equal_keys_mean_equal_facts_and_shapes() -> None:
    rng = random.Random(11)
    seen: dict[bytes, Any] = {}
    shared = 0
    for _ in range(6000):
        command: dict[str, Any] = rng.choice(
            [
                {"find": "c", "filter": _filter(rng), "limit": rng.randint(0, 3)},
                {"count": "c", "query": _filter(rng)},
                {"aggregate": "c", "pipeline": [{"$match": _filter(rng)}], "cursor": {}},
                {"update": "c", "updates": [{"q": _filter(rng), "u": _update(rng), "multi": rng.random() < 0.5}]},
                {"delete": "c", "deletes": [{"q": _filter(rng), "limit": rng.randint(0, 1)}]},
                {"findAndModify": "c", "query": _filter(rng), "update": _update(rng)},
            ]
        )
        found = key(command)
        if found is None:
            continue
        (facts,) = analyse_command(command, "shop", CATALOG).statements
        answer = (facts, result_shape(command, "shop", CATALOG))
        if found in seen:
            shared += 1
            assert seen[found] == answer, command
        seen[found] = answer
    assert shared > 1500


def test_broken_bytes_have_no_key() -> None:
    whole = bson.encode({"find": "c", "filter": {"a": {"$in": [1, 2]}}, "$db": "shop"})
    for size in range(len(whole)):
        cache_key(whole[:size])
    rng = random.Random(3)
    for _ in range(2000):
        data = bytearray(whole)
        data[rng.randrange(len(data))] = rng.randrange(256)
        cache_key(bytes(data))


def _element(kind: int, name: bytes, value: bytes) -> bytes:
    return bytes([kind]) + name + b"\0" + value


def _raw(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def test_a_field_that_occurs_twice_is_found_wherever_it_is() -> None:
    twice = _raw(_element(0x10, b"x", b"\1\0\0\0"), _element(0x10, b"x", b"\2\0\0\0"))
    assert names_twice(twice)
    assert names_twice(_raw(_element(3, b"filter", twice)))
    assert names_twice(_raw(_element(4, b"pipeline", _raw(_element(3, b"0", _raw(_element(3, b"$project", twice)))))))
    assert names_twice(bson.encode({"update": "c"}), [("updates", bson.encode({"q": {}}) + twice)])
    assert not names_twice(bson.encode({"insert": "c"}), [("documents", twice)])
    assert not names_twice(_raw(_element(4, b"documents", _raw(_element(3, b"0", twice)))))
    plain = {"find": "c", "filter": {"a": {"x": 1}, "b": [{"x": 1}, {"x": 2}], "r": Regex("x"), "c": Code("x", {})}}
    assert not names_twice(bson.encode(plain))
    assert names_twice(bson.encode(plain)[:-3])
