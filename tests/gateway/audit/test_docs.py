import json
import re
from pathlib import Path
from typing import Any

from gateway.audit.chain import Sealer
from gateway.audit.event import EncoderSettings, EventEncoder, encode_ruling, encode_session_context
from gateway.audit.facts import FactsForm
from gateway.audit.ocsf import DecisionForm, SessionForm
from gateway.domain.audit import SessionEventKind
from tests.gateway.audit.builders import CONTEXT, COPILOT, RULING, SESSION, SHOP, refused, session, statement

PAGE = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
WORDS = set(re.findall(r"[a-z_]+(?:\.[a-z_]+)*", " ".join(re.findall(r"`([^`]+)`", PAGE))))


def events() -> list[dict[str, Any]]:
    encoder = EventEncoder(EncoderSettings(gateway_name="gw-1", version="0", max_text=40))
    sealer = Sealer("c")
    agent = encode_session_context(SESSION, COPILOT, SHOP, "gw-1")
    bodies = [
        encoder.statement(statement(intent=True), CONTEXT, 0),
        encoder.statement(refused(), agent, 0),
        *(encoder.session(session(kind, detail="x"), 0) for kind in SessionEventKind),
    ]
    return [json.loads(sealer.seal(body)) for body in bodies]


def test_every_field_is_on_the_page() -> None:
    for event in events():
        for key, value in event.items():
            if key in ("metadata", "unmapped"):
                assert {f"{key}.{name}" for name in value if name != "event_code"} <= WORDS
            else:
                assert key in WORDS, key
        assert event["metadata"]["event_code"] in WORDS
    for form in (FactsForm, DecisionForm, SessionForm):
        assert set(form.__struct_fields__) <= WORDS


def test_the_page_says_how_to_check_a_line() -> None:
    [length] = re.findall(r"head -c -(\d+) line", PAGE)
    body = EventEncoder(EncoderSettings(gateway_name="gw", version="0")).statement(statement(), CONTEXT, 0)
    line = Sealer("c").seal(body)
    assert line[-int(length) :].startswith(b',"fingerprint":{"algorithm_id":3,"value":"')
    assert f"last {length} bytes" in PAGE


def test_the_shared_piece_of_a_ruling_does_not_depend_on_the_statement_text() -> None:
    assert encode_ruling(RULING.analysis, RULING.decision) == RULING.audit
    assert statement().text.encode() not in RULING.audit
