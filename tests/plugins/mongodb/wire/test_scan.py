"""Reading the top level of commands and replies, against what ``bson`` says of the same bytes."""

from __future__ import annotations

import contextlib
import datetime
import uuid
from collections.abc import Callable

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RemoteProtocolError
from gateway_mongodb.limits import cut_batch, with_time_limit
from gateway_mongodb.wire import _elements_reference
from gateway_mongodb.wire.codec import COMPILED, count_elements, elements, with_elements, without
from gateway_mongodb.wire.scan import scan_command, scan_reply

EVERY_TYPE = {
    "double": 1.5,
    "string": "ü",
    "document": {"a": 1},
    "array": [1, "2", [3]],
    "binary": b"\0\1",
    "old binary": Binary(b"123", 2),
    "id": ObjectId(),
    "bool": True,
    "date": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    "null": None,
    "regex": Regex("a.*", "i"),
    "reference": DBRef("t", 1),
    "code": Code("x"),
    "scoped code": Code("x", {"y": 1}),
    "int32": 7,
    "timestamp": Timestamp(1, 2),
    "int64": Int64(1 << 40),
    "decimal": Decimal128("1.50"),
    "min": MinKey(),
    "max": MaxKey(),
}


def test_every_type_is_jumped_over() -> None:
    data = bson.encode(EVERY_TYPE)
    assert [name.decode() for _, name, _, _ in elements(data, 0, len(data))] == list(EVERY_TYPE)
    assert count_elements(data, 0, len(data)) == len(EVERY_TYPE)


def test_elements_are_added_and_taken_away() -> None:
    data = bson.encode(EVERY_TYPE)
    for name in EVERY_TYPE:
        rest = {key: value for key, value in EVERY_TYPE.items() if key != name}
        assert without(data, frozenset({name.encode()})) == bson.encode(rest)
    assert without(data, frozenset({b"not there"})) is data
    more = bson.encode({"more": 1})
    assert with_elements(data, more[4:-1]) == bson.encode(EVERY_TYPE | {"more": 1})


@given(st.integers(0, 400), st.binary(min_size=1, max_size=6))
def test_damaged_documents_are_refused_and_nothing_else(place: int, damage: bytes) -> None:
    data = bson.encode(EVERY_TYPE | {"find": "t", "$db": "x"})
    data = data[:place] + damage + data[place + len(damage) :]
    for read in (scan_command, scan_reply):
        with contextlib.suppress(RemoteProtocolError):
            read(data)


def test_the_envelope_of_a_command() -> None:
    session = uuid.uuid4()
    scan = scan_command(
        bson.encode(
            {
                "find": "customers",
                "filter": {"$where": "1", "lsid": 5},
                "lsid": {"id": Binary.from_uuid(session)},
                "txnNumber": Int64(3),
                "startTransaction": True,
                "autocommit": False,
                "maxTimeMS": 100,
                "$db": "shop",
            }
        )
    )
    assert (scan.name, scan.value, scan.database, scan.lsid) == ("find", "customers", "shop", session.bytes)
    assert (scan.txn_number, scan.start_transaction, scan.autocommit_off, scan.max_time) == (3, True, True, 100)
    assert not scan.forbidden


@pytest.mark.parametrize(
    "argument",
    [
        {"$audit": {}},
        {"$client": {}},
        {"$configServerState": 1},
        {"$impersonatedUsers": []},
        {"maxTimeMSOpOnly": 1},
        {"shardVersion": 1},
        {"lsid": {"id": Binary(bytes(16), 4), "uid": b"x"}},
        {"lsid": {"id": "text"}},
    ],
)
def test_arguments_through_which_servers_steer_each_other_are_found(argument: dict[str, object]) -> None:
    assert scan_command(bson.encode({"ping": 1, "$db": "admin"} | argument)).forbidden


def test_an_argument_twice_is_refused() -> None:
    twice = with_elements(bson.encode({"find": "a", "$db": "x"}), bson.encode({"$db": "y"})[4:-1])
    with pytest.raises(RemoteProtocolError, match="two arguments"):
        scan_command(twice)


def test_what_a_reply_says() -> None:
    body = bson.encode({"cursor": {"firstBatch": [{"a": 1}, {"a": 2}], "id": Int64(77), "ns": "shop.t"}, "ok": 1.0})
    scan = scan_reply(body)
    assert (scan.ok, scan.rows, scan.cursor_id, scan.namespace) == (True, 2, 77, "shop.t")
    failed = scan_reply(bson.encode({"ok": 0.0, "errmsg": "x", "code": 10107, "topologyVersion": {}}))
    assert (failed.ok, failed.code, failed.topology_version) == (False, 10107, True)
    written = scan_reply(bson.encode({"n": 3, "writeErrors": [{"code": 11000}], "ok": 1.0}))
    assert (written.ok, written.changed, written.has_write_errors) == (True, 3, True)


@pytest.mark.parametrize("keep", range(4))
@pytest.mark.parametrize("id_first", [True, False])
def test_a_batch_is_cut(keep: int, id_first: bool) -> None:
    documents = [{"a": "x" * number} for number in range(3)]
    parts = [("id", Int64(0)), ("firstBatch", documents)]
    cursor = dict(parts if id_first else reversed(parts)) | {"ns": "shop.t"}
    body = bson.encode({"before": 1, "cursor": cursor, "ok": 1.0})
    cut = bson.decode(cut_batch(body, scan_reply(body), keep, 99))
    assert cut == {"before": 1, "cursor": {"firstBatch": documents[:keep], "id": 99, "ns": "shop.t"}, "ok": 1.0}


def test_a_time_limit_is_the_stricter_one() -> None:
    body = bson.encode({"find": "t", "$db": "x"})
    assert bson.decode(with_time_limit(body, 0, 2.5)) == {"find": "t", "$db": "x", "maxTimeMS": 2500}
    body = bson.encode({"find": "t", "maxTimeMS": 900, "$db": "x"})
    assert with_time_limit(body, 900, 2.5) is body
    assert bson.decode(with_time_limit(body, 900, 0.5)) == {"find": "t", "$db": "x", "maxTimeMS": 500}


@given(st.integers(0, 450), st.binary(max_size=6))
def test_the_compiled_kernel_agrees_with_its_reference(place: int, damage: bytes) -> None:
    if not COMPILED:
        pytest.skip("there is no compiled kernel here")
    data = bson.encode(EVERY_TYPE)
    data = data[:place] + damage + data[place + len(damage) :]
    for compiled, plain in (
        (elements, _elements_reference.elements),
        (count_elements, _elements_reference.count_elements),
    ):
        assert _outcome(compiled, data) == _outcome(plain, data)


def _outcome(read: Callable[[bytes, int, int], object], data: bytes) -> object:
    try:
        return read(data, 0, len(data))
    except RemoteProtocolError as error:
        return str(error)
