"""How labelled paths meet stored paths and the fields of documents."""

from __future__ import annotations

import pytest

from gateway.domain.statement import ColumnRef
from gateway.policy.labels import Classification, LabelIndex
from gateway.policy.paths import remaining


def labelled(pattern: str, path: str) -> bool:
    index = LabelIndex([Classification.parse(resource="r", label="l", pattern=f"shop.customers.{pattern}", path=True)])
    return bool(index.labels_of(ColumnRef("shop", "customers", path)))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("contact.email", "*"),
        ("contact.email", "contact.0.email"),
        ("contact.email", "0.contact.1.2.email.3"),
        ("contact.0.email", "contact.email"),
        ("contact.0.email", "contact.7.email"),
        ("contact.*", "contact.phone.home"),
        ("years.*.income", "years.2020.income"),
        ("years.2020.income", "years.2020.income"),
        ("contact.email", "CONTACT.Email"),
    ],
)
def test_these_meet(pattern: str, path: str) -> None:
    assert labelled(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [("contact.email", "contact.phone"), ("contact.email", "email"), ("contact.*", "contacts"), ("a.*.c", "a.b.d")],
)
def test_these_do_not(pattern: str, path: str) -> None:
    assert not labelled(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path", "left"),
    [
        ("contact.email", "*", {("contact", "email")}),
        ("contact.email", "contact", {("email",)}),
        ("contact.email", "contact.email", {()}),
        ("contact.email", "contact.email.work", {()}),
        ("contact.email", "orders", set()),
        ("contact.0", "contact", {()}),
        ("years.*.income", "years.2020", {("*", "income"), ("income",)}),
    ],
)
def test_what_is_left_below_a_stored_path(pattern: str, path: str, left: set[tuple[str, ...]]) -> None:
    assert remaining(tuple(pattern.split(".")), path) == left


def test_the_paths_of_a_collection_are_found_without_any_document() -> None:
    index = LabelIndex(
        [
            Classification.parse(resource="r", label="a", pattern="shop.*.contact.email", path=True),
            Classification.parse(resource="r", label="b", pattern="crm.people.name", path=True),
        ]
    )
    assert [(path.steps, path.label) for path in index.paths("shop", "customers")] == [(("contact", "email"), "a")]
    assert index.paths("hr", "people") == ()
