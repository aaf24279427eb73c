"""Statement templates: what is stripped, what is refused, and that one template means one sequence of tokens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlglot
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.sql import lexer, template
from gateway.sql.lexer import Kind

Strip = Callable[[bytes], bytes | None]


def versions() -> list[Strip]:
    compiled = [template.strip_literals] if template.COMPILED else []
    return [template.strip_literals_reference, *compiled]


@pytest.fixture(params=versions(), ids=lambda version: version.__module__)
def strip(request: pytest.FixtureRequest) -> Strip:
    version: Strip = request.param
    return version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", b""),
        (b"SELECT abalance FROM accounts WHERE aid = 4711;", b"SELECT abalance FROM accounts WHERE aid = 0;"),
        (b"select  1 ,\n'it''s', 'a'", b"select  0 ,\n'', ''"),
        (b"select ''", b"select ''"),
        (b"select ''''", b"select ''"),
        ("select 'Åse'".encode(), b"select ''"),
        (b"select -1, +2, 3-4, 5 - 6", b"select -0, +0, 0-0, 0 - 0"),
        (b"select 1.5, 1., 1e5, 1.e-5, 2.5E+10", b"select 0., 0., 0., 0., 0."),
        (b"select .5, x=.25", b"select .0, x=.0"),
        (b"select 2147483647, 2147483648, 0002147483647", b"select 0, 0., 0"),
        (b"select 99999999999999999999999999999999", b"select 0."),
        (b"select a1, a_1, t1.c2, a$1 from t1", b"select a1, a_1, t1.c2, a$1 from t1"),
        (b"select $1, $23::int, 4::int, '5'::text", b"select $1, $23::int, 0::int, ''::text"),
        (b"select a[1:2], j->'k'->>0, b@>'{1}', 5<@6", b"select a[0:0], j->''->>0, b@>'', 0<@0"),
        (
            b'select "a b", "1""2", "it\'s", "x--y", "\\" from "T1"',
            b'select "a b", "1""2", "it\'s", "x--y", "\\" from "T1"',
        ),
        (b"select date '2024-01-01', 'a'\n'b'", b"select date '', ''\n''"),
        (b"select t.*, (r).f, 4/2, 6 / 3", b"select t.*, (r).f, 0/0, 0 / 0"),
        (b"select 'a', \"b\"", b"select '', \"b\""),
    ],
)
def test_literals_go_and_the_rest_stays(strip: Strip, text: bytes, expected: bytes) -> None:
    assert strip(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"select 'a\\'b'",
        b"select E'a'",
        b"select e'a'",
        b"select B'01'",
        b"select X'ff'",
        b"select N'a'",
        b"select U&'a'",
        b"select U&\"d!0061t\" UESCAPE '!'",
        b"select foo'a'",
        b"select 1'a'",
        b"select $1'a'",
        b"select \"a\"'b'",
        b"select 'a'\"b\"",
        b'select a"b"',
        b"select $$a$$",
        b"select $x$a$x$",
        b"select $",
        b"select 1 -- one",
        b"select 1--1",
        b"select /* a */ 1",
        b"select 1/*",
        b"select 'a",
        b"select 'a''",
        b'select "a',
        b"select 1\0",
        b"select 'a\0'",
        b'select "a\0"',
        b"select \x01 1",
        b"select \xc3\xa5",
        b"select a\xc3\xa5",
        b"select 1\xc3\xa5",
        b"select 123abc",
        b"select 0x1F",
        b"select 0o17",
        b"select 0b1",
        b"select 1_000",
        b"select 1..2",
        b"select 1.5.5",
        b"select 1.e",
        b"select 1e",
        b"select 1e+",
        b"select 1e5e",
        b"select 1.a",
        b"select 1$",
        b'select 1"a"',
        b"select t.5",
        b"select (a).5",
        b"select a[1].5",
        b"select $1.5",
        b"select $1abc",
        b"select ..",
        b"select {a}",
        b"\\d",
    ],
)
def test_what_is_delicate_has_no_template(strip: Strip, text: bytes) -> None:
    assert strip(text) is None


def test_a_unicode_identifier_does_not_hide_behind_its_escape(strip: Strip) -> None:
    """The string behind UESCAPE decides which column is read, so the two must not share a ruling."""
    assert strip(b"select U&\"d!0061t\" UESCAPE '!'") is None


def test_long_texts_are_stripped_too(strip: Strip) -> None:
    text = b"select 1 where a in (" + b", ".join(b"'%d'" % number for number in range(10_000)) + b")"
    assert strip(text) == b"select 0 where a in (" + b", ".join([b"''"] * 10_000) + b")"


# --- the two versions are one ---------------------------------------------------------------------------------------

NUMBERS = ["1", "42", "2147483647", "2147483648", "00", "1.5", "7.", ".5", "1e5", "1.E-3"]
LITERALS = [*NUMBERS, "''", "'a'", "'it''s'", "'--'"]
NAMES = ["select", "from", "e", "E", "U&", "x1", "_a", "a$b", '"q"', '"a""b"', '"\'"', "$1", "å"]
SIGNS = ["+", "-", "/", "*", ".", "..", "::", "->>", "@>", "&", "(", ")", "[", "]", ",", ";", ":", " ", "\n", "\t"]
PIECES = [*LITERALS, *NAMES, *SIGNS, "$", "$$", "--", "/*", "*/", "\\", "'", '"']
SPECIAL = b"'\"$\\.-/*&eEuUxX019_ a\n\0\xc3\xa5([)]+:"


@settings(max_examples=1000, deadline=None)
@given(
    st.one_of(
        st.lists(st.sampled_from(PIECES), max_size=20).map(lambda pieces: "".join(pieces).encode()),
        st.lists(st.sampled_from(SPECIAL), max_size=20).map(bytes),
        st.binary(max_size=40),
    )
)
@example(b".5")
@example(b"a.5")
def test_compiled_and_reference_agree(text: bytes) -> None:
    assert template.strip_literals(text) == template.strip_literals_reference(text)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map(lambda pieces: "".join(pieces).encode()))
def test_a_template_is_its_own_template_and_not_longer(text: bytes) -> None:
    stripped = template.strip_literals(text)
    if stripped is not None:
        assert len(stripped) <= len(text)
        assert template.strip_literals(stripped) == stripped


def tokens(text: str) -> list[tuple[str, str]]:
    """Type and text of each token, for literals the type alone."""
    found = [(token.token_type.name, token.text) for token in sqlglot.tokenize(text, read="postgres")]
    return [(name, "" if name in ("NUMBER", "STRING") else text) for name, text in found]


# The tokenizer takes the dollar of a parameter for the start of a dollar-quoted string in texts such as "$1,$2", so
# parameters are left to the other tests.
COMMON = [piece for piece in PIECES if "$" not in piece]


@st.composite
def alike(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts that differ in literals, and sometimes in what stands beside them."""
    first, second = "", ""
    for piece in draw(st.lists(st.sampled_from([*COMMON, *LITERALS, *[" "] * 10]), max_size=25)):
        first += piece
        second += draw(st.sampled_from(LITERALS)) if piece in LITERALS else piece
    return first, second


