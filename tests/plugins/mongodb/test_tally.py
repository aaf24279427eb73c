"""Cells in documents: what counts, how much, and where a batch is cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bson
import pytest
from bson import Int64
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.budget import Weight
from gateway.domain.masking import ColumnMask, MaskingPlan, MaskSpec, PathMask
from gateway.errors import LimitExceeded, MaskingError
from gateway_mongodb.abstract import AbstractValue, Computed, Document, Dotted, Guarded, Unknown, collection, get
from gateway_mongodb.shapes import Place, Shape, result_columns
from gateway_mongodb.tally import Admitted, Tally, compile_tally
from gateway_mongodb.wire.scan import scan_reply

STORED = collection("shop", "customers")
MASK = ColumnMask(MaskSpec("redact"), frozenset({"l"}))
Paths = tuple[str, ...]


@dataclass
class Meter:
    """An account with ``room``."""

    columns: bytes
    below: tuple[frozenset[tuple[str, ...]] | None, ...]
    room: int = 1_000_000
    spent: list[int] = field(default_factory=list)

    def left(self) -> int:
        return self.room - sum(self.spent)

    def spend(self, cells: int) -> None:
        self.spent.append(cells)

    def exhausted(self) -> LimitExceeded:
        return LimitExceeded("used up")


def steps(paths: Paths) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(path.split(".")) if path else () for path in paths)


def tally_of(
    value: AbstractValue, labelled: Paths, *, masked: Paths = (), place: Place = Place.CURSOR, room: int = 1_000_000
) -> tuple[Tally | None, Meter]:
    """The labels are on paths of whole stored documents, and on everything that is made of them."""
    shape = Shape(place, value)
    columns = result_columns(shape)
    meter = Meter(
        bytes(Weight.CELL if column.document else Weight.COMPUTED for column in columns),
        tuple(steps(labelled) if column.document else None for column in columns),
        room,
    )
    below = tuple(PathMask(path, MASK) for path in sorted(steps(masked)))
    plan = MaskingPlan(
        tuple(None for _ in columns), tuple(below if column.document else () for column in columns), (meter,)
    )
    return compile_tally(shape, plan), meter


def admit(tally: Tally | None, documents: list[Any], *, name: str = "firstBatch") -> Admitted:
    assert tally is not None
    body = bson.encode({"cursor": {name: documents, "id": Int64(0), "ns": "shop.customers"}, "ok": 1.0})
    scan = scan_reply(body)
    return tally.admit(body, scan, scan.rows)


def cells(value: AbstractValue, labelled: Paths, document: dict[str, Any], *, masked: Paths = ()) -> int:
    tally, meter = tally_of(value, labelled, masked=masked)
    if tally is None:
        return 0
    admit(tally, [document]).spend()
    return sum(meter.spent)


def test_each_scalar_at_or_below_a_labelled_path_is_a_cell() -> None:
    document = {"_id": 1, "contact": {"email": "a", "phones": [{"n": "1"}, {"n": "2", "x": None}], "gone": None}}
    assert cells(STORED, ("contact.email",), document) == 1
    assert cells(STORED, ("contact.phones.n",), document) == 2
    assert cells(STORED, ("contact",), document) == 3
    assert cells(STORED, ("contact", "contact.email"), document) == 3
    assert cells(STORED, ("CONTACT.*",), document) == 3
    assert cells(STORED, ("other",), document) == 0
    assert cells(STORED, ("",), document) == 4


def test_masked_values_are_free() -> None:
    document = {"contact": {"email": "a", "phones": ["1", "2"]}, "name": "n"}
    assert cells(STORED, ("contact",), document, masked=("contact.phones",)) == 1
    assert cells(STORED, ("contact.phones",), document, masked=("contact",)) == 0
    assert cells(STORED, ("contact.email",), document, masked=("contact.email",)) == 0


def test_what_is_made_of_labelled_values_counts_by_its_size() -> None:
    made = Document({"all": Computed(STORED.refs), "n": Computed()})
    assert cells(made, ("email",), {"all": "x", "n": "free"}) == 1
    few, many = (cells(made, ("email",), {"all": ["ana@example.com"] * number}) for number in (5, 50))
    assert few >= 5
    assert many >= 50


def test_field_names_may_be_made_of_values() -> None:
    made = Document({"all": Computed(STORED.refs)}, Computed(STORED.refs))
    name = "ana@example.com " * 10
    assert cells(made, ("email",), {name: 1}) >= 10
    assert cells(made, ("email",), {"all": {name: 1}}) >= 10


def test_a_value_whose_presence_tells_something_counts_for_that_too() -> None:
    present = Document({"v": Guarded(get(STORED, "city"), STORED.refs)})
    assert cells(present, ("email",), {"v": "Oslo"}) >= 1
    assert cells(present, ("email",), {"v": None}) == 0
    inside = Document({"p": Guarded(STORED, get(STORED, "x").refs)}, Guarded(STORED, STORED.refs))  # type: ignore[union-attr]
    assert cells(inside, ("contact.email",), {"contact": {"email": "a"}}) >= 2


def test_unknown_values_count_by_their_size() -> None:
    assert cells(Unknown(), ("email",), {"a": "x" * 160}) >= 11


def test_dotted_names_are_paths() -> None:
    updated = Document({"updatedFields": Dotted(STORED)})
    assert cells(updated, ("contact.email",), {"updatedFields": {"contact.email": "a", "contact.city": "b"}}) == 1
    assert cells(updated, ("contact.email",), {"updatedFields": {"contact.phones.0": "a"}}) == 0


def test_a_scalar_where_a_document_was_expected_counts_as_the_rest() -> None:
    value = Document({"d": Document({"a": Computed()}, Computed(STORED.refs))})
    assert cells(value, ("email",), {"d": "ana@example.com"}) >= 1


def test_a_batch_ends_before_the_document_that_is_too_much() -> None:
    tally, meter = tally_of(STORED, ("email",), room=3)
    documents = [{"email": ["a", "b"]}, {"x": 1}, {"email": None}, {"email": ["c", "d"]}, {"email": "e"}]
    found = admit(tally, documents)
    assert (found.results, isinstance(found.over, LimitExceeded)) == (3, True)
    assert meter.spent == []
    found.spend()
    assert meter.spent == [2]
    assert admit(tally, [{"email": "e"}, {"x": 1}], name="nextBatch").results == 2


def test_the_meter_with_least_left_cuts() -> None:
    shape = Shape(Place.CURSOR, STORED)
    wide, narrow = (Meter(b"\x01", (steps(("email",)),), room) for room in (3, 1))
    tally = compile_tally(shape, MaskingPlan((None,), (), (wide, narrow)))
    found = admit(tally, [{"email": "a"}, {"email": "b"}, {"email": "c"}])
    found.spend()
    assert (found.results, wide.spent, narrow.spent) == (1, [1], [1])


@pytest.mark.parametrize(
    ("place", "reply"),
    [
        (Place.VALUES, {"values": ["a", "b", None], "ok": 1.0}),
        (Place.VALUE, {"value": {"email": ["a", "b"]}, "ok": 1.0}),
    ],
)
def test_values_outside_cursors_are_counted(place: Place, reply: dict[str, Any]) -> None:
    value: AbstractValue = get(STORED, "email") if place is Place.VALUES else STORED
    tally, meter = tally_of(value, ("",) if place is Place.VALUES else ("email",), place=place)
    assert tally is not None
    body = bson.encode(reply)
    scan = scan_reply(body)
    tally.admit(body, scan, scan.rows).spend()
    assert meter.spent == [2]


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(MaskingError):
        tally_of(STORED, ("email",), place=Place.REFUSED)
    shape = Shape(Place.CURSOR, Document({"a": Computed()}), Computed(get(STORED, "_id").refs))  # type: ignore[union-attr]
    meter = Meter(bytes([Weight.COMPUTED]), (None,))
    with pytest.raises(MaskingError, match="resume tokens"):
        compile_tally(shape, MaskingPlan((None,), (), (meter,)))


def test_nothing_is_looked_at_where_nothing_counts() -> None:
    assert tally_of(STORED, ())[0] is None
    assert tally_of(STORED, ("email",), place=Place.NONE)[0] is None


names = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.one_of(st.none(), st.integers(0, 9), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=12,
)
paths = st.lists(st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=3).map(".".join), max_size=3)


def model(value: Any, labelled: list[list[str]], masked: list[list[str]]) -> int:
    """As the documentation says it: a scalar at or below a labelled path, and not at or below a masked one."""
    if any(not path for path in masked):
        return 0
    if isinstance(value, list):
        return sum(model(item, labelled, masked) for item in value)
    if not isinstance(value, dict):
        return int(value is not None and any(not path for path in labelled))

    def step(left: list[list[str]], name: str) -> list[list[str]]:
        return [path[1:] for path in left if not path or path[0] in (name, "*")]

    return sum(model(item, step(labelled, name), step(masked, name)) for name, item in value.items())


@given(st.dictionaries(names, values, max_size=3), paths, paths)
def test_counts_are_those_of_the_model(document: dict[str, Any], labelled: list[str], masked: list[str]) -> None:
    expected = model(document, [path.split(".") for path in labelled], [path.split(".") for path in masked])
    assert cells(STORED, tuple(labelled), document, masked=tuple(masked)) == expected
