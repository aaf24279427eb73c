"""The catalog: what stands behind a column, and what holds the same data."""

from __future__ import annotations

import pickle
from dataclasses import replace

from gateway.sql.catalog import CatalogContents
from gateway.sql.views import build
from tests.gateway.sql.shop import CATALOG, CONTENTS, column, columns, facts, relation


def test_a_table_column_is_itself() -> None:
    origin = CATALOG.origin(10, 4)
    assert origin is not None
    assert origin.columns == columns("customers.ssn")
    assert origin.known
    assert origin.table


def test_a_view_column_is_itself_and_what_is_behind_it() -> None:
    origin = CATALOG.origin(13, 1)
    assert origin is not None
    assert origin.columns == columns("v_of_view.s", "v_customers.secret", "customers.ssn")
    assert origin.known
    assert not origin.table


def test_a_view_that_is_not_understood_is_not_known() -> None:
    origin = CATALOG.origin(14, 1)
    assert origin is not None
    assert not origin.known
    assert column("customers.id") in origin.columns


def test_number_zero_is_the_whole_row() -> None:
    origin = CATALOG.origin(10, 0)
    assert origin is not None
    assert origin.columns == columns("customers.id", "customers.name", "customers.email", "customers.ssn")


def test_system_columns_hold_nothing() -> None:
    origin = CATALOG.origin(10, -1)
    assert origin is not None
    assert origin.known
    assert origin.columns == frozenset()


def test_what_is_not_there_has_no_origin() -> None:
    assert CATALOG.origin(10, 99) is None
    assert CATALOG.origin(999, 1) is None
    assert CATALOG.origin(999, -1) is None


def test_statistics_are_never_known() -> None:
    origin = CATALOG.origin(18, 1)
    assert origin is not None
    assert not origin.known


def test_a_generated_column_holds_what_it_is_computed_from() -> None:
    origin = CATALOG.origin(20, 3)
    assert origin is not None
    assert origin.columns == columns("accounts.bank", "accounts.iban")


def test_inheritance_relates_columns_both_ways() -> None:
    assert CATALOG.related_columns(column("people.email")) == columns("staff.email")
    assert CATALOG.related_columns(column("staff.email")) == columns("people.email")
    assert CATALOG.related_columns(column("staff.grade")) == frozenset()
    assert CATALOG.parents(16) == (15,)
    assert CATALOG.children(15) == (16,)


def test_views_that_refer_to_each_other_end() -> None:
    contents = CatalogContents(
        relations=(
            relation(1, "a", "x", kind="v", definition="SELECT x FROM public.b"),
            relation(2, "b", "x", kind="v", definition="SELECT x FROM public.a"),
            relation(3, "broken", "x", kind="v", definition="SELECT (("),
            relation(4, "narrow", "x", "y", kind="v", definition="SELECT 1"),
        )
    )
    catalog = build(contents)
    for oid in (1, 2, 3, 4):
        origin = catalog.origin(oid, 1)
        assert origin is not None
        assert not origin.known


def test_the_version_follows_the_content() -> None:
    shuffled = replace(CONTENTS, relations=tuple(reversed(CONTENTS.relations)))
    changed = replace(CONTENTS, relations=CONTENTS.relations[1:])
    assert build(shuffled).version == CATALOG.version
    assert build(changed).version != CATALOG.version


def test_a_catalog_survives_a_pickle() -> None:
    copy = pickle.loads(pickle.dumps(CATALOG))
    assert copy.version == CATALOG.version
    text = "SELECT s, upper(email) FROM v_of_view, customers"
    assert facts(text, catalog=copy) == facts(text)


def test_columns_for_classification_leave_the_system_out() -> None:
    listed = CATALOG.columns()
    assert column("customers.ssn") in listed
    assert not any(item.schema == "pg_catalog" for item in listed)


def test_user_defined_operators_and_casts_prove_nothing() -> None:
    catalog = build(replace(CONTENTS, operators=frozenset({"###"}), cast_types=frozenset({"secret"})))
    for text in ("SELECT 1 ### 2", "SELECT 1 OPERATOR(public.+) 2", "SELECT '1'::secret"):
        found = facts(text, catalog=catalog)
        assert found.reads_everything
        assert found.outputs is not None
        assert not found.outputs[0].proven
