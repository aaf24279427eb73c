"""Patterns over names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.statement import ObjectRef
from gateway.policy.globs import Globs, ObjectGlobs


@pytest.mark.parametrize(
    ("pattern", "schema", "name", "inside"),
    [
        ("hr.*", "hr", "pay", True),
        ("hr.*", "hr.old", "pay", False),
        ("hr.*", "hrx", "pay", False),
        ("*.pay", "hr", "pay", True),
        ("*.pay", "hr", "x.pay", False),
        ("*", "hr", "pay", True),
        ("*.*", "hr", "a.b", True),
        ("hr.p?y", "hr", "pay", True),
        ("hr.p[a]y", "hr", "pay", False),
        ("hr.a.b", "hr", "a.b", True),
        ("hr.*", "hr", "line\nbreak", True),
    ],
)
def test_objects(pattern: str, schema: str, name: str, inside: bool) -> None:
    globs = ObjectGlobs([pattern], ignore_case=False)
    assert globs.proven(ObjectRef(schema, name)) is inside
    assert globs.possible(ObjectRef(schema, name)) is inside


def test_an_unknown_schema_is_possible_and_never_proven() -> None:
    globs = ObjectGlobs(["hr.pay"], ignore_case=False)
    assert globs.possible(ObjectRef("", "pay"))
    assert globs.possible(ObjectRef("", "PAY"))
    assert not globs.proven(ObjectRef("", "pay"))
    assert not globs.possible(ObjectRef("", "orders"))


@given(st.text(alphabet="ab.(|[\\^$+", min_size=1, max_size=8))
def test_a_name_without_wildcards_matches_itself_only(name: str) -> None:
    assert Globs([name]).matches(name)
    assert not Globs([name]).matches(name + "x")
