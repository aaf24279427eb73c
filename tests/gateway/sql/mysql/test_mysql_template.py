"""Templates of MySQL's texts: one template means one sequence of tokens, whatever the session's settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sql import template
from gateway.sql.lexer import Kind, LexError
from gateway.sql.mysql.lexer import tokenize
from gateway.sql.state import MySqlResolution

STATES = [
    MySqlResolution(ansi_quotes=ansi, no_backslash_escapes=plain, lower_case_table_names=1)
    for ansi in (False, True)
    for plain in (False, True)
]
_WORDS = """select 'a' 'b' 'it''s' `a` `a``b'` "c" "d'" \\ 1 22 1.5 3e4 x # @ -- /* */ , $ é '' 0x1 ( ) = N _utf8
. - t.c { ["""
_PARTS = st.sampled_from([*_WORDS.split(), " ", "\n"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"select `a b`, 'x', 5 from `T`.`c``d`", b"select `a b`, '', 0 from `T`.`c``d`"),
        (b'select "it", 1.5', b'select "it", 0.'),
        (b"select 'a' # 'b'", None),
        (b"select @x", None),
        (b"select 'a\\'b'", None),
        (b'select "a\\"b"', None),
        (b"select `a\\`", None),
        (b"select N'a'", None),
        (b"select `a`'b'", None),
        (b"select {d 'x'}", None),
        (b"select 1 -- x", None),
        (b"select 1 /*! 2 */", None),
    ],
)
def test_literals_go_and_what_is_delicate_has_no_template(text: bytes, expected: bytes | None) -> None:
    assert template.strip_mysql_literals(text) == expected


@given(st.lists(_PARTS, max_size=10).map("".join))
def test_both_versions_agree(text: str) -> None:
    assert template.strip_mysql_literals(text.encode()) == template.strip_mysql_literals_reference(text.encode())


@given(st.lists(_PARTS, max_size=10).map("".join), st.lists(_PARTS, max_size=10).map("".join), st.sampled_from(STATES))
def test_one_template_is_one_sequence_of_tokens(one: str, other: str, state: MySqlResolution) -> None:
    first = template.strip_mysql_literals(one.encode())
    if first is None:
        return
    # The template is a text of its own template, so it stands for all others.
    assert template.strip_mysql_literals(first) == first
    assert _shape(one, state) == _shape(first.decode(), state)
    if template.strip_mysql_literals(other.encode()) == first:
        assert _shape(one, state) == _shape(other, state)


def _shape(text: str, state: MySqlResolution) -> list[tuple[Kind, str]] | str:
    try:
        tokens = tokenize(text, replace(state))
    except LexError:
        return "refused"
    return [(t.kind, "" if t.kind in (Kind.STRING, Kind.NUMBER) else t.value) for t in tokens]


def test_only_protocols_with_a_grammar_have_templates() -> None:
    assert template.template_of("postgres") is template.strip_literals
    assert template.template_of("mysql") is template.strip_mysql_literals
    assert template.template_of("other")(b"select 1") is None
