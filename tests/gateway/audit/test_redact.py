import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.redact import Literals, hash_literal, redact_text

KEY = b"k" * 32


def h(value: str) -> str:
    return hash_literal(value, KEY)


ESCAPED = "a\\'b"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("SELECT 1", f"SELECT {h('1')}"),
        ("WHERE a = 'x' AND b='it''s'", f"WHERE a = {h('x')} AND b={h(chr(39).join(['it', 's']))}"),
        ("SELECT E'a\\'b', 2.5e-3", f"SELECT {h(ESCAPED)}, {h('2.5e-3')}"),
        ("SELECT $$body$$, $f$it's $1$f$", f"SELECT {h('body')}, {h(chr(39).join(['it', 's $1']))}"),
        ("SELECT $1, t1.c2 FROM t1", "SELECT $1, t1.c2 FROM t1"),
        ("SELECT 0xFF, .5, 1_000", f"SELECT {h('0xFF')}, {h('.5')}, {h('1_000')}"),
        ("SELECT X'1F', U&'d\\0061', N'n'", f"SELECT X{h('1F')}, U&{h('d' + chr(92) + '0061')}, N{h('n')}"),
        ("SELECT 1 -- for 4711\n, 2", f"SELECT {h('1')} /* {h('-- for 4711')} */\n, {h('2')}"),
        ("SELECT `a'b` FROM t", "SELECT `a'b` FROM t"),
    ],
)
def test_each_literal_becomes_its_hash(text: str, redacted: str) -> None:
    assert redact_text(text, Literals.HASH, KEY) == redacted


def test_equal_values_look_alike_and_other_keys_do_not() -> None:
    first = redact_text("SELECT 'ana@example.com'", Literals.HASH, KEY)
    assert first.removeprefix("SELECT ") in redact_text("UPDATE t SET e = 'ana@example.com'", Literals.HASH, KEY)
    assert first != redact_text("SELECT 'ana@example.com'", Literals.HASH, b"other")
    assert redact_text("SELECT 'bo@example.com'", Literals.HASH, KEY) != first


def test_a_quoted_name_is_kept_only_where_the_analysis_kept_it() -> None:
    text = 'SELECT "full name" FROM t WHERE a = 1'
    assert redact_text(text, Literals.HASH, KEY, 'SELECT "full name" FROM t WHERE a = ?').startswith(
        'SELECT "full name"'
    )
    assert "full name" not in redact_text(text, Literals.HASH, KEY, "SELECT ? FROM t WHERE a = ?")
    assert "full name" not in redact_text(text, Literals.HASH, KEY)


UNSURE = [
    "SELECT 'never closed 4711",
    'SELECT "never closed 4711',
    "SELECT $$ never closed 4711",
    "SELECT /* never closed 4711",
    "SELECT /* a /* b */ 'secret' */ 1",
    r"SELECT 'a\' OR x = ' 4711 '",
    r'{"find": "c", "filter": {"a": "x\" 4711 \""}}',
]


@pytest.mark.parametrize("text", UNSURE)
@pytest.mark.parametrize("mode", [Literals.HASH, Literals.DROP])
def test_where_it_cannot_be_sure_the_whole_text_goes(text: str, mode: Literals) -> None:
    assert redact_text(text, mode, KEY, "SELECT ?") == "SELECT ?"
    assert redact_text(text, mode, KEY) == f"[statement of {len(text)} characters withheld]"


def test_drop_prefers_the_analysis() -> None:
    assert redact_text("SELECT 'a', 1", Literals.DROP, b"", "SELECT ?, ?") == "SELECT ?, ?"
    assert redact_text("SELECT 'a', 1", Literals.DROP) == "SELECT ?, ?"


def test_keep_keeps() -> None:
    assert redact_text("SELECT 'a'", Literals.KEEP) == "SELECT 'a'"


SECRET = "s3cr3t-4711"


VALUES = [
    f"'{SECRET}'",
    f"E'{SECRET}'",
    f"'it''s {SECRET}'",
    f"$${SECRET}$$",
    f"$q${SECRET}$q$",
    f'"{SECRET}"',
    f"-- {SECRET}\n",
    f"/* {SECRET} */",
]
fragments = st.sampled_from([*VALUES, "SELECT ", ", ", " = ", "a", "$1", "1", "(", ")", "\n"])


@given(
    st.lists(fragments, max_size=8).map("".join),
    st.sampled_from(["", "'", '"', "$$", "$q$", "/*", "--", "\\", "E", "$"]),
    st.lists(fragments, max_size=8).map("".join),
)
def test_a_quoted_or_commented_value_is_never_left(before: str, loose: str, after: str) -> None:
    for mode in (Literals.HASH, Literals.DROP):
        assert SECRET not in redact_text(before + loose + after, mode, KEY)


def test_long_texts_take_linear_time() -> None:
    for text in ("'" * 200_000, "$" * 200_000, "/*" * 100_000, "-" * 200_000, "1" * 200_000, "'a' " * 50_000):
        redact_text(text, Literals.HASH, KEY, "SELECT ?")
