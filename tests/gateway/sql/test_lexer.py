"""PostgreSQL's words, cut as the server cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sql.lexer import Kind, LexError, tokenize


def values(text: str, **settings: bool) -> list[tuple[Kind, str]]:
    return [(token.kind, token.value) for token in tokenize(text, **settings)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("SeLeCt", Kind.WORD, "select"),
        ("ÄRger", Kind.WORD, "Ärger"),
        ('"Mixed ""case"""', Kind.QUOTED, 'Mixed "case"'),
        (r'U&"\0073sn"', Kind.QUOTED, "ssn"),
        (r'u&"s\+000073n"', Kind.QUOTED, "ssn"),
        ("'it''s'", Kind.STRING, "it's"),
        (r"'a\'", Kind.STRING, "a\\"),
        (r"E'a\'b\n\x41\101\u0042'", Kind.STRING, "a'b\nAAB"),
        ("'a' -- more\n  'b'", Kind.STRING, "ab"),
        ("$$a'b$$", Kind.STRING, "a'b"),
        ("$x$ $$ $x$", Kind.STRING, " $$ "),
        ("B'101'", Kind.STRING, "101"),
        ("1.5e-3", Kind.NUMBER, "1.5e-3"),
        ("0x1F", Kind.NUMBER, "0x1F"),
        ("1_000", Kind.NUMBER, "1_000"),
        ("$12", Kind.PARAMETER, "$12"),
        ("->>", Kind.OPERATOR, "->>"),
    ],
)
def test_one_token(text: str, kind: Kind, value: str) -> None:
    assert values(text) == [(kind, value)]


def test_a_name_is_cut_at_63_bytes() -> None:
    assert values("x" * 70) == [(Kind.WORD, "x" * 63)]
    assert values('"' + "é" * 40 + '"') == [(Kind.QUOTED, "é" * 31)]


def test_comments_nest_and_are_left_out() -> None:
    assert values("a/* b /* c */ d */e--f\ng") == [(Kind.WORD, "a"), (Kind.WORD, "e"), (Kind.WORD, "g")]


def test_backslash_escapes_where_strings_do_not_conform() -> None:
    assert values(r"'a\' -- '", standard_conforming_strings=False) == [(Kind.STRING, "a' -- ")]


def test_an_operator_ends_before_a_comment_and_sheds_signs() -> None:
    assert values("1+-2") == [(Kind.NUMBER, "1"), (Kind.OPERATOR, "+"), (Kind.OPERATOR, "-"), (Kind.NUMBER, "2")]
    assert values("a@-b") == [(Kind.WORD, "a"), (Kind.OPERATOR, "@-"), (Kind.WORD, "b")]
    assert values("a*--b") == [(Kind.WORD, "a"), (Kind.OPERATOR, "*")]


@pytest.mark.parametrize(
    "text", ["'a", '"a', "/* a", "$$ a", '""', "E'a\\'", "\x00", r'U&"\d800"', "U&'x' UESCAPE '!'"]
)
def test_what_is_not_certain_is_refused(text: str) -> None:
    with pytest.raises(LexError):
        tokenize(text)


def test_the_number_of_tokens_is_bounded() -> None:
    with pytest.raises(LexError):
        tokenize("a " * 100, limit=50)


@given(st.text(alphabet="a'\"$\\/*-\n xE0.,;()[]:=<é"))
def test_any_text_gives_tokens_in_order_or_is_refused(text: str) -> None:
    try:
        tokens = tokenize(text)
    except LexError:
        return
    starts = [token.start for token in tokens]
    assert starts == sorted(set(starts))


@pytest.mark.parametrize("text", ["--x\n\x01", "  -- 'a\r\x01", "-- a -- b\n\x7f", "\x01"])
def test_no_token_is_found_inside_a_comment(text: str) -> None:
    with pytest.raises(LexError):
        tokenize(text)


@pytest.mark.parametrize("text", ["", "  ", "-- x", "-- x\n", "\n--", "/* x */ -- y"])
def test_spacing_alone_is_no_token(text: str) -> None:
    assert tokenize(text) == []
