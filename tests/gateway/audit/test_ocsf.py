"""Every kind of event is as OCSF says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.event import encode_session_context
from gateway.domain.audit import AdminOutcome, Outcome, SessionEventKind
from gateway.domain.statement import Action, Analysis, StatementFacts
from tests.gateway.audit.builders import (
    ANA,
    COPILOT,
    SESSION,
    SHOP,
    lines_of,
    open_log,
    refused,
    ruling,
    session,
    statement,
)
from tests.gateway.audit.ocsf_schema import problems
from tests.gateway.audit.shipping.events import event as sample
from tests.gateway.audit.test_admin import RECORD


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Whatever the log can hold, for sessions of all protocols, of people, agents and nobody."""
    directory: Path = tmp_path_factory.mktemp("ocsf") / "audit"
    log = open_log(directory, max_text=100)
    for protocol in ("postgres", "mysql", "mongodb"):
        for who, where in ((ANA, SHOP), (COPILOT, SHOP), (None, None)):
            seen = replace(SESSION, protocol=protocol, id=f"{protocol}-{who and who.name}")
            context = encode_session_context(seen, who, where and replace(where, protocol=protocol), "gw-1")
            for outcome in Outcome:
                log.record(statement(outcome=outcome, code="42501", masked_cells=2), context)
            log.record(statement(intent=True, rows=0), context)
            log.record(refused(), context)
            log.record(statement(text="SELECT " + "x" * 200), context)
            for action in Action:
                facts = StatementFacts("x", frozenset({action}))
                log.record(statement(ruling=ruling(Analysis((facts,), False, "f", "x"))), context)
            for kind in SessionEventKind:
                log.record_session(replace(session(kind, detail="why"), context=seen, principal=who, resource=where))
    strange = replace(SESSION, client_address="", user="", database=None, application="")
    for kind in (SessionEventKind.LOGIN_FAILED, SessionEventKind.REFUSED):
        log.record_session(replace(session(kind), context=strange, principal=None, resource=None))
    for verb in ("create", "read", "update", "delete", "rollback"):
        record = replace(RECORD, operation=f"policy.{verb}")
        log.record_admin(record)
        for ending in AdminOutcome:
            log.record_admin(record.ended(ending, record.time))
    nobody = replace(
        RECORD, intent=False, admin="", admin_id="", session="", client_address="", roles=(), user_agent=""
    )
    log.record_admin(replace(nobody, operation="approval.requested", kind="approval", name="r-1"))
    asyncio.run(log.close())
    return [json.loads(line) for line in lines_of(directory)]


def test_every_event_is_as_the_schema_says(events: list[dict[str, Any]]) -> None:
    wrong = {(event["metadata"]["event_code"], text) for event in events for text in problems(event)}
    assert wrong == set()
    codes = {event["metadata"]["event_code"].partition(".")[0] for event in events}
    assert codes == {"statement", "session", "admin", "audit"}
    assert {event["class_uid"] for event in events} == {6005, 3002, 6002, 6003}


def test_statements_of_all_protocols_have_the_same_attributes(events: list[dict[str, Any]]) -> None:
    shapes: dict[str, set[str]] = {}
    for event in events:
        if event["metadata"]["event_code"].startswith("statement"):
            shapes.setdefault(event["dst_endpoint"]["svc_name"], set()).update(paths(event))
    assert set(shapes) == {"postgres", "mysql", "mongodb"}
    assert shapes["postgres"] == shapes["mysql"] == shapes["mongodb"]


def paths(value: object, path: str = "") -> set[str]:
    """Names of everything in an event."""
    if not isinstance(value, dict):
        return {path}
    return {found for name, item in value.items() for found in paths(item, f"{path}.{name}")}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"class_uid": 1}, "class_uid 1"),
        ({"activity_id": 11}, "activity_id 11"),
        ({"type_uid": 600599}, "category_uid, type_uid"),
        ({"colour": "red"}, "colour is unknown"),
        ({"severity_id": 7}, "severity_id 7"),
        ({"actor": {"user": {"type_id": 1}}}, "actor.user has none of"),
        ({"time": "now"}, "time is no number"),
        ({"query_info": {}}, "query_info.query_string is missing"),
        ({"status_detail": ""}, "status_detail is no text"),
        ({"metadata": {"version": "1.0.0"}}, "metadata.product is missing"),
    ],
)
def test_what_is_wrong_is_found(events: list[dict[str, Any]], change: dict[str, Any], told: str) -> None:
    good = next(event for event in events if event["metadata"]["event_code"] == "statement")
    assert problems(good) == []
    assert any(told in text for text in problems(good | change))


def test_a_missing_attribute_is_found() -> None:
    assert "src_endpoint is missing" in problems({"class_uid": 6005, "activity_id": 1})
    assert problems(json.loads(sample(1))) != [], "what the receivers' tests send is only as much as they need"
