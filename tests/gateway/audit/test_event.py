import hashlib
import json
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.event import EventEncoder, Product, encode_session_context
from gateway.audit.execution import Execution
from gateway.audit.expand import expand_event, expand_execution
from gateway.audit.records import RecordEncoder, RecordSettings
from gateway.audit.redact import Literals, hash_literal
from gateway.domain.approval import ApprovalNote, GrantScope
from gateway.domain.audit import BoundValue, Outcome, SessionEventKind, SessionRecord, StatementRecord
from gateway.domain.recorded import Shared
from gateway.domain.statement import Action, Analysis, StatementFacts
from gateway.errors import ConfigurationError
from gateway.sql.credentials import HIDDEN
from tests.gateway.audit.builders import (
    ANA,
    ANALYSIS,
    CONTEXT,
    COPILOT,
    DECISION,
    SESSION,
    SHOP,
    TEXT,
    refused,
    ruling,
    session,
    statement,
)


def recorded(record: StatementRecord, context: Shared = CONTEXT, sequence: int = 0, **settings: Any) -> dict[str, Any]:
    """The event that a reader sees of a statement, recorded alone in a segment."""
    return whole(*lines(record, context, sequence, **settings))


def lines(record: StatementRecord, context: Shared = CONTEXT, sequence: int = 0, **settings: Any) -> list[bytes]:
    return RecordEncoder(RecordSettings(**settings)).statement(record, context, sequence - 2)


def whole(session_line: bytes, ruling_line: bytes, line: bytes) -> dict[str, Any]:
    session, ruling = (text[text.index(b'"body":') + 7 : -1] for text in (session_line, ruling_line))
    execution = msgspec.json.decode(line, type=Execution)
    assert execution.session + 1 == execution.ruling == execution.seq - 1
    return event(expand_execution(execution, execution.text, execution.cut, session, ruling, Product(version="0.1.0")))


def session_event(record: SessionRecord, sequence: int = 0) -> dict[str, Any]:
    return event(expand_event(sequence, EventEncoder("gw-1", "0.1.0").session(record, sequence)))


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), f"a key is there twice: {[key for key, _ in pairs]}"
    return found


def event(line: bytes) -> dict[str, Any]:
    assert line.count(b"\n") == 0
    result = json.loads(line, object_pairs_hook=unique)
    assert isinstance(result, dict)
    return result


def test_a_statement_is_an_ocsf_datastore_activity() -> None:
    found = recorded(statement(7, masked_cells=3, parameters=2), CONTEXT, 41)
    assert (found["class_uid"], found["category_uid"], found["activity_id"], found["type_uid"]) == (6005, 6, 1, 600501)
    assert found["metadata"]["sequence"] == 41
    assert found["metadata"]["uid"] == "s-1.7"
    assert found["time"] == 1_795_420_800_123
    assert found["query_info"] == {"query_string": TEXT, "uid": "3f2a9c0d1e5b7a68", "bytes": 89}
    assert found["actor"]["user"] == {"name": "ana@example.com", "type_id": 1, "groups": [{"name": "analysts"}]}
    assert found["actor"]["session"] == {"uid": "s-1"}
    assert found["src_endpoint"] == {"ip": "10.0.0.7", "port": 50123}
    assert found["dst_endpoint"]["name"] == "shop-prod"
    assert found["dst_endpoint"]["zone"] == "production"
    assert found["database"]["name"] == "shop"
    assert found["policy"] == {"name": "readers-may-read", "is_applied": True}
    unmapped = found["unmapped"]
    assert (unmapped["rows"], unmapped["masked_cells"], unmapped["parameters"], unmapped["duration_us"]) == (
        1,
        3,
        2,
        812,
    )
    assert unmapped["decision"]["masks"] == {"pii.email": [{"function": "partial", "arguments": {"last": 4}}]}
    assert {"policy": "soon", "effect": "deny", "mode": "draft"} in unmapped["decision"]["policies"]


def test_masked_values_are_counted_by_label() -> None:
    record = statement(7)
    record.count_masked(((), ("pii.email",), ("pci.card", "pii.any")), (0, 2, 3))
    record.count_masked((("pii.email",),), (4,))
    found = recorded(record, CONTEXT, 41)["unmapped"]
    assert found["masked_cells"] == 9
    assert found["masked_by_label"] == {"pii.email": 6, "pci.card": 3, "pii.any": 3}


def test_no_masked_value_costs_nothing_in_the_log() -> None:
    record = statement(7)
    record.count_masked((("pii.email",),), (0,))
    assert "masked_by_label" not in recorded(record, CONTEXT, 41)["unmapped"]
    assert RecordEncoder(RecordSettings()).statement(record, CONTEXT, 0) == RecordEncoder(RecordSettings()).statement(
        statement(7), CONTEXT, 0
    )


