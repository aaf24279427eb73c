"""Masks on raw BSON: what passes, what is hidden, and that hostile bytes end the result."""

from __future__ import annotations

import datetime
import random
import struct
from decimal import Decimal
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import UuidRepresentation
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.masking import ColumnMask, MaskingPlan, MaskSpec, PathMask
from gateway.errors import MaskingError, RemoteProtocolError
from gateway.masking.functions import BUILTIN_FUNCTIONS, MaskingFunctions
from gateway.masking.keys import MaskingKeys
from gateway_mongodb import _documents_reference as reference
from gateway_mongodb import documents
from gateway_mongodb.abstract import AbstractValue, Computed, Document, Dotted, Nothing, collection
from gateway_mongodb.documents import compile_mask, redact_reply
from gateway_mongodb.masks import Compiler, Node
from gateway_mongodb.shapes import Place, Shape, result_columns
from gateway_mongodb.wire.messages import BODY_AT, Msg
from gateway_mongodb.wire.stream import ReplyStream

FUNCTION = MaskingFunctions(BUILTIN_FUNCTIONS, MaskingKeys(b"k" * 32))
STORED = collection("shop", "customers")
DATE = datetime.datetime(2024, 5, 6, 7, 8, tzinfo=datetime.UTC).replace(tzinfo=None)
YEAR = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC).replace(tzinfo=None)
UUID_VALUE = UUID("7f3ac6d1-52be-4e98-b1d7-c3a90e64f825")


def spec(function: str, **arguments: str | int | bool) -> MaskSpec:
    return MaskSpec(function, tuple(sorted(arguments.items())))


def tree(masks: dict[str, MaskSpec], value: AbstractValue = STORED, place: Place = Place.CURSOR) -> Node:
    """The tree for stored documents with masks on paths, and redaction of everything computed."""
    shape = Shape(place, value)
    below = tuple(PathMask(tuple(path.split(".")), ColumnMask(mask, frozenset({"l"}))) for path, mask in masks.items())
    redact = ColumnMask(spec("redact"), frozenset({"l"}))
    columns = result_columns(shape)
    plan = MaskingPlan(
        tuple(None if column.document else redact for column in columns),
        tuple(below if column.document else () for column in columns),
    )
    node = Compiler(plan, FUNCTION).compile(shape)
    assert node is not None
    return node


def both(data: bytes, node: Node) -> tuple[bytes, tuple[int, ...], int]:
    """The answer of both kernels, which must be the same."""
    first = reference.mask_document(data, node)
    assert documents.mask_document(data, node) == first
    return first


def masked(document: dict[str, Any], masks: dict[str, MaskSpec], value: AbstractValue = STORED) -> dict[str, Any]:
    reply = bson.encode({"cursor": {"firstBatch": [document], "id": Int64(0), "ns": "shop.customers"}, "ok": 1.0})
    output, _, rows = both(reply, tree(masks, value))
    assert rows == 1
    return bson.decode(output)["cursor"]["firstBatch"][0]


def test_a_path_is_masked_through_arrays_and_the_rest_stays() -> None:
    found = masked(
        {"_id": 1, "contacts": [{"email": "a@b.example", "city": "Oslo"}, [{"email": "c"}], 7], "note": "n"},
        {"contacts.email": spec("redact")},
    )
    assert found == {
        "_id": 1,
        "contacts": [{"email": "****", "city": "Oslo"}, [{"email": "****"}], 7],
        "note": "n",
    }


def test_a_label_covers_everything_below_and_keeps_its_form() -> None:
    found = masked({"c": {"a": "x", "b": [1, "y", {"z": "q"}], "n": None}}, {"c": spec("redact")})
    assert found == {"c": {"a": "****", "b": [None, "****", {"z": "****"}], "n": None}}


def test_the_strictest_of_two_masks_wins() -> None:
    found = masked({"c": {"card": "1234567890"}}, {"c": spec("partial", last=4), "c.card": spec("redact")})
    assert found == {"c": {"card": "****"}}


def test_wildcards_are_one_step_and_ignore_case() -> None:
    found = masked({"m": {"x": {"PIN": "1"}, "y": {"pin": "2", "v": 3}}}, {"m.*.pin": spec("redact")})
    assert found == {"m": {"x": {"PIN": "****"}, "y": {"pin": "****", "v": 3}}}


def test_what_is_computed_keeps_no_form() -> None:
    value = Document({"a": Computed(STORED.refs), "b": Computed()}, None)
    found = masked({"a": {"secret key": 1}, "b": {"open": 1}}, {}, value)
    assert found == {"a": {}, "b": {"open": 1}}


def test_field_names_made_of_hidden_values_are_dropped() -> None:
    assert masked({"a": "x", "ana@b.example": 1}, {}, Document({"a": Computed()}, Computed(STORED.refs))) == {"a": "x"}


