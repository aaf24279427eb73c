"""Text of strangers on terminals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.approvals_text import describe
from gateway.terminal import harmless, harmless_json, one_line

STEERS = "\x1b[2K\x1b[1A\x9b31m\x07\x7f\r\u202e\u2028"


def test_lines_stay_and_what_steers_does_not() -> None:
    assert harmless("a\n\tb\u00e4") == "a\n b\u00e4"
    shown = harmless(f"DROP {STEERS} x")
    assert all(character.isprintable() for character in shown)
    assert shown.startswith("DROP")
    shown = one_line(f" a\n{STEERS} \u00e4 ").replace("\N{REPLACEMENT CHARACTER}", "")
    assert shown.split() == ["a", "[2K[1A31m", "\u00e4"]


@given(st.text())
def test_json_says_the_same_and_steers_nothing(text: str) -> None:
    line = json.dumps({"text": text}, ensure_ascii=False)
    shown = harmless_json(line)
    assert json.loads(shown) == {"text": text}
    assert harmless(shown) == shown


def _request(parameters: Sequence[str] = ()) -> dict[str, Any]:
    """A request whose author would like to steer the approver's terminal."""
    return {
        "id": "1",
        "state": "pending",
        "note": "",
        "principal": f"ana{STEERS}",
        "acts_for": [],
        "principal_kind": "human",
        "client_address": "127.0.0.1:5",
        "application": f"psql{STEERS}",
        "resource": "shop",
        "environment": "production",
        "database": f"shop{STEERS}",
        "gateway": "",
        "valid_until": None,
        "expires_at": "soon",
        "created_at": "now",
        "reason": f"because{STEERS}",
        "group": "",
        "rules": [],
        "verdicts": [],
        "statement": {
            "text": f"DROP TABLE customers\n{STEERS}SELECT 1",
            "before": [f"BEGIN{STEERS}"],
            "actions": ["drop"],
            "reads": [],
            "writes": [f"public.{STEERS}"],
            "labels": [],
            "estimated_rows": None,
            "predicate": "absent",
            "opaque": [],
            "parameters": list(parameters),
        },
    }


def test_an_approver_sees_the_statement_that_will_run() -> None:
    shown = describe(_request())
    assert all(character.isprintable() for character in shown.replace("\n", ""))
    assert "DROP TABLE customers" in shown


def test_parameters_are_numbered_and_steer_nothing() -> None:
    request = _request(parameters=["10", f'"a{STEERS}b"'])
    shown = describe(request)
    assert "\nits parameters:\n    1: 10\n    2: " in shown
    assert all(character.isprintable() for character in shown.replace("\n", ""))


@pytest.mark.parametrize(
    ("predicate", "rows", "lines"),
    [
        ("absent", 12345, ["bounded by  nothing, there is no predicate", "rows        about 12,345"]),
        ("present", 0, ["bounded by  a predicate", "rows        about 0"]),
        ("not_applicable", None, []),
    ],
)
def test_an_approver_sees_how_much_it_is_about(predicate: str, rows: int | None, lines: list[str]) -> None:
    request = _request()
    request["statement"] |= {"predicate": predicate, "estimated_rows": rows}
    shown = describe(request).splitlines()
    assert [line for line in shown if line.startswith(("bounded by", "rows"))] == lines


def test_what_was_granted_beyond_one_run_is_said_and_times_have_no_fractions() -> None:
    request = _request() | {
        "created_at": "2026-11-27T12:38:57.127062Z",
        "valid_until": "2026-11-27T13:38:57.222018Z",
        "state": "approved",
        "scope": "window",
    }
    line = "2026-11-27T12:38:57Z, good until 2026-11-27T13:38:57Z, for statements of the same shape"
    assert line in describe(request)
