"""What commands do: actions, objects, predicates, and that everything unknown fails closed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bson import MaxKey, MinKey, Regex

from gateway.domain.statement import ColumnRef, ObjectRef, Predicate, StatementFacts
from gateway_mongodb import accumulators, expressions, filters, stages
from gateway_mongodb.catalog import Collection, MongoCatalog, View
from gateway_mongodb.commands import COMMANDS, REFUSED
from gateway_mongodb.interpret import HANDLED
from gateway_mongodb.statements import analyse_command

CATALOG = MongoCatalog(
    [
        Collection("shop", "c", paths=dict.fromkeys(["_id", "a", "b", "b.x", "list", "list.n"], "int")),
        Collection("shop", "o", paths={"_id": "int"}),
        Collection("shop", "v", View("c", ({"$project": {"z": "$a"}},))),
        Collection("shop", "loop", View("loop", ())),
    ]
)


def facts(command: dict[str, Any], database: str = "shop", catalog: MongoCatalog | None = CATALOG) -> StatementFacts:
    (found,) = analyse_command(command, database, catalog).statements
    return found


def names(objects: Any) -> set[str]:
    return {str(item) for item in objects}


@pytest.mark.parametrize(
    ("command", "actions"),
    [
        ({"find": "c"}, "read"),
        ({"aggregate": "c", "pipeline": [], "cursor": {}}, "read"),
        ({"aggregate": "c", "pipeline": [{"$out": "d"}], "cursor": {}}, "read insert truncate"),
        ({"aggregate": "c", "pipeline": [{"$merge": "d"}], "cursor": {}}, "read merge"),
        ({"aggregate": "c", "pipeline": [], "cursor": {}, "explain": True}, "read explain"),
        ({"explain": {"delete": "c", "deletes": [{"q": {}, "limit": 0}]}}, "read explain"),
        ({"insert": "c", "documents": [{}]}, "insert"),
        ({"update": "c", "updates": [{"q": {}, "u": {"$set": {"a": 1}}}]}, "update"),
        ({"update": "c", "updates": [{"q": {}, "u": {"$set": {"a": 1}}, "upsert": True}]}, "update insert"),
        ({"delete": "c", "deletes": [{"q": {}, "limit": 1}]}, "delete"),
        ({"findAndModify": "c", "update": {"$set": {"a": 1}}}, "read update"),
        ({"findAndModify": "c", "remove": True}, "read delete"),
        (
            {
                "bulkWrite": 1,
                "ops": [{"insert": 0, "document": {}}, {"delete": 0, "filter": {}}],
                "nsInfo": [{"ns": "shop.c"}],
            },
            "insert delete",
        ),
        ({"mapReduce": "c", "map": "", "reduce": "", "out": {"inline": 1}}, "read"),
        ({"mapReduce": "c", "map": "", "reduce": "", "out": "d"}, "read insert truncate"),
        ({"create": "d"}, "create"),
        ({"create": "d", "viewOn": "c", "pipeline": []}, "create"),
        ({"collMod": "c", "validator": {}}, "alter"),
        ({"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "a"}]}, "create"),
        ({"dropIndexes": "c", "index": "a"}, "drop"),
        ({"drop": "c"}, "drop"),
        ({"dropDatabase": 1}, "drop"),
        ({"renameCollection": "shop.c", "to": "shop.d"}, "alter"),
        ({"renameCollection": "shop.c", "to": "shop.d", "dropTarget": True}, "alter drop"),
        ({"createUser": "u", "pwd": "p", "roles": []}, "create grant"),
        ({"grantRolesToUser": "u", "roles": []}, "grant"),
        ({"revokeRolesFromUser": "u", "roles": []}, "revoke"),
        ({"dropUser": "u"}, "drop"),
        ({"commitTransaction": 1}, "transaction"),
        ({"getMore": 1, "collection": "c"}, "read"),
        ({"killCursors": "c", "cursors": []}, "read"),
        ({"listCollections": 1}, "read"),
        ({"hello": 1}, "read"),
        ({"serverStatus": 1}, "show"),
        ({"setParameter": 1, "logLevel": 2}, "set"),
        ({"profile": 1}, "set"),
        ({"profile": -1}, "show"),
        ({"compact": "c"}, "maintain"),
        ({"shutdown": 1}, "maintain"),
        ({"applyOps": []}, "unknown"),
        ({"nosuch": 1}, "unknown"),
        ({"aggregate": "c", "pipeline": [{"$nosuch": 1}], "cursor": {}}, "read unknown"),
        ({"_shardsvrDropCollection": "c"}, "unknown"),
    ],
)
def test_actions(command: dict[str, Any], actions: str) -> None:
    assert {action.value for action in facts(command).actions} == set(actions.split())


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, Predicate.ABSENT),
        ({"$comment": "x"}, Predicate.CONSTANT),
        ({"_id": {"$exists": True}}, Predicate.CONSTANT),
        ({"_id": {"$ne": None}}, Predicate.CONSTANT),
        ({"_id": {"$gte": MinKey()}}, Predicate.CONSTANT),
        ({"a": {"$lt": MaxKey()}}, Predicate.CONSTANT),
        ({"$expr": True}, Predicate.CONSTANT),
        ({"$expr": {"$eq": [1, 1]}}, Predicate.CONSTANT),
        ({"$expr": {"$eq": ["$a", "$a"]}}, Predicate.CONSTANT),
        ({"$expr": {"$ne": ["$_id", None]}}, Predicate.CONSTANT),
        ({"$or": [{}]}, Predicate.CONSTANT),
        ({"$or": [{"a": 1}, {}]}, Predicate.CONSTANT),
        ({"$or": [{"a": 1}, {"a": {"$ne": 1}}]}, Predicate.CONSTANT),
        ({"$or": [{"a": {"$exists": True}}, {"a": {"$exists": False}}]}, Predicate.CONSTANT),
        ({"$and": [{}, {"_id": {"$exists": True}}]}, Predicate.CONSTANT),
        ({"$nor": [{"nosuch": 5}]}, Predicate.CONSTANT),
        ({"nosuch": None}, Predicate.CONSTANT),
        ({"nosuch": {"$exists": False}}, Predicate.CONSTANT),
        ({"nosuch": {"$ne": 1}}, Predicate.CONSTANT),
        ({"nosuch": {"$nin": [1]}}, Predicate.CONSTANT),
        ({"nosuch": {"$not": {"$gt": 1}}}, Predicate.CONSTANT),
        ({"a": {"$nin": []}}, Predicate.CONSTANT),
        ({"a": Regex(".*")}, Predicate.CONSTANT),
        ({"a": {"$regex": ""}}, Predicate.CONSTANT),
        ({"$jsonSchema": {}}, Predicate.CONSTANT),
        ({"$sampleRate": 1.0}, Predicate.CONSTANT),
        ({"$where": "true"}, Predicate.CONSTANT),
        ({"_id": 1}, Predicate.PRESENT),
        ({"a": 1}, Predicate.PRESENT),
        ({"a": {"$ne": 1}}, Predicate.PRESENT),
        ({"a": None}, Predicate.PRESENT),
        ({"a": {"$exists": False}}, Predicate.PRESENT),
        ({"list.0.n": {"$ne": 1}}, Predicate.PRESENT),
        ({"nosuch": 1}, Predicate.PRESENT),
        ({"$nor": [{"a": 1}]}, Predicate.PRESENT),
        ({"$or": [{"a": 1}, {"b.x": 2}]}, Predicate.PRESENT),
        ({"$expr": {"$gt": ["$a", 1]}}, Predicate.PRESENT),
        ({"$text": {"$search": "x"}}, Predicate.PRESENT),
        ({"a": {"$in": []}}, Predicate.PRESENT),
        ({"list": {"$elemMatch": {"n": 1}}}, Predicate.PRESENT),
        ({"$alwaysFalse": 1}, Predicate.PRESENT),
    ],
)
def test_predicates(condition: dict[str, Any], expected: Predicate) -> None:
    many = facts({"delete": "c", "deletes": [{"q": condition, "limit": 0}]})
    assert many.predicate is expected
    one = facts({"delete": "c", "deletes": [{"q": condition, "limit": 1}]})
    assert one.predicate is (expected if expected is Predicate.PRESENT else Predicate.NOT_APPLICABLE)
    assert one.has_predicate
    updated = facts({"update": "c", "updates": [{"q": condition, "u": {"$set": {"a": 1}}, "multi": True}]})
    assert updated.predicate is expected


def test_the_weakest_of_several_writes_counts() -> None:
    found = facts({"delete": "c", "deletes": [{"q": {"a": 1}, "limit": 0}, {"q": {}, "limit": 0}]})
    assert found.predicate is Predicate.ABSENT


def test_collections_inside_stages_are_read_and_written() -> None:
    pipeline = [
        {"$lookup": {"from": "o", "pipeline": [{"$unionWith": "v"}], "as": "x"}},
        {"$graphLookup": {"from": "o", "startWith": "$a", "connectFromField": "a", "connectToField": "b", "as": "g"}},
        {"$facet": {"f": [{"$lookup": {"from": "w", "localField": "a", "foreignField": "b", "as": "q"}}]}},
        {"$merge": {"into": {"db": "other", "coll": "m"}}},
    ]
    found = facts({"aggregate": "c", "pipeline": pipeline, "cursor": {}})
    assert names(found.objects_read) == {"shop.c", "shop.o", "shop.v", "shop.w"}
    assert names(found.objects_written) == {"other.m"}
    assert found.copies_data


def test_views_are_followed_to_what_they_read() -> None:
    found = facts({"find": "v"})
    assert names(found.objects_read) == {"shop.v", "shop.c"}
    assert ColumnRef("shop", "c", "a") in found.columns_read
    assert facts({"find": "loop"}).opaque


@pytest.mark.parametrize(
    "command",
    [
        {"find": "c", "nosuchField": 1},
        {"find": "c", "rawData": True},
        {"find": "c", "filter": {"$nosuch": 1}},
        {"find": "c", "filter": {"a": {"$nosuch": 1}}},
        {"find": "c", "projection": {"x": {"$nosuch": 1}}},
        {"find": "c", "projection": {"x": "$$nosuch"}},
        {"aggregate": "c", "pipeline": [{"$group": {"_id": 1, "x": {"$nosuch": 1}}}], "cursor": {}},
        {"aggregate": "c", "pipeline": [{"$lookup": {"from": "o", "nosuch": 1, "as": "x"}}], "cursor": {}},
        {"aggregate": "c", "pipeline": "x", "cursor": {}},
        {"update": "c", "updates": [{"q": {}, "u": {"$nosuch": {"a": 1}}}]},
        {"update": "c", "updates": [{"q": {}, "u": {"$set": {"a": 1}}, "nosuch": 1}]},
        {"update": "c", "updates": [{"q": {}, "u": [{"$out": "x"}]}]},
        {"find": "c", "filter": {"$where": "1"}},
        {"aggregate": "c", "pipeline": [{"$project": {"x": {"$function": {}}}}], "cursor": {}},
        {"find": "system.profile"},
        {"find": 7},
        {"update": "c"},
        {"explain": {"nosuch": 1}},
    ],
)
def test_what_is_not_known_is_opaque(command: dict[str, Any]) -> None:
    assert facts(command).opaque


def test_the_servers_own_collections_are_opaque() -> None:
    for database, name in (("local", "oplog.rs"), ("config", "transactions"), ("admin", "system.users")):
        assert facts({"find": name}, database).opaque


def test_without_a_catalog_reading_is_opaque() -> None:
    assert facts({"find": "c"}, catalog=None).opaque


def test_a_collection_that_is_not_known_may_hold_anything() -> None:
    found = facts({"find": "new"})
    assert found.reads_everything
    assert not found.opaque


def test_code_has_a_name_that_policies_can_speak_of() -> None:
    assert facts({"find": "c", "filter": {"$where": "1"}}).functions == {ObjectRef("javascript", "where", "function")}
    assert names(facts({"mapReduce": "c", "out": {"inline": 1}}).functions) == {"javascript.mapReduce"}


def test_dropping_a_database_names_what_is_in_it() -> None:
    assert {"shop.c", "shop.v"} <= names(facts({"dropDatabase": 1}).objects_written)


def test_columns() -> None:
    found = facts({"find": "c", "filter": {"b": {"x": 1}, "list.0.n": 2}, "projection": {"a": 1}, "sort": {"b.x": 1}})
    assert {item.column for item in found.columns_filtered} == {"b", "list.0.n", "b.x"}
    assert {item.column for item in found.columns_read} == {"_id", "a", "b", "list.0.n", "b.x"}
    written = facts({"update": "c", "updates": [{"q": {}, "u": {"$set": {"b.x": 1, "list.$[e].n": 2}}}]})
    assert {item.column for item in written.columns_written} == {"b.x", "list.n"}
    assert not written.copies_data
    assert facts({"update": "c", "updates": [{"q": {"a": 1}, "u": [{"$set": {"b": "$a"}}]}]}).copies_data
    assert not facts({"update": "c", "updates": [{"q": {"a": 1}, "u": [{"$set": {"b": 1}}]}]}).copies_data
    assert facts({"update": "c", "updates": [{"q": {}, "u": {"$rename": {"a": "b"}}}]}).copies_data


def test_secrets_are_in_no_text() -> None:
    analysis = analyse_command({"createUser": "u", "pwd": "hunter2", "roles": []}, "admin", CATALOG)
    assert "hunter2" not in analysis.normalised


def test_alike_commands_have_one_fingerprint() -> None:
    one = analyse_command({"find": "c", "filter": {"_id": 1, "a": {"$in": [1, 2]}}}, "shop", CATALOG)
    two = analyse_command({"find": "c", "filter": {"_id": "x", "a": {"$in": [3]}}}, "shop", CATALOG)
    other = analyse_command({"find": "c", "filter": {"_id": 1, "b": {"$in": [1, 2]}}}, "shop", CATALOG)
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert one.normalised == '{"find": "c", "filter": {"_id": "?", "a": {"$in": ["?"]}}}'


@pytest.mark.parametrize(
    ("command", "normalised"),
    [
        ({"find": "c", "filter": {"path": "v", "from": "$v"}}, {"filter": {"path": "?", "from": "?"}}),
        ({"find": "c", "filter": {"$expr": {"$eq": ["$a", "v"]}}}, {"filter": {"$expr": {"$eq": ["$a", "?"]}}}),
        ({"find": "c", "projection": {"a": {"$literal": "$v"}}}, {"projection": {"a": {"$literal": "?"}}}),
        ({"find": "c", "filter": {"limit": 4711}, "limit": 5}, {"filter": {"limit": "?"}, "limit": 5}),
        (
            {"insert": "c", "documents": [{"key": "v", "d": {"$expr": "$v"}}]},
            {"documents": [{"key": "?", "d": {"$expr": "?"}}]},
        ),
        (
            {"update": "c", "updates": [{"q": {"on": "v"}, "u": {"$set": {"as": "$v"}}, "multi": True}]},
            {"updates": [{"q": {"on": "?"}, "u": {"$set": {"as": "?"}}, "multi": True}]},
        ),
        (
            {"update": "c", "updates": [{"q": {}, "u": [{"$set": {"a": "$b", "key": "v"}}]}]},
            {"updates": [{"q": {}, "u": [{"$set": {"a": "$b", "key": "?"}}]}]},
        ),
        (
            {"aggregate": "c", "pipeline": [{"$lookup": {"from": "d", "as": "e"}}, {"$match": {"from": "v"}}]},
            {"pipeline": [{"$lookup": {"from": "d", "as": "e"}}, {"$match": {"from": "?"}}]},
        ),
        ({"distinct": "c", "key": "a"}, {"key": "a"}),
        ({"explain": {"find": "c", "filter": {"a": "v"}}}, {"explain": {"find": "c", "filter": {"a": "?"}}}),
    ],
)
def test_a_normalised_text_keeps_names_and_no_value(command: dict[str, Any], normalised: dict[str, Any]) -> None:
    first = next(iter(command))
    expected = normalised if first == "explain" else {first: "c", **normalised}
    assert json.loads(analyse_command(command, "shop", CATALOG).normalised) == expected


# --- completeness -----------------------------------------------------------------------------------------------------

_NOT_FOR_CLIENTS = ("_",)


def test_every_command_of_the_server_is_in_a_table(mongo_server: Any) -> None:
    with mongo_server.client() as client:
        commands = client.admin.command("listCommands")["commands"]
    known = COMMANDS.keys() | REFUSED | {name.lower() for name in HANDLED}
    missing = {name for name in commands if name.lower() not in known and not name.startswith(_NOT_FOR_CLIENTS)}
    assert sorted(missing) == [], " ".join(sorted(missing))


def test_every_operator_and_stage_of_the_server_is_in_a_table(mongo_server: Any) -> None:
    with mongo_server.client() as client:
        metrics = client.admin.command("serverStatus")["metrics"]
    counters = metrics["operatorCounters"]

    def public(found: Any) -> set[str]:
        return {name.removeprefix("$") for name in found if not name.startswith("$_")}

    assert public(counters["expressions"]) - expressions.OPERATORS == set()
    assert public(counters["match"]) - public(filters.FILTER_OPERATORS) == set()
    assert public(counters["groupAccumulators"]) - accumulators.ACCUMULATORS == set()
    assert public(counters["windowAccumulators"]) - accumulators.WINDOW_OPERATORS == set()
    internal = {"mergeCursors", "queue", "setVariableFromSubPipeline"}
    assert public(metrics["aggStageCounters"]) - public(stages.STAGES) - internal == set()