@settings(max_examples=500, deadline=None)
@given(alike())
@example(("select 1.5", "select 1 .5"))
@example(("select 'a' 'b'", "select 'a''b'"))
def test_texts_with_one_template_have_the_same_tokens(texts: tuple[str, str]) -> None:
    first, second = (template.strip_literals(text.encode()) for text in texts)
    if first is not None and first == second:
        assert tokens(texts[0]) == tokens(texts[1])


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, *[" "] * 10]), max_size=25).map("".join))
@example("select '' '' U&\"a\" uescape '!'")
def test_the_servers_lexical_rules_find_the_same_tokens_in_a_text_and_its_template(text: str) -> None:
    stripped = template.strip_literals(text.encode())
    if stripped is not None:
        assert server_tokens(text) == server_tokens(stripped.decode())


def server_tokens(text: str) -> list[tuple[Kind, str]] | str:
    """As the server's rules cut it; an error is an answer too."""
    try:
        found = lexer.tokenize(text, standard_conforming_strings=True, limit=1000)
    except lexer.LexError as error:
        return str(error)
    return [(token.kind, "" if token.kind in (Kind.STRING, Kind.NUMBER) else token.value) for token in found]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from([*LITERALS, "select", "x1", '"q"', "+", "::", "(", ")", ",", ";"]), max_size=20))
def test_a_text_has_the_tokens_of_its_template(pieces: list[str]) -> None:
    text = " ".join(pieces)
    stripped = template.strip_literals(text.encode())
    assert stripped is not None
    assert tokens(text) == tokens(stripped.decode())


def test_the_environment_can_force_the_plain_version() -> None:
    script = "from gateway.sql import template; print(template.COMPILED, template.strip_literals.__name__)"
    environment = {**os.environ, "QUERYGATE_PURE_PYTHON": "1"}
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.split() == ["False", "strip_literals_reference"]
