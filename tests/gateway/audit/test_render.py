from datetime import UTC
from typing import Any

import msgspec
import pytest

from gateway.audit.event import EventEncoder, encode_session_context
from gateway.audit.events import Event
from gateway.audit.expand import expand_event
from gateway.audit.render import render
from gateway.domain.audit import Outcome, SessionEventKind, SessionRecord, StatementRecord
from gateway.domain.recorded import Shared
from gateway.terminal import one_line
from tests.gateway.audit.builders import (
    CONTEXT,
    COPILOT,
    SESSION,
    SHOP,
    found_of,
    refused,
    session,
    statement,
)


def event(record: StatementRecord | SessionRecord, context: Shared = CONTEXT) -> Event:
    return found_of(record, context).event


def shown(record: StatementRecord | SessionRecord, context: Shared = CONTEXT, **options: Any) -> str:
    return render(event(record, context), zone=UTC, **options).plain


def test_a_statement_on_one_line() -> None:
    assert shown(statement(masked_cells=3)) == (
        "2026-11-23 08:00:00.123 ana@example.com shop-prod success rows=1 masked=3 0.8ms"
        " [readers-may-read,mask-pii,soon(draft)] SELECT id, email FROM customers WHERE id = 4711"
    )


def test_masked_values_are_shown_by_label() -> None:
    counted = statement(masked_cells=5, masked_by_label={"pii.email": 3, "pci.card": 2})
    assert " masked=5(pci.card:2,pii.email:3) " in shown(counted)


def test_an_agent_is_shown_with_the_human_behind_it() -> None:
    assert " copilot (for ana@example.com) shop-prod " in shown(
        statement(), encode_session_context(SESSION, COPILOT, SHOP, "gw-1")
    )


def test_a_refusal_shows_the_code_and_the_policy() -> None:
    assert shown(refused()).endswith(" refused 42501 [no-destruction] SELECT id, email FROM customers WHERE id = 4711")


def test_a_failed_login_marks_the_name_as_a_claim() -> None:
    record = session(SessionEventKind.LOGIN_FAILED, principal=None, resource=None, detail="token expired")
    assert shown(record).endswith(" ana@example.com? postgres login_failed token expired")


def test_what_an_approver_did_and_to_what_is_said() -> None:
    rejected = {
        "metadata": {"sequence": 5, "uid": "a", "event_code": "admin.approval.rejected"},
        "time": 1795784321340,
        "status_detail": "success",
        "message": "too many",
        "actor": {"user": {"name": "dave@example.com", "type_id": 2}},
        "resources": [{"type": "approval", "name": "afbdb14648"}],
    }
    line = render(msgspec.convert(rejected, Event), zone=UTC).plain
    assert line.endswith(" dave@example.com success approval.rejected afbdb14648 too many")


def test_the_log_speaks_of_itself() -> None:
    body = EventEncoder("gw-1", "0").lifecycle(
        "audit.interrupted", 0, 1_795_420_800_000_000_000, {"reason": "disk full"}
    )
    found = msgspec.json.decode(expand_event(0, body), type=Event)
    assert render(found, zone=UTC).plain == "2026-11-23 08:00:00.000 audit.interrupted disk full"


def test_a_line_is_cut_to_the_width() -> None:
    line = shown(statement(text="SELECT 1, " * 100), width=80)
    assert len(line) == 80
    assert line.endswith("…")


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J\x1b]0;x\x07",
        "a\x9b31m",
        "one\r\ntwo\ttwo",
        "\u202egnp.exe",
        "[bold red]x[/]",
        "\x00",
        "a\u2028b",
        "\U000e0041",
    ],
)
def test_a_statement_cannot_steer_the_terminal(text: str) -> None:
    for line in (shown(statement(text=text)), shown(statement(outcome=Outcome.FAILURE, code=text))):
        assert line.isprintable(), repr(line)
    if text.startswith("["):
        assert text in shown(statement(text=text))


def test_a_line_keeps_what_people_write() -> None:
    assert one_line("  ça  va\n\tgrößer 漢字 ") == "ça va größer 漢字"