@pytest.mark.parametrize(
    ("changes", "status", "detail", "action", "disposition"),
    [
        ({}, 1, "success", 1, 1),
        ({"masked_cells": 1}, 1, "success", 4, 11),
        ({"outcome": Outcome.FAILURE, "code": "23505"}, 2, "failure", 1, 1),
        ({"outcome": Outcome.REFUSED, "code": "42501"}, 2, "refused", 2, 2),
        ({"outcome": Outcome.LIMITED}, 2, "limited", 2, 6),
        ({"outcome": Outcome.SKIPPED}, 0, "skipped", 1, 16),
        ({"outcome": Outcome.LOST}, 0, "lost", 1, 1),
        ({"intent": True}, 0, "intent", 1, 1),
    ],
)
def test_the_outcome_tells_what_happened(
    changes: dict[str, Any], status: int, detail: str, action: int, disposition: int
) -> None:
    found = recorded(statement(**changes))
    assert (found["status_id"], found["status_detail"]) == (status, detail)
    assert (found["action_id"], found["disposition_id"]) == (action, disposition)
    assert found.get("status_code", "") == changes.get("code", "")


def test_every_outcome_has_a_form() -> None:
    for outcome in Outcome:
        for intent in (False, True):
            recorded(statement(outcome=outcome, intent=intent))


def test_an_intent_and_its_outcome_belong_together() -> None:
    intent = recorded(statement(7, intent=True))
    outcome = recorded(statement(7))
    assert intent["metadata"]["correlation_uid"] == outcome["metadata"]["uid"]
    assert intent["metadata"]["uid"] != outcome["metadata"]["uid"]
    assert intent["metadata"]["event_code"] == "statement.intent"


def test_a_refusal_says_which_policy_and_why() -> None:
    found = recorded(refused())
    assert found["policy"]["name"] == "no-destruction"
    assert found["unmapped"]["decision"]["reason"] == "denied by no-destruction"
    assert found["unmapped"]["decision"]["refusal"] == "AccessDenied: denied by no-destruction"


def test_an_agent_and_the_human_it_acts_for_are_both_there() -> None:
    context = encode_session_context(SESSION, COPILOT, SHOP, "gw-1")
    found = recorded(statement(), context)
    assert found["actor"]["user"]["name"] == "copilot"
    assert found["actor"]["user"]["type"] == "Agent"
    assert found["unmapped"]["session"]["acts_for"] == [
        {"name": "ana@example.com", "kind": "human", "groups": ["analysts"]}
    ]


@pytest.mark.parametrize(
    ("actions", "activity"),
    [
        ({Action.READ}, 1),
        ({Action.READ, Action.UPDATE}, 2),
        ({Action.INSERT, Action.READ}, 5),
        ({Action.CREATE, Action.INSERT}, 6),
        ({Action.DROP, Action.CREATE}, 7),
        ({Action.TRANSACTION}, 4),
        ({Action.UNKNOWN}, 4),
        (set(), 4),
    ],
)
def test_the_gravest_action_names_the_activity(actions: set[Action], activity: int) -> None:
    analysis = Analysis((StatementFacts("x", frozenset(actions)),))
    found = recorded(statement(ruling=ruling(analysis)))
    assert (found["activity_id"], found["type_uid"]) == (activity, 600500 + activity)


def test_a_ruling_that_nobody_encoded_is_recorded_in_full() -> None:
    late = ruling()
    late.audit = Shared()
    assert recorded(statement(ruling=late)) == recorded(statement())


@given(st.text())
def test_any_text_is_kept_as_it_is(text: str) -> None:
    found = recorded(statement(text=text))
    assert found["query_info"]["query_string"] == text


@given(st.text(st.characters(categories=["Cs", "L"])))
def test_bytes_that_are_no_text_cannot_keep_a_statement_out(text: str) -> None:
    context = encode_session_context(replace(SESSION, application=text, user=text), None, None, "gw-1")
    found = recorded(statement(text=text, code=text), context)
    assert found["query_info"]["query_string"] == text.encode("utf-8", "backslashreplace").decode()


