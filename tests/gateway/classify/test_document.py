"""The proposal as a document, and examples as shapes."""

from __future__ import annotations

from datetime import date

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.document import pattern, render
from gateway.classify.propose import Evidence, Proposal
from gateway.classify.shapes import MAX_SHAPE, shape
from gateway.domain.statement import ColumnRef
from gateway.policy.labels import Classification, LabelIndex

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("ana@example.com", "x…@x….x…"),
        ("900-12-3456", "999-99-9999"),
        ("4111111111111111", "9…"),
        ("Zoë #1!", "x… ?9?"),
        ("a\nb", "x?x"),
        ("", ""),
    ],
)
def test_shapes(value: str, shown: str) -> None:
    assert shape(value) == shown


@given(st.text())
def test_a_shape_is_short_and_printable_and_holds_no_letter_or_digit_of_the_value(value: str) -> None:
    shown = shape(value)
    assert len(shown) <= MAX_SHAPE
    assert set(shown) <= set("x9…?@.-+()/: _,")


@given(st.lists(st.builds(ColumnRef, NAMES, NAMES, NAMES), max_size=5, unique=True))
def test_the_document_is_yaml_that_labels_every_column_whatever_its_name(columns: list[ColumnRef]) -> None:
    evidence = Evidence("pii.email", 0.9, True, 3, 4, "x…@x…")
    proposals = [Proposal(column, "text", evidence, covers=(column,)) for column in columns]
    document = render(proposals, resource="shop-prod", database="a\nb", today=date(2026, 1, 7), notes=["x\ny: z"])
    read = yaml.safe_load(document)
    assert list(read) == ["classifications"]
    patterns = [text for item in read["classifications"] for text in item["columns"]]
    assert sorted(patterns) == sorted(map(pattern, columns))
    index = LabelIndex(Classification.parse(resource="r", label="pii.email", pattern=text) for text in patterns)
    assert all(index.labels_of(column) == {"pii.email"} for column in columns)


def test_the_document_says_how_sure_it_is_and_why() -> None:
    column = ColumnRef("public", "customers", "email")
    evidence = Evidence("pii.email", 0.987, True, 198, 200, "x…@x….x…")
    proposals = [Proposal(column, "text", evidence)]
    text = render(proposals, resource="shop", database="shop", today=date(2026, 1, 7), notes=[])
    assert "# 0.99: text; the name says so; 198 of 200 values fit, such as x…@x….x…\n" in text
    assert "      - public.customers.email\n" in text
    assert "Nothing of this is in force" in text