def test_fields_that_should_not_be_there_are_dropped() -> None:
    value = Document({"a": Computed(STORED.refs), "gone": Nothing()}, None)
    assert masked({"a": "x", "gone": "y", "other": "z"}, {}, value) == {"a": "****", "gone": None}


def test_dotted_names_of_a_change_event_are_paths() -> None:
    found = masked(
        {"contact.email": "x", "contact.city": "Oslo", "contact": {"email": "y"}},
        {"contact.email": spec("redact")},
        Dotted(STORED),
    )
    assert found == {"contact.email": "****", "contact.city": "Oslo", "contact": {"email": "****"}}


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (spec("partial", last=4), "ZQXJ-1184", "****1184"),
        (spec("partial", last=4), "1184", "****"),
        (spec("partial", first=2), "Øystein Å", "Øy****"),
        (spec("partial", last=4), 12345678, None),
        (spec("email"), "ana@mail.example", "a***@mail.example"),
        (spec("round", to=100), 1234, 1200),
        (spec("round", to=100), Int64(1234), Int64(1200)),
        (spec("round", to=100), 1234.5, 1200.0),
        (spec("round", to=100), Decimal128("1234.5"), Decimal128(Decimal("1200"))),
        (spec("round", to=100), float("inf"), None),
        (spec("round", to=100), Decimal128("NaN"), None),
        (spec("truncate_date", unit="year"), DATE, YEAR),
        (spec("constant", value=0), 77, 0),
        (spec("constant", value="x"), "secret", "x"),
        (spec("redact"), ObjectId(), None),
        (spec("redact"), Binary(b"abc", 0), None),
        (spec("hash"), MinKey(), None),
        (spec("hash"), Regex("x"), None),
        (spec("hash"), Code("x"), None),
        (spec("hash"), Code("x", {}), None),
        (spec("hash"), Timestamp(1, 1), None),
        (spec("redact"), True, None),
    ],
)
def test_values_keep_their_type_or_become_null(function: MaskSpec, value: Any, expected: Any) -> None:
    found = masked({"v": value}, {"v": function})["v"]
    assert found == expected
    assert type(found) is type(expected)


def test_hashes_are_the_same_for_the_same_and_a_uuid_stays_one() -> None:
    raw = Binary.from_uuid(UUID_VALUE, UuidRepresentation.STANDARD)
    first = masked({"v": raw, "w": "ana"}, {"v": spec("hash"), "w": spec("hash")})
    again = masked({"v": raw, "w": "ana"}, {"v": spec("hash"), "w": spec("hash")})
    assert first == again
    assert first["v"].subtype == 4
    assert first["v"] != raw
    assert first["w"] != "ana"


def test_an_error_reply_passes_through_a_mask() -> None:
    reply = bson.encode({"ok": 0.0, "errmsg": "x", "code": 2})
    assert both(reply, tree({"a": spec("redact")})) == (reply, (), 0)


def test_distinct_values_and_a_single_document() -> None:
    redact = {"v": spec("redact")}
    values = bson.encode({"values": ["a", 1, {"b": "c"}], "ok": 1.0})
    output, cells, rows = both(values, tree({}, Computed(STORED.refs), Place.VALUES))
    assert (bson.decode(output)["values"], cells, rows) == (["****", None, {}], (0, 3), 3)
    single = bson.encode({"value": {"v": "a", "w": 1}, "ok": 1.0})
    output, cells, rows = both(single, tree(redact, place=Place.VALUE))
    assert (bson.decode(output)["value"], cells, rows) == ({"v": "****", "w": 1}, (0, 1), 1)
    assert both(bson.encode({"value": None, "ok": 1.0}), tree(redact, place=Place.VALUE))[2] == 0