def test_a_long_text_is_cut_and_its_digest_kept() -> None:
    text = "SELECT '" + "é" * 500 + "'"
    found = recorded(statement(text=text), max_text=100)
    assert found["query_info"]["query_string"] == text[:100]
    assert found["metadata"]["is_truncated"] is True
    assert found["unmapped"]["text_bytes"] == len(text.encode())
    assert found["metadata"]["untruncated_size"] == -(-len(text.encode()) // 1024), "OCSF counts kilobytes"
    assert found["metadata"]["labels"] == [f"text_sha256:{hashlib.sha256(text.encode()).hexdigest()}"]


@pytest.mark.parametrize("mode", [Literals.HASH, Literals.DROP])
@pytest.mark.parametrize("max_text", [20, 10_000])
def test_no_literal_is_left_where_the_setting_says_so(mode: Literals, max_text: int) -> None:
    text = "SELECT * FROM customers WHERE email = 'ana@example.com' AND tax = 123456789"
    analysis = replace(ANALYSIS, normalised="SELECT * FROM customers WHERE email = ? AND tax = ?")
    record = statement(text=text, ruling=ruling(analysis))
    context = encode_session_context(replace(SESSION, user="somebody"), None, SHOP, "gw-1")
    record.bound = Bound("ana@example.com", 123456789, None)
    found = lines(record, context, literals=mode, literal_key=b"k" * 32, max_text=max_text)
    assert b"ana@example.com" not in b"".join(found)
    assert b"123456789" not in b"".join(found)
    assert whole(*found)["query_info"]["query_string"].startswith("SELECT * FROM custom")


class Bound:
    def __init__(self, *values: BoundValue) -> None:
        self._values = values

    def values(self) -> tuple[BoundValue, ...]:
        return self._values


def test_bound_values_are_kept_hashed_or_dropped_like_literals() -> None:
    record = statement(parameters=4, bound=Bound("ana@example.com", 4711, True, None))
    assert recorded(record)["unmapped"]["parameter_values"] == ["ana@example.com", 4711, True, None]
    hashed = recorded(record, literals=Literals.HASH, literal_key=b"k")["unmapped"]["parameter_values"]
    assert hashed == [
        hash_literal("ana@example.com", b"k"),
        hash_literal("4711", b"k"),
        hash_literal("true", b"k"),
        None,
    ]
    dropped = recorded(record, literals=Literals.DROP)["unmapped"]
    assert "parameter_values" not in dropped
    assert dropped["parameters"] == 4


@pytest.mark.parametrize(
    ("own", "shown"),
    [(None, "ana"), (Literals.KEEP, "ana"), (Literals.HASH, hash_literal("ana", b"k")), (Literals.DROP, "?")],
)
def test_a_ruling_says_what_is_kept_of_its_values(own: Literals | None, shown: str) -> None:
    analysis = replace(ANALYSIS, normalised="SELECT ?")
    record = statement(text="SELECT 'ana'", ruling=ruling(analysis), bound=Bound("ana"))
    record.ruling.literals = own
    found = recorded(record, literal_key=b"k")
    assert found["query_info"]["query_string"] == f"SELECT {shown}".replace("ana", "'ana'")
    assert found["unmapped"].get("parameter_values", ["?"]) == [shown]


@pytest.mark.parametrize(
    ("actions", "kept"),
    [
        ({Action.READ}, True),
        ({Action.READ, Action.UPDATE}, True),
        ({Action.CALL}, False),
        ({Action.READ, Action.CALL}, False),
        ({Action.CREATE}, False),
    ],
)
def test_a_login_among_the_bound_values_is_hidden_unless_it_is_surely_a_rows(actions: set[Action], kept: bool) -> None:
    login = "host=h user=u password=canary"
    facts = replace(ANALYSIS.statements[0], actions=frozenset(actions))
    record = statement(ruling=ruling(replace(ANALYSIS, statements=(facts,))), bound=Bound(login, "ana"))
    values = recorded(record)["unmapped"]["parameter_values"]
    assert values == ([login, "ana"] if kept else [HIDDEN, "ana"])


def test_an_outcome_shows_the_values_of_its_intent() -> None:
    class Once(Bound):
        asked = 0

        def values(self) -> tuple[BoundValue, ...]:
            self.asked += 1
            return super().values()

    bound = Once("ana", 7)
    record = statement(bound=bound, intent=True)
    encoder = RecordEncoder(RecordSettings())
    lines = encoder.statement(record, CONTEXT, 0)
    record.intent = False
    lines += encoder.statement(record, CONTEXT, len(lines))
    assert [json.loads(line)["values"] for line in lines if b'"values"' in line] == [["ana", 7], ["ana", 7]]
    assert bound.asked == 1


def test_without_a_key_nothing_is_hashed() -> None:
    record = statement(text="SELECT 'ana'", ruling=ruling(replace(ANALYSIS, normalised="SELECT ?")))
    record.ruling.literals = Literals.HASH
    assert recorded(record)["query_info"]["query_string"] == "SELECT ?"


def test_an_approval_is_in_the_event() -> None:
    note = ApprovalNote("r-1", GrantScope.ONCE, ("dba@example.com",))
    found = recorded(statement(approval=note))["unmapped"]["approval"]
    assert found == {"request": "r-1", "scope": "once", "approvers": ["dba@example.com"], "break_glass": False}


def test_a_long_bound_value_is_cut_and_many_are_bounded() -> None:
    [value] = recorded(statement(bound=Bound("x" * 5000)))["unmapped"]["parameter_values"]
    assert value == "x" * 4096 + "… (5000 characters)"
    assert len(recorded(statement(bound=Bound(*range(2000))))["unmapped"]["parameter_values"]) == 1000


def test_a_short_statement_takes_few_bytes() -> None:
    encoder = RecordEncoder(RecordSettings())
    encoder.statement(statement(0), CONTEXT, 1_000_000)
    for number in (1, 2):
        [line] = encoder.statement(
            statement(number, text="SELECT abalance FROM accounts WHERE aid = 431234;"), CONTEXT, 9
        )
        assert len(line) < (230 if number == 1 else 190)


def test_what_is_shared_is_written_once_in_each_segment() -> None:
    encoder = RecordEncoder(RecordSettings())
    context, other = encode_session_context(SESSION, ANA, SHOP, "gw-1"), ruling()
    counts = []
    for _ in range(2):
        encoder.begin_segment()
        counts += [len(encoder.statement(statement(n, ruling=other), context, 10)) for n in range(3)]
    assert counts == [3, 1, 1, 3, 1, 1]


def test_a_statement_that_cannot_be_encoded_leaves_nothing_half_defined() -> None:
    encoder = RecordEncoder(RecordSettings())
    context = encode_session_context(SESSION, ANA, SHOP, "gw-1")
    with pytest.raises(TypeError):
        encoder.statement(statement(bound=Bound(cast(Any, object()))), context, 0)
    assert len(encoder.statement(statement(), context, 0)) == 3


def test_hashing_literals_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a key"):
        RecordSettings(literals=Literals.HASH)


@pytest.mark.parametrize(
    ("kind", "class_uid", "activity", "status"),
    [
        (SessionEventKind.LOGIN, 3002, 1, 1),
        (SessionEventKind.LOGIN_FAILED, 3002, 1, 2),
        (SessionEventKind.CLOSED, 3002, 2, 1),
        (SessionEventKind.REFUSED, 6005, 3, 2),
        (SessionEventKind.CANCEL, 6005, 99, 1),
    ],
)
def test_session_events(kind: SessionEventKind, class_uid: int, activity: int, status: int) -> None:
    found = session_event(session(kind, detail="why", statements=9, duration=5_000_000_000), 3)
    assert (found["class_uid"], found["activity_id"], found["status_id"]) == (class_uid, activity, status)
    assert found["type_uid"] == class_uid * 100 + activity
    assert found["status_detail"] == kind.value
    assert found["message"] == "why"
    assert found["actor"]["user"]["name"] == "ana@example.com"
    assert found["unmapped"]["statement_count"] == 9
    assert found["duration"] == 5000
    assert ("user" in found) == (class_uid == 3002)


def test_a_failed_login_names_the_claimed_user_as_a_claim() -> None:
    record = session(SessionEventKind.LOGIN_FAILED, principal=None, resource=None)
    found = session_event(record)
    assert found["user"] == {"name": "ana@example.com", "type_id": 0}
    assert found["unmapped"]["session"]["authenticated"] is False


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("10.0.0.7:50123", {"ip": "10.0.0.7", "port": 50123}),
        ("[2001:db8::1]:50123", {"ip": "2001:db8::1", "port": 50123}),
        ("2001:db8::1", {"ip": "2001:db8::1"}),
        ("2001:db8::1:50", {"ip": "2001:db8::1:50"}),
        ("10.0.0.7", {"ip": "10.0.0.7"}),
        ("/run/gw.sock", {"name": "/run/gw.sock"}),
        ("", {"name": "unknown"}),
    ],
)
def test_client_addresses(address: str, endpoint: dict[str, Any]) -> None:
    context = encode_session_context(replace(SESSION, client_address=address), None, None, "gw-1")
    assert json.loads(context.body)["src_endpoint"] == endpoint


def test_both_shared_pieces_are_json_objects_of_their_own() -> None:
    assert list(json.loads(CONTEXT.body))[-1] == "unmapped"
    assert list(json.loads(ruling().audit.body))[:2] == ["fingerprint", "unmapped"]


def test_equal_input_gives_equal_bytes() -> None:
    shuffled = replace(DECISION)
    assert lines(statement(ruling=ruling(decision=shuffled))) == lines(statement())
