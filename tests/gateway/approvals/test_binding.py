"""What an approval is bound to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.approvals.binding import binding, meaning, shape
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.statement import Action, ObjectRef, StatementFacts
from gateway.sql.state import (
    UNKNOWN_MYSQL_RESOLUTION,
    UNKNOWN_RESOLUTION,
    MySqlResolution,
    NameResolution,
    SessionState,
)

ANA = Principal("ana@example.com", PrincipalKind.HUMAN)
POSTGRES = NameResolution()
MYSQL = MySqlResolution(database="shop")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (POSTGRES, replace(POSTGRES, search_path=("public", "$user"))),
        (POSTGRES, replace(POSTGRES, search_path=("$user,public",))),
        (POSTGRES, replace(POSTGRES, role="owner")),
        (POSTGRES, replace(POSTGRES, temporary_objects=True)),
        (POSTGRES, replace(POSTGRES, standard_conforming_strings=False)),
        (MYSQL, replace(MYSQL, database="elsewhere")),
        (MYSQL, replace(MYSQL, database=None)),
        (MYSQL, replace(MYSQL, ansi_quotes=True)),
        (MYSQL, replace(MYSQL, charset="gbk")),
        (POSTGRES, MYSQL),
        ("shop", "elsewhere"),
    ],
)
def test_a_text_means_something_else_in_another_state(one: SessionState | str, other: SessionState | str) -> None:
    assert meaning(one, "s1") == meaning(one, "s2")
    assert meaning(one, "s1") != meaning(other, "s1")
    assert shape("f", meaning(one, "s1")) != shape("f", meaning(other, "s1"))
    digests = {binding(ANA, "r", "d", "t", b"", meaning(state, "s1")) for state in (one, other)}
    assert len(digests) == 2


@pytest.mark.parametrize("state", [UNKNOWN_RESOLUTION, UNKNOWN_MYSQL_RESOLUTION])
def test_where_nobody_knows_what_it_means_it_is_one_sessions(state: SessionState) -> None:
    assert meaning(state, "s1") != meaning(state, "s2")


def test_the_order_of_sets_does_not_count() -> None:
    def fetching(*names: str) -> NameResolution:
        reads = frozenset(ObjectRef("public", name) for name in names)
        return NameResolution(cursors=(("c", StatementFacts("select", frozenset({Action.READ}), objects_read=reads)),))

    names = [f"t{number}" for number in range(50)]
    assert meaning(fetching(*names), "s") == meaning(fetching(*reversed(names)), "s")
    assert meaning(fetching("a"), "s") != meaning(fetching("b"), "s")
