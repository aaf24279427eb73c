"""How MySQL's texts are cut into words, and which texts are refused because that is not certain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.sql.lexer import Kind, LexError
from gateway.sql.mysql.lexer import tokenize
from gateway.sql.state import MySqlResolution

MARIADB = MySqlResolution(database="canary", version=(10, 11, 6))
MYSQL = replace(MARIADB, mariadb=False, version=(8, 4, 0))


def words(text: str, state: MySqlResolution = MARIADB) -> list[str]:
    return [token.value for token in tokenize(text, state)]


def kinds(text: str, state: MySqlResolution = MARIADB) -> list[Kind]:
    return [token.kind for token in tokenize(text, state)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT `a``b`, T.Col", ["select", "a`b", ",", "t", ".", "col"]),
        (r"'it''s' , 'it\'s', 'a\nb', '\%', 'x\y'", ["it's", ",", "it's", ",", "a\nb", ",", r"\%", ",", "xy"]),
        ("'a' 'b' \"c\"", ["abc"]),
        (
            "N'x', _utf8mb4'y', _binary 0x41, x'4142', b'01000001', 0b01000001",
            ["x", ",", "y", ",", "A", ",", "AB", ",", "A", ",", "A"],
        ),
        ("_nothing'x'", ["_nothing", "x"]),
        ("1 -- c\n2 # c\n3 /* c */ 4 --\n5", ["1", "2", "3", "4", "5"]),
        ("1--1", ["1", "-", "-", "1"]),
        ("2*/* c */3", ["2", "*", "3"]),
        ("@a := @`b c`, @'d', @@session.sql_mode", ["@a", ":=", "@b c", ",", "@d", ",", "@@session.sql_mode"]),
        ("a<=>b, a!=b, a<<1, a->>'$.b', a||b&&c", "a <=> b , a != b , a << 1 , a ->> $.b , a || b && c".split()),
        ("2024_sales.x, t.1st", ["2024_sales", ".", "x", ",", "t", ".", "1st"]),
        (r"\N", ["null"]),
        ("größe", ["größe"]),
        ("{d '2020-01-01'}", ["{", "d", "2020-01-01", "}"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "mariadb", "mysql"),
    [
        ("1 /*! 2 */", "1 2", "1 2"),
        ("1 /*!50000 2 */", "1 2", "1 2"),
        ("1 /*!50700 2 */", "1", "1 2"),
        ("1 /*!80000 2 */", "1", "1 2"),
        ("1 /*!90000 2 */", "1", "1"),
        ("1 /*!100100 2 */", "1 2", "1"),
        ("1 /*!101199 2 */", "1", "1"),
        ("1 /*M! 2 */", "1 2", "1"),
        ("1 /*M!100100 2 */", "1 2", "1"),
        ("1 /*M!50700 2 */", "1 2", "1"),
        ("1 /*M!110000 2 */", "1", "1"),
        ("1 /*!990000 /* x */ 2 */ 3", "1 3", "1 3"),
        ("1 /*! /* x */ 2 */ 3", "1 2 3", "1 2 3"),
        ("1 /* /*! 2 */ 3", "1 3", "1 3"),
        ("1 /*+ hint */ 2", "1 2", "1 2"),
    ],
)
def test_a_comment_is_code_where_the_server_runs_it(text: str, mariadb: str, mysql: str) -> None:
    assert " ".join(words(text)) == mariadb
    assert " ".join(words(text, MYSQL)) == mysql


@pytest.mark.parametrize(
    "text",
    [
        "1 /*! 2",
        "1 /*! /*! 2 */ */",
        "1 /*!99997 2 */",
        "1 /*!500 2 */",
        "1 /* 2",
        "select 1e5union",
        "select 1.e(x)",
        "select 1..2",
        "select 0x1G",
        "a=!b",
        "a=<b",
        "select [a]",
        "select 'a",
        "select `a",
        "select \0",
        "select a\u2003b",
        "select \u0130d",
        "select 😀",
        "select T.x, t.y",
    ],
)
def test_what_is_not_certain_is_refused(text: str) -> None:
    with pytest.raises(LexError):
        words(text)


def test_tables_without_case_may_be_spelled_in_any_way() -> None:
    assert words("T.x, t.y", replace(MARIADB, lower_case_table_names=1)) == ["t", ".", "x", ",", "t", ".", "y"]


def test_double_quotes_hold_a_string_or_a_name() -> None:
    assert kinds('"a"') == [Kind.STRING]
    assert kinds('"a"', replace(MARIADB, ansi_quotes=True)) == [Kind.QUOTED]
    assert words('"a\\"b"') == ['a"b']
    assert words('"a\\"', replace(MARIADB, ansi_quotes=True)) == ["a\\"]


def test_a_backslash_is_a_character_where_sql_mode_says_so() -> None:
    state = replace(MARIADB, no_backslash_escapes=True)
    assert words(r"'a\' , ', b'", state) == ["a\\", ",", ", b"]
    assert words(r"'a\' , ', b") == ["a' , ", ",", "b"]


@pytest.mark.parametrize("text", ['"a"', r"'\''", "a||b", "1 /*! 2 */", "'é'"])
def test_nothing_that_settings_decide_is_read_while_they_are_not_known(text: str) -> None:
    with pytest.raises(LexError):
        words(text, replace(MARIADB, known=False))


def test_texts_beyond_ascii_need_a_character_set_without_traps() -> None:
    assert words("'é'", replace(MARIADB, charset="latin1")) == ["é"]
    assert words("'e'", replace(MARIADB, charset="gbk")) == ["e"]
    for charset, text in (("gbk", "'¿\\' , ssn, '"), ("sjis", "'é'"), ("latin1", "é")):
        with pytest.raises(LexError):
            words(text, replace(MARIADB, charset=charset))


def test_oracle_mode_is_another_language() -> None:
    with pytest.raises(LexError):
        words("select 1", replace(MARIADB, oracle=True))


def test_work_is_bounded() -> None:
    with pytest.raises(LexError):
        tokenize("1 " * 20, MARIADB, limit=10)
