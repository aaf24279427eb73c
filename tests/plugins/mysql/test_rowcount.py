"""ROW_COUNT() in a text: where it is changed, and above all where it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_mysql.rowcount import asks, with_count
from gateway_mysql.session import read_probe

STATE = read_probe([b"73686f70", b"STRICT_TRANS_TABLES", b"utf8mb4", b"0", b"10.11.2-MariaDB"])


@pytest.mark.parametrize(
    ("text", "count", "changed"),
    [
        ("SELECT ROW_COUNT()", 3, "SELECT GREATEST(ROW_COUNT(),3)"),
        ("select row_count ( )+1;", 0, "select GREATEST(row_count ( ),0)+1;"),
        ("SELECT ROW_COUNT()", -1, "SELECT LEAST(ROW_COUNT(),-1)"),
        ("SET @a = ROW_COUNT(), @b = 'ROW_COUNT()'", 7, "SET @a = GREATEST(ROW_COUNT(),7), @b = 'ROW_COUNT()'"),
        ("INSERT INTO t VALUES (ROW_COUNT())", 7, "INSERT INTO t VALUES (GREATEST(ROW_COUNT(),7))"),
        ("(SELECT ROW_COUNT()) UNION SELECT 1", 7, "(SELECT GREATEST(ROW_COUNT(),7)) UNION SELECT 1"),
        ("SELECT ROW_COUNT(); SELECT ROW_COUNT()", 7, "SELECT GREATEST(ROW_COUNT(),7); SELECT ROW_COUNT()"),
        ("SELECT /*! ROW_COUNT() */", 7, "SELECT /*! GREATEST(ROW_COUNT(),7) */"),
        ("SELECT 'gr\u00fc\u00dfe', ROW_COUNT()", 7, "SELECT 'gr\u00fc\u00dfe', GREATEST(ROW_COUNT(),7)"),
    ],
)
def test_calls_are_changed(text: str, count: int, changed: str) -> None:
    found = with_count(text, STATE, count)
    assert found is not None
    assert found[0] == changed


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'ROW_COUNT()'",
        "SELECT 1 -- ROW_COUNT()",
        "SELECT 1 /* ROW_COUNT() */",
        "SELECT 1 /*!999999 ROW_COUNT() */",
        "SELECT `ROW_COUNT`()",
        "SELECT shop.ROW_COUNT()",
        "SELECT row_count FROM t",
        "SELECT ROW_COUNT(1)",
        "SELECT 1; SELECT ROW_COUNT()",
        "CREATE PROCEDURE p() SELECT ROW_COUNT()",
        "CREATE VIEW v AS SELECT ROW_COUNT()",
        "BEGIN NOT ATOMIC SELECT ROW_COUNT(); END",
        "PREPARE p FROM 'SELECT ROW_COUNT()'",
        "EXECUTE IMMEDIATE 'SELECT ROW_COUNT()'",
        "SELECT ROW_COUNT() 'no end",
        "",
        ";",
    ],
)
def test_everything_else_is_left_alone(text: str) -> None:
    assert with_count(text, STATE, 7) is None


def test_a_name_in_double_quotes_is_no_call() -> None:
    assert with_count('SELECT "ROW_COUNT"()', replace(STATE, ansi_quotes=True), 7) is None


PARTS = [
    "ROW_COUNT()",
    "row_count",
    "(",
    ")",
    "'",
    '"',
    "`",
    "/*",
    "*/",
    "/*!",
    "--",
    "\\",
    ";",
    " ",
    "SELECT",
    ",",
    "1",
    ".",
]


@given(st.lists(st.sampled_from(PARTS), max_size=14), st.integers(-1, 1000))
def test_nothing_is_added_but_the_call_around_it(parts: list[str], count: int) -> None:
    text = "".join(parts)
    found = with_count(text, STATE, count)
    if found is not None:
        assert asks(text.encode())
        changed = found[0].encode()
        for told, written in found[1]:
            assert told in changed
            changed = changed.replace(told, written)
        assert changed == text.encode()
