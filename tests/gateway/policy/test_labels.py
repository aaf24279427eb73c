"""Which columns a classification reaches."""

from __future__ import annotations

import pytest

from gateway.domain.statement import ColumnRef
from gateway.policy.labels import Classification, LabelIndex


def index(*patterns: str, path: bool = False) -> LabelIndex:
    return LabelIndex(
        Classification.parse(resource="r", label=f"l{number}", pattern=pattern, path=path)
        for number, pattern in enumerate(patterns)
    )


def column(text: str) -> ColumnRef:
    return ColumnRef(*text.split(".", 2))


@pytest.mark.parametrize(
    ("pattern", "name", "labelled"),
    [
        ("public.customers.email", "public.customers.email", True),
        ("public.customers.email", "public.customers.emails", False),
        ("public.customers.email", "PUBLIC.Customers.EMAIL", True),
        ("*.*.email", "crm.people.email", True),
        ("public.*.*_name", "public.staff.last_name", True),
        ("public.*.*_name", "hr.staff.last_name", False),
        ("public.customer?.id", "public.customers.id", True),
        ("public.a+b.id", "public.aab.id", False),
    ],
)
def test_columns(pattern: str, name: str, labelled: bool) -> None:
    assert bool(index(pattern).labels_of(column(name))) is labelled


@pytest.mark.parametrize(
    ("name", "labelled"),
    [
        ("shop.customers.contact.email", True),
        ("shop.customers.contact", True),
        ("shop.customers.contact.email.work", True),
        ("shop.customers.contact.phone", False),
        ("shop.customers.contacts", False),
        ("shop.orders.contact.email", False),
    ],
)
def test_a_path_reaches_what_contains_it_and_what_it_contains(name: str, labelled: bool) -> None:
    assert bool(index("shop.customers.contact.email", path=True).labels_of(column(name))) is labelled


def test_a_wildcard_in_a_path_is_one_step() -> None:
    found = index("shop.customers.*.email", path=True)
    assert found.labels_of(column("shop.customers.contact.email"))
    assert not found.labels_of(column("shop.customers.contact.phone"))


def test_a_column_may_have_several_labels() -> None:
    found = index("*.*.email", "public.*.*")
    assert found.labels_of(column("public.a.email")) == {"l0", "l1"}
    assert found.labels_of_all([column("public.a.b"), column("hr.a.email")]) == {"l0", "l1"}
    assert found.all_labels == {"l0", "l1"}


def test_spreads_over_a_catalog() -> None:
    found = index("public.a.email", "public.a.emial")
    columns = [column("public.a.email"), column("public.a.id")]
    assert dict(found.spread(columns)) == {columns[0]: frozenset({"l0"})}


@pytest.mark.parametrize("pattern", ["email", "a.email", "a.b.c.d", "a..c", ".b.c", "a.b."])
def test_a_pattern_has_three_parts(pattern: str) -> None:
    with pytest.raises(ValueError, match="form"):
        Classification.parse(resource="r", label="l", pattern=pattern)