def test_masked_values_are_counted_for_what_called_for_their_mask() -> None:
    masks = {"mail": ("a", "b"), "doc": ("d",), "doc.card": ("c",), "any": ("c",), "none": ("e",)}
    below = tuple(
        PathMask(tuple(path.split(".")), ColumnMask(spec("hash" if path == "any" else "redact"), frozenset(labels)))
        for path, labels in masks.items()
    )
    mask = compile_mask(Shape(Place.CURSOR, STORED), MaskingPlan((None,), (below,)), FUNCTION)
    assert mask is not None
    documents = [{"mail": ["x", "y", None], "doc": {"card": 1, "b": 2}, "any": "z"}, {"mail": "x"}]
    for cursor, times in (("firstBatch", 1), ("nextBatch", 2)):
        # A value under two labels, its own and that of what it is in, is one for each of them.
        _, cells, _ = mask.mask_batch(bson.encode({"cursor": {cursor: documents * times}}))
        counted = {labels: number // times for labels, number in zip(mask.labels(), cells, strict=False) if number}
        assert counted == {("a", "b"): 3, ("c", "d"): 1, ("d",): 1, ("c",): 1}


def test_a_failing_function_ends_the_result() -> None:
    from gateway.domain.masking import MaskingFunction, Value, ValueKind

    def constant(kind: ValueKind) -> Value | None:
        raise LookupError

    def apply(value: Value, kind: ValueKind, domain: str) -> Value | None:
        raise RuntimeError("broken")

    def broken(wanted: MaskSpec) -> MaskingFunction:
        return MaskingFunction(wanted, 100, False, constant, apply)

    shape = Shape(Place.CURSOR, STORED)
    plan = MaskingPlan((None,), ((PathMask(("v",), ColumnMask(spec("x"), frozenset())),),))
    mask = compile_mask(shape, plan, broken)
    assert mask is not None
    with pytest.raises(RuntimeError):
        mask.mask_batch(bson.encode({"cursor": {"firstBatch": [{"v": "a"}]}}))


# --- hostile bytes ----------------------------------------------------------------------------------------------------

SAMPLE = {
    "_id": ObjectId(),
    "s": "text",
    "d": 1.5,
    "doc": {"s": "x", "deep": [{"s": "y"}, 1, None]},
    "bin": Binary(b"\0\1\2", 0),
    "b": True,
    "date": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    "re": Regex("a.*b", "i"),
    "code": Code("x"),
    "scoped": Code("x", {"y": 1}),
    "i": 5,
    "ts": Timestamp(1, 2),
    "l": Int64(7),
    "dec": Decimal128("1.5"),
    "min": MinKey(),
    "max": MaxKey(),
    "n": None,
}
MASKS = {"s": spec("partial", last=1), "doc": spec("hash"), "doc.deep.s": spec("redact"), "l": spec("round", to=10)}


def _verdict(kernel: Any, data: bytes, node: Node) -> Any:
    try:
        return kernel.mask_document(data, node)
    except MaskingError as error:
        return str(error)


def _agree(data: bytes, node: Node) -> Any:
    first = _verdict(reference, data, node)
    assert _verdict(documents, data, node) == first
    return first


def test_bytes_that_were_tampered_with_end_alike_in_both_kernels() -> None:
    rng = random.Random(7)
    node = tree(MASKS)
    whole = bson.encode({"cursor": {"firstBatch": [SAMPLE, SAMPLE], "id": 0}, "ok": 1.0})
    refused = 0
    for _ in range(4000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            position = rng.randrange(len(data))
            match rng.randint(0, 3):
                case 0:
                    data[position] = rng.randrange(256)
                case 1:
                    struct.pack_into("<i", data, min(position, len(data) - 4), rng.choice((-1, 0, 4, 5, 1 << 30, 255)))
                case 2:
                    del data[position : position + rng.randint(1, 9)]
                case _:
                    data[position:position] = rng.randbytes(rng.randint(1, 5))
            if len(data) < 8:
                data = bytearray(whole)
        if rng.random() < 0.5:
            struct.pack_into("<i", data, 0, len(data))
        refused += isinstance(_agree(bytes(data), node), str)
    assert refused > 1000


def test_truncated_documents_end_the_result() -> None:
    node = tree(MASKS)
    whole = bson.encode({"cursor": {"firstBatch": [SAMPLE]}})
    for size in range(len(whole)):
        assert isinstance(_agree(whole[:size], node), str)


def test_deep_nesting_ends_the_result() -> None:
    inner = b"\x05\0\0\0\0"
    for _ in range(5000):
        inner = struct.pack("<i", len(inner) + 8) + b"\x03s\0" + inner + b"\0"
    assert _agree(inner, tree({"s": spec("redact")}, place=Place.VALUE)) is not None
    node = tree({"a": spec("redact")})
    assert isinstance(node, Node)
    nested: dict[str, Any] = {"doc": 1}
    for _ in range(90):
        nested = {"doc": nested}
    both(bson.encode({"cursor": {"firstBatch": [nested]}}), tree(MASKS))
    deep = b"\x05\0\0\0\0"
    for _ in range(300):
        deep = struct.pack("<i", len(deep) + 10) + b"\x03doc\0" + deep + b"\0"
    batch = struct.pack("<i", len(deep) + 8) + b"\x030\0" + deep + b"\0"
    cursor = struct.pack("<i", len(batch) + 17) + b"\x04firstBatch\0" + batch + b"\0"
    reply = struct.pack("<i", len(cursor) + 13) + b"\x03cursor\0" + cursor + b"\0"
    assert _agree(reply, tree(MASKS)) == "a document is nested too deeply"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 31), (1 << 31) - 1)
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=9)
    | st.sampled_from([ObjectId(), Decimal128("7"), Int64(9), Regex("x"), MinKey(), Timestamp(1, 1)]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("a b s l doc deep 0".split()), inner, max_size=4)
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("a s l doc 1".split()), VALUES, max_size=5), max_size=3))
def test_any_documents_come_out_alike_and_readable(batch: list[dict[str, Any]]) -> None:
    output, _, rows = both(bson.encode({"cursor": {"nextBatch": batch, "id": 1}, "ok": 1.0}), tree(MASKS))
    assert rows == len(batch)
    found = bson.decode(output)["cursor"]["nextBatch"]
    assert [list(document) for document in found] == [list(document) for document in batch]


