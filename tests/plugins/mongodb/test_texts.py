"""Commands as text: what both writers of it say, and that it is what the library says."""

from __future__ import annotations

import datetime
import random
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util

from gateway.errors import RemoteProtocolError
from gateway_mongodb import _texts_reference as reference
from gateway_mongodb import texts

DAY = datetime.datetime(2026, 5, 1, 12, 30, tzinfo=datetime.UTC)
VALUES: list[Any] = [
    *(0, -7, 2**31, Int64(5), 1.5, -0.0, 1e300, float("nan"), float("-inf"), True, False, None),
    *("", "plain", 'quote " and \\ and \n', "Grüße 日本 \U0001f600", "a\0b", {}, [], {"a": {"b": [1, {"c": "d"}]}}),
    *(ObjectId("0123456789abcdef01234567"), DAY, Binary(b"\0\xff"), Binary(bytes(range(16)), 4), Regex("^a", "i")),
    *(Decimal128("1.10"), Timestamp(5, 6), MinKey(), MaxKey(), Code("f()"), Code("f()", {"x": 1}), DBRef("c", 1)),
]


def text(command: dict[str, Any], sequences: dict[str, list[dict[str, Any]]] | None = None) -> str:
    """The text, on which both writers must agree."""
    body = bson.encode(command)
    raw = [(name, b"".join(map(bson.encode, found))) for name, found in (sequences or {}).items()]
    written = texts.command_text(body, raw)
    assert written == reference.command_text(body, raw)
    return written


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_every_kind_of_value_reads_as_the_library_writes_it(value: Any) -> None:
    command = {"find": "c", "filter": {"f": value, "g": [value, value]}}
    decoded = bson.decode(bson.encode(command))
    assert text(command) == json_util.dumps(decoded, json_options=json_util.RELAXED_JSON_OPTIONS)


def test_the_envelope_is_left_out_and_sequences_are_put_in() -> None:
    command = {"insert": "c", "ordered": True, "lsid": {"id": 1}, "txnNumber": Int64(4), "$db": "shop"}
    assert text(command) == '{"insert": "c", "ordered": true}'
    told = text(command, {"documents": [{"_id": 1}, {"lsid": "kept"}]})
    assert told == '{"insert": "c", "ordered": true, "documents": [{"_id": 1}, {"lsid": "kept"}]}'
    assert text({"lsid": 1, "$db": "x"}, {"documents": []}) == '{"documents": []}'
    assert text({}) == "{}"


def test_of_commands_with_secrets_only_the_name_is_told() -> None:
    assert text({"SASLSTART": 1, "payload": b"hunter2"}, {"x": [{"p": "hunter2"}]}) == '{"SASLSTART": "***"}'
    assert text({"createUser": {"pwd": "hunter2"}, "pwd": "hunter2"}) == '{"createUser": "***"}'


def test_of_an_account_it_is_told_whose_it_is_and_what_it_may() -> None:
    command = {"createUser": "u", "pwd": "hunter2", "roles": ["root"], "customData": {"x": "hunter2"}, "$db": "admin"}
    told = text(command)
    assert told == '{"createUser": "u", "roles": ["root"], "pwd": "***", "customData": "***"}'


@pytest.mark.parametrize(
    "command",
    [
        {"explain": {"createUser": "u", "pwd": "hunter2"}},
        {"explain": {"saslStart": 1, "payload": "hunter2"}},
        {"creatUser": "u", "pwd": "hunter2"},
        {"setParameter": 1, "nested": [{"password": "hunter2"}]},
    ],
)
def test_a_password_is_not_told_of_a_command_that_is_not_about_documents(command: dict[str, Any]) -> None:
    assert "hunter2" not in texts.shown_text(bson.encode(command))
    assert "hunter2" not in texts.normalised_text(command)


def test_a_field_of_documents_that_is_called_as_a_password_is_one_of_the_users() -> None:
    for command in ({"find": "c", "filter": {"pwd": "x"}}, {"explain": {"count": "c", "query": {"password": "x"}}}):
        assert texts.shown_text(bson.encode(command)) == text(command)
    told = texts.shown_text(bson.encode({"insert": "c"}), [("documents", bson.encode({"pwd": "x"}))])
    assert told == text({"insert": "c"}, {"documents": [{"pwd": "x"}]})
    assert "hunter2" not in texts.shown_text(bson.encode({"unknown": 1}), [("x", bson.encode({"pwd": "hunter2"}))])


def test_malformed_bytes_are_refused_by_both_alike() -> None:
    body = bson.encode({"find": "c", "filter": {"a": [1, "x", {"b": ObjectId()}], "d": 1.5}, "$db": "s"})
    source = random.Random(7)
    for _ in range(3000):
        broken = bytearray(body)
        for _ in range(source.randint(1, 3)):
            broken[source.randrange(len(broken))] = source.randrange(256)
        told = []
        for writer in (texts.command_text, reference.command_text):
            try:
                told.append(writer(bytes(broken)))
            except RemoteProtocolError:
                told.append("")
        if told[1]:
            assert told[0] == told[1] or _twice(bytes(broken)), bytes(broken)


def _twice(body: bytes) -> bool:
    from gateway_mongodb.keys import names_twice

    return names_twice(body)


def test_deep_nesting_is_no_crash() -> None:
    document: dict[str, Any] = {}
    for _ in range(190):
        document = {"a": document}
    assert text({"find": "c", "filter": document}).count("{") == 192
