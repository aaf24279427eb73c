"""The catalog, samples, and commands written as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from bson import Decimal128
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from gateway.domain.statement import Action, ColumnRef
from gateway.protocol.optional import ColumnSort, SampledTable
from gateway.testing.servers import MongoServer
from gateway_mongodb.analyser import CommandAnalyser
from gateway_mongodb.catalog import Collection, Conversation, MongoCatalog, View, collect_paths, read_catalog
from gateway_mongodb.sampling import read_samples, table

DAY = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


def drive(client: MongoClient[Any], conversation: Conversation) -> Any:
    """Answer a conversation over a driver."""
    database, command = next(conversation)
    while True:
        try:
            reply: Mapping[str, Any] = client[database].command(command)
        except OperationFailure as error:
            reply = error.details or {"ok": 0}
        try:
            database, command = conversation.send(reply)
        except StopIteration as stop:
            return stop.value


@pytest.fixture(scope="module")
def client(mongo_server: MongoServer) -> Iterator[MongoClient[Any]]:
    with mongo_server.client() as found:
        database = found["catalogue"]
        database.people.insert_many(
            [
                {"_id": 1, "contact": {"email": "ana@mail.example"}, "cards": [{"n": 1}], "born": DAY},
                {"_id": 2, "contact": None, "paid": Decimal128("1.5"), "tags": ["x", "y"]},
            ]
        )
        database.command({"create": "mails", "viewOn": "people", "pipeline": [{"$project": {"m": "$contact.email"}}]})
        yield found
        found.drop_database("catalogue")


def test_the_catalog_has_paths_and_views(client: MongoClient[Any]) -> None:
    catalog = drive(client, read_catalog())
    people = catalog.find("catalogue", "people")
    assert people is not None
    assert {"contact", "contact.email", "cards", "cards.n", "born", "paid", "tags"} <= people.paths.keys()
    view = catalog.find("catalogue", "mails")
    assert view is not None
    assert view.view == View("people", ({"$project": {"m": "$contact.email"}},))
    assert ColumnRef("catalogue", "people", "contact.email") in catalog.columns()
    assert all(column.table != "mails" for column in catalog.columns())
    assert drive(client, read_catalog()).version == catalog.version
    client["catalogue"].people.update_one({"_id": 1}, {"$set": {"fresh": 1}})
    assert drive(client, read_catalog()).version != catalog.version


def test_samples_come_path_by_path(client: MongoClient[Any]) -> None:
    seen: dict[str, SampledTable] = {}
    drive(client, read_samples("catalogue", rows=10, seen=lambda item, number, of: seen.update({item.name: item})))
    assert set(seen) == {"people"}
    columns = {column.name: column for column in seen["people"].columns}
    assert columns["contact.email"].values == ("ana@mail.example",)
    assert columns["contact.email"].sort is ColumnSort.TEXT
    assert columns["born"].sort is ColumnSort.DATE
    assert columns["paid"].values == ("1.5",)
    assert sorted(columns["tags"].values) == ["x", "y"]


def test_values_are_cut_and_deep_documents_end() -> None:
    nested: Any = "x" * 1000
    for _ in range(60):
        nested = {"d": nested}
    found = table("d", "c", [{"a": nested, "long": "y" * 1000}])
    assert {len(value) for column in found.columns for value in column.values} == {256}
    paths: dict[str, str] = {}
    collect_paths({"a": nested}, paths)
    assert len(paths) <= 25


def test_a_label_on_a_path_is_on_what_contains_it() -> None:
    catalog = MongoCatalog([Collection("d", "c", paths={"a": "object", "a.b": "string"})])
    assert catalog.related_columns(ColumnRef("d", "c", "a.b")) == {ColumnRef("d", "c", "a"), ColumnRef("d", "c", "*")}


@pytest.mark.parametrize(
    "text", ["", "find", "[1]", "{}", '{"find": {"$oid": "x"}}', '{"a": {"$date": "never"}}', "{" * 9]
)
def test_a_text_that_is_no_command_could_be_anything(text: str) -> None:
    analysis = CommandAnalyser().analyse_now(text, "d", None)
    assert analysis is not None
    assert analysis.actions == {Action.UNKNOWN}


def test_a_command_written_as_json() -> None:
    catalog = MongoCatalog([Collection("d", "c", paths={"a": "int"}), Collection("e", "c", paths={"a": "int"})])
    text = '{"find": "c", "filter": {"_id": {"$oid": "5f5f5f5f5f5f5f5f5f5f5f5f"}}}'
    analysis = CommandAnalyser().analyse_now(text, "d", catalog)
    assert analysis is not None
    assert {str(item) for item in analysis.statements[0].objects_read} == {"d.c"}
    other = CommandAnalyser().analyse_now('{"find": "c", "$db": "e"}', "d", catalog)
    assert other is not None
    assert {str(item) for item in other.statements[0].objects_read} == {"e.c"}