# --- piece by piece ---------------------------------------------------------------------------------------------------


def in_pieces(kernel: Any, message: bytes, node: Node, size: int) -> tuple[bytes, tuple[int, ...], int]:
    """As ``mask_document``, for a reply that comes in pieces of ``size`` bytes."""
    result = node.child(b"cursor").child(b"nextBatch").inner
    assert result is not None
    mask = kernel.BatchMask(result)
    stream = ReplyStream(len(message), mask.take)
    for at in range(0, len(message), size):
        stream.feed(message[at : at + size])
    results = b"".join(mask.results())
    before, behind = stream.around(mask.size)
    return (before + results + behind)[BODY_AT:], mask.masked, stream.rows


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("a s l doc 1".split()), VALUES, max_size=5)), st.integers(1, 400))
def test_results_masked_piece_by_piece_are_those_of_the_whole_reply(batch: list[dict[str, Any]], size: int) -> None:
    reply = {"cursor": {"nextBatch": batch, "id": Int64(1), "ns": "shop.customers"}, "ok": 1.0, "doc": {"s": "kept"}}
    body, node = bson.encode(reply), tree(MASKS)
    expected, message = both(body, node), Msg(0, body).encode(1, 2)
    assert in_pieces(reference, message, node, size) == expected
    assert in_pieces(documents, message, node, size) == expected


def test_many_results_come_out_in_pieces_that_fit_together() -> None:
    batch = [
        {"_id": number, "s": "x" * (number % 300), "big": b"x" * 100_000 if number == 77 else b""}
        for number in range(2000)
    ]
    body, node = bson.encode({"cursor": {"nextBatch": batch, "id": Int64(1)}, "ok": 1.0}), tree(MASKS)
    message = Msg(0, body).encode(1, 2)
    for size in (10_000, 70_000, 1_000_000):
        assert in_pieces(documents, message, node, size) == both(body, node)


def test_pieces_that_were_tampered_with_end_alike_in_both_kernels() -> None:
    rng = random.Random(8)
    node = tree(MASKS)
    whole = Msg(0, bson.encode({"cursor": {"nextBatch": [SAMPLE, {"s": "x"}], "id": Int64(0)}, "ok": 1.0})).encode(1, 2)
    refused = 0
    for _ in range(4000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            position = rng.randrange(BODY_AT + 4, len(data) - 4)
            if rng.random() < 0.5:
                data[position] = rng.randrange(256)
            else:
                struct.pack_into("<i", data, position, rng.choice((-1, 0, 4, 5, 1 << 30, 255)))
        found = [_tried(kernel, bytes(data), node, rng.choice((1, 30, 10_000))) for kernel in (reference, documents)]
        assert found[0] == found[1]
        refused += found[0] is None
        if found[0] is not None and not isinstance(unbroken := _verdict(reference, bytes(data[BODY_AT:]), node), str):
            assert found[0] == unbroken
    assert refused > 1000


def _tried(kernel: Any, message: bytes, node: Node, size: int) -> tuple[bytes, tuple[int, ...], int] | None:
    try:
        return in_pieces(kernel, message, node, size)
    except (MaskingError, RemoteProtocolError):
        return None


# --- errors -----------------------------------------------------------------------------------------------------------


def test_errors_say_what_and_not_with_which_value() -> None:
    reply = {
        "n": 0,
        "writeErrors": [
            {
                "index": 0,
                "code": 11000,
                "errmsg": 'E11000 dup key: { tax: "KZ83" }',
                "keyPattern": {"tax": 1},
                "keyValue": {"tax": "KZ83"},
                "errInfo": {"details": "KZ83"},
            }
        ],
        "ok": 1.0,
    }
    redacted = bson.decode(redact_reply(bson.encode(reply)))
    assert b"KZ83" not in bson.encode(redacted)
    assert redacted["writeErrors"][0]["code"] == 11000
    assert redacted["n"] == 0
    error = {
        "ok": 0.0,
        "errmsg": "Failed to parse number 'KZ83'",
        "code": 241,
        "codeName": "ConversionFailure",
        "x": "KZ83",
    }
    assert b"KZ83" not in redact_reply(bson.encode(error))
    fine = bson.encode({"ok": 1.0, "n": 3})
    assert redact_reply(fine) == fine
