import asyncio
import json
import re
from pathlib import Path
from typing import Any

from gateway.audit.event import encode_ruling, encode_session_context
from gateway.audit.execution import Execution
from gateway.audit.facts import FactsForm
from gateway.audit.ocsf import DecisionForm, SessionForm
from gateway.domain.audit import SessionEventKind
from tests.gateway.audit.builders import (
    CONTEXT,
    COPILOT,
    RULING,
    SESSION,
    SHOP,
    lines_of,
    open_log,
    refused,
    session,
    statement,
)

PAGE = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
WORDS = set(re.findall(r"[a-z_]+(?:\.[a-z_]+)*", " ".join(re.findall(r"`([^`]+)`", PAGE))))


def events(directory: Path) -> list[dict[str, Any]]:
    log = open_log(directory, max_text=40)
    agent = encode_session_context(SESSION, COPILOT, SHOP, "gw-1")
    log.record(statement(intent=True, bound=Bound()), CONTEXT)
    log.record(refused(), agent)
    for kind in SessionEventKind:
        log.record_session(session(kind, detail="x"))
    asyncio.run(log.close())
    return [json.loads(line) for line in lines_of(directory) if b'"event_code":"audit.' not in line]


class Bound:
    def values(self) -> tuple[str, ...]:
        return ("x",)


def test_every_field_is_on_the_page(tmp_path: Path) -> None:
    for event in events(tmp_path):
        for key, value in event.items():
            if key in ("metadata", "unmapped"):
                assert {f"{key}.{name}" for name in value if name != "event_code"} <= WORDS
            else:
                assert key in WORDS, key
        assert event["metadata"]["event_code"] in WORDS
    for form in (FactsForm, DecisionForm, SessionForm):
        assert set(form.__struct_fields__) <= WORDS


def test_every_field_of_a_line_is_on_the_page() -> None:
    assert set(Execution.__struct_fields__) <= WORDS


def test_the_shared_piece_of_a_ruling_does_not_depend_on_the_statement_text() -> None:
    assert encode_ruling(RULING.analysis, RULING.decision).body == RULING.audit.body
    assert statement().text.encode() not in RULING.audit.body
