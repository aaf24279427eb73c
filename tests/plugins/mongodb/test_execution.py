"""Commands and replies of an open session, byte for byte and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bson
import pytest
from bson import Binary, Int64

from gateway.domain.audit import Outcome
from gateway.domain.decision import Decision, Obligations
from gateway.domain.decision import Effect as PolicyEffect
from gateway.domain.masking import ColumnMask, MaskingPlan, MaskSpec, PathMask, ResultColumn
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.ruling import Ruling
from gateway.errors import AccessDenied, RemoteProtocolError
from gateway.masking.functions import BUILTIN_FUNCTIONS, MaskingFunctions
from gateway.masking.keys import MaskingKeys
from gateway.protocol.adapter import Limits, Opened, RelaySettings, State, UpstreamHandle
from gateway.protocol.effects import AskPlan, AskRuling, Close, Effect, Record, SendDownstream, SendUpstream
from gateway_mongodb.catalog import Collection, MongoCatalog
from gateway_mongodb.core import Core
from gateway_mongodb.errors import CURSOR_NOT_FOUND
from gateway_mongodb.execution import Execution
from gateway_mongodb.requests import read_request
from gateway_mongodb.shared import Shared
from gateway_mongodb.wire.framing import FrameBuffer
from gateway_mongodb.wire.messages import BODY_AT, Msg, MsgFlag, decode_msg

EPOCH = object()
CATALOG = MongoCatalog([Collection("shop", "t", paths={"_id": "int", "filler": "string"})])


class Book:
    """Rulings that were made, without the chain."""

    masked = False
    epoch = EPOCH

    def intern(self, state: State) -> State:
        return state

    def find(self, state: object, key: bytes) -> Ruling | None:
        return None


class Session:
    """An open session whose host allows, or refuses, everything."""

    def __init__(self, shared: Shared | None = None, *, who: str = "ana") -> None:
        settings = RelaySettings(
            session_id="s",
            client_address="127.0.0.1:1",
            tls=False,
            tls_required=False,
            tls_certificate=None,
            fixed_resource=None,
            resolve_resource=lambda _: True,
            now=lambda: 0,
            random=bytes,
            masking_function=MaskingFunctions(BUILTIN_FUNCTIONS, MaskingKeys(b"k" * 32)),
            limits=Limits(),
        )
        self.core = Core(settings, shared or Shared())
        self.core.opened = Opened(
            resource=Resource("docs", "mongodb", "127.0.0.1", 1),
            principal=Principal(who),
            credentials=UpstreamCredentials("gateway", "secret"),
            database="docs",
            handle=UpstreamHandle(tls=False),
            catalog=lambda: CATALOG,
            rulings=Book(),
        )
        self.core.resource, self.core.owner = "docs", who
        self.core.deployment = self.core.shared.deployment("docs")
        self.execution = Execution(self.core)
        self.refuse = False
        self.obligations = Obligations()
        self.masks: dict[str, str] = {}
        """Masking functions by path."""

    def plan(self, columns: Sequence[ResultColumn]) -> MaskingPlan:
        """What is masked in results."""
        below = tuple(
            PathMask(tuple(path.split(".")), ColumnMask(MaskSpec(function, ()), frozenset({"pii"})))
            for path, function in self.masks.items()
        )
        return MaskingPlan(tuple(None for _ in columns), tuple(below for _ in columns))

    def ask(self, command: dict[str, Any], *, flags: int = 0, number: int = 7) -> list[Effect]:
        """The client sends a command; what comes of it."""
        buffer = FrameBuffer(max_message=48_000_000)
        buffer.feed(Msg(flags, bson.encode({**command, "$db": "shop"})).encode(number))
        assert buffer.next()
        self.execution.handle(read_request(buffer))
        while isinstance(self.core.ask, AskRuling | AskPlan):
            ask, self.core.ask = self.core.ask, None
            if isinstance(ask, AskPlan):
                self.execution.answered(ask, self.plan(ask.columns))
                continue
            assert ask.facts is not None
            effect = PolicyEffect.DENY if self.refuse else PolicyEffect.ALLOW
            ruling = Ruling(
                decision=Decision(effect, "", obligations=self.obligations),
                analysis=ask.facts,
                refusal=AccessDenied("no") if self.refuse else None,
                masked=bool(self.masks),
                redact_messages=bool(self.masks),
                intent=False,
                epoch=EPOCH,
            )
            self.execution.answered(ask, ruling)
        return self.take()

    def answer(self, *chunks: bytes) -> list[Effect]:
        """The database sends bytes."""
        for chunk in chunks:
            self.execution.receive(chunk)
        return self.take()

    def take(self) -> list[Effect]:
        effects, self.core.effects = self.core.effects, []
        return effects


def sent_down(effects: list[Effect]) -> bytes:
    return b"".join(bytes(effect.data) for effect in effects if isinstance(effect, SendDownstream))


def sent_up(effects: list[Effect]) -> bytes:
    return b"".join(bytes(effect.data) for effect in effects if isinstance(effect, SendUpstream))


def records(effects: list[Effect]) -> list[tuple[Outcome, int]]:
    return [(effect.record.outcome, effect.record.rows) for effect in effects if isinstance(effect, Record)]


def batch(rows: int, *, cursor: int = 0, size: int = 10) -> dict[str, Any]:
    documents = [{"_id": number, "filler": "x" * size} for number in range(rows)]
    return {"cursor": {"firstBatch": documents, "id": Int64(cursor), "ns": "shop.t"}, "ok": 1.0}


def reply(document: dict[str, Any], *, to: int = 7, number: int = 500, flags: int = 0) -> bytes:
    return Msg(flags, bson.encode(document)).encode(number, to)


def body(message: bytes) -> dict[str, Any]:
    return bson.decode(decode_msg(message, 0, len(message)).body)


@pytest.mark.parametrize("size", [10, 5_000])
@pytest.mark.parametrize("piece", [1, 97, 200_000, 10_000_000])
def test_a_reply_passes_as_it_came_however_it_came(size: int, piece: int) -> None:
    message = reply(batch(100, size=size))
    if piece == 1:
        message = reply(batch(3))
    session = Session()
    assert sent_up(session.ask({"find": "t", "filter": {}}))
    effects = session.answer(*(message[at : at + piece] for at in range(0, len(message), piece)))
    assert sent_down(effects) == message
    assert records(effects) == [(Outcome.SUCCESS, 3 if piece == 1 else 100)]
    assert session.execution.idle


def test_a_long_reply_does_not_wait_for_its_end() -> None:
    message = reply(batch(100, size=5_000))
    session = Session()
    session.ask({"find": "t", "filter": {}})
    assert sent_down(session.answer(message[:200_000])) == message[:200_000]
    # The session ends in the middle: nothing may come behind the half of a message.
    session.execution.fail(AccessDenied("over"))
    assert sent_down(session.take()) == b""


def test_what_is_more_than_a_body_is_sent_when_it_has_been_looked_at() -> None:
    checked = reply(batch(100, size=5_000), flags=MsgFlag.CHECKSUM_PRESENT)
    session = Session()
    session.ask({"find": "t", "filter": {}})
    assert sent_down(session.answer(checked[:200_000])) == b""
    effects = session.answer(checked[200_000:])
    assert (sent_down(effects), records(effects)) == (checked, [(Outcome.SUCCESS, 100)])

    plain = bytearray(reply(batch(100, size=5_000)) + b"\0" + bson.encode({"ok": 1}))
    plain[:4] = len(plain).to_bytes(4, "little")
    session.ask({"find": "t", "filter": {}})
    with pytest.raises(RemoteProtocolError):
        session.answer(bytes(plain[:200_000]))
    assert sent_down(session.take()) == b""


@pytest.mark.parametrize("masks", [{}, {"filler": "redact"}])
@pytest.mark.parametrize("size", [50, 100_000, 350_000, 10_000_000])
def test_long_replies_may_follow_each_other_unasked(size: int, masks: dict[str, str]) -> None:
    session = Session()
    session.masks = masks
    session.ask({"find": "t", "filter": {}})
    session.answer(reply(batch(3, cursor=99)))
    session.ask({"getMore": Int64(99), "collection": "t"}, flags=MsgFlag.EXHAUST_ALLOWED)
    documents = batch(200, size=1_000)["cursor"]["firstBatch"]
    messages = [
        reply(
            {"cursor": {"nextBatch": documents[:rows], "id": Int64(cursor), "ns": "shop.t"}, "ok": 1.0},
            number=500 + number,
            to=7 if number == 0 else 499 + number,
            flags=MsgFlag.MORE_TO_COME if cursor else 0,
        )
        for number, (rows, cursor) in enumerate([(200, 99), (180, 99), (2, 99), (190, 0)])
    ]
    effects = session.answer(*pieces(b"".join(messages), size))
    if masks:
        assert sent_down(effects).count(b"****") == 572
        assert b"xxxx" not in sent_down(effects)
    else:
        assert sent_down(effects) == b"".join(messages)
    assert records(effects) == [(Outcome.SUCCESS, rows) for rows in (200, 180, 2, 190)]
    assert session.execution.idle


# --- long replies under masks -----------------------------------------------------------------------------------------


def masked_session() -> Session:
    session = Session()
    session.masks = {"filler": "redact"}
    assert sent_up(session.ask({"find": "t", "filter": {}}))
    return session


def pieces(message: bytes, size: int) -> list[bytes]:
    return [message[at : at + size] for at in range(0, len(message), size)]


@pytest.mark.parametrize("size", [21, 97, 4_096, 200_000, 10_000_000])
def test_a_masked_reply_is_the_same_however_it_came(size: int) -> None:
    message = reply({**batch(300, size=1_000), "$clusterTime": {"t": 1}})
    expected = batch(300)
    for document in expected["cursor"]["firstBatch"]:
        document["filler"] = "****"
    session = masked_session()
    effects = session.answer(*pieces(message, size))
    assert sent_down(effects) == reply({**expected, "$clusterTime": {"t": 1}})
    (record,) = [effect.record for effect in effects if isinstance(effect, Record)]
    assert (record.outcome, record.rows, record.masked_cells) == (Outcome.SUCCESS, 300, 300)
    assert record.bytes_out == len(sent_down(effects)) - BODY_AT
    assert session.execution.idle


def test_nothing_of_a_masked_reply_goes_out_before_its_end() -> None:
    message = reply(batch(300, size=1_000))
    session = masked_session()
    assert sent_down(session.answer(*pieces(message[:-1], 50_000))) == b""
    # The session ends in the middle, and whoever waits is told why.
    session.execution.fail(AccessDenied("over"))
    effects = session.take()
    assert body(sent_down(effects))["ok"] == 0
    assert records(effects) == [(Outcome.LOST, 0)]


@pytest.mark.parametrize("size", [1_000, 60_000, 10_000_000])
@pytest.mark.parametrize("bad", [0, 150, 299])
def test_a_result_that_cannot_be_masked_costs_the_whole_reply(bad: int, size: int) -> None:
    documents = batch(300, size=1_000)
    documents["cursor"]["firstBatch"][bad]["filler"] = "unmistakable" + "x" * 988
    documents["cursor"]["id"] = Int64(99)
    message = bytearray(reply(documents))
    # The text does not end where it says.
    message[message.index(b"unmistakable") + 1_000] = 1
    session = masked_session()
    effects = session.answer(*pieces(bytes(message), size))
    error = sent_down(effects)
    assert body(error)["ok"] == 0
    assert b"xxxx" not in error
    assert records(effects) == [(Outcome.FAILURE, 300)]
    killed = sent_up(effects)
    assert body(killed) == {"killCursors": "t", "cursors": [99], "$db": "shop"}
    session.ask({"find": "t", "filter": {}})
    assert body(sent_down(session.answer(reply(batch(1)))))["ok"] == 1


@pytest.mark.parametrize("size", [1_000, 60_000])
def test_lengths_that_lie_in_a_masked_reply_end_the_session(size: int) -> None:
    message = bytearray(reply(batch(300, size=1_000)))
    at = message.index(b"\x03299\0") + 5
    message[at : at + 4] = (1 << 30).to_bytes(4, "little")
    session = masked_session()
    with pytest.raises(RemoteProtocolError):
        session.answer(*pieces(bytes(message), size))
    assert sent_down(session.take()) == b""


def test_what_is_for_the_gateway_alone_is_taken_out_of_a_masked_reply() -> None:
    whole = batch(300, size=1_000) | {
        "topologyVersion": {"counter": Int64(1)},
        "writeConcernError": {"code": 64, "errmsg": "about a stored value"},
    }
    session = masked_session()
    effects = session.answer(*pieces(reply(whole), 50_000))
    shown = body(sent_down(effects))
    assert {document["filler"] for document in shown["cursor"]["firstBatch"]} == {"****"}
    assert "topologyVersion" not in shown
    assert "stored value" not in str(shown["writeConcernError"])
    assert [outcome for outcome, _ in records(effects)] == [Outcome.FAILURE]


def test_a_cursor_is_read_on_under_its_mask() -> None:
    session = masked_session()
    session.answer(reply(batch(3, cursor=99)))
    session.ask({"getMore": Int64(99), "collection": "t"})
    found = {"nextBatch": batch(300, size=1_000)["cursor"]["firstBatch"], "id": Int64(0), "ns": "shop.t"}
    effects = session.answer(*pieces(reply({"cursor": found, "ok": 1.0}), 100_000))
    assert {document["filler"] for document in body(sent_down(effects))["cursor"]["nextBatch"]} == {"****"}
    effects = session.ask({"getMore": Int64(99), "collection": "t"})
    assert body(sent_down(effects))["code"] == CURSOR_NOT_FOUND.number


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_limited_reply_waits_and_is_cut() -> None:
    session = Session()
    session.obligations = Obligations(row_limit=5)
    session.ask({"find": "t", "filter": {}})
    effects = session.answer(reply(batch(100, size=5_000)))
    cut = body(sent_down(effects))
    assert len(cut["cursor"]["firstBatch"]) == 5
    assert records(effects) == [(Outcome.SUCCESS, 5)]
    effects = session.ask({"getMore": Int64(cut["cursor"]["id"]), "collection": "t"})
    assert body(sent_down(effects))["code"] == 96
    assert records(effects) == [(Outcome.LIMITED, 0)]
    assert sent_up(effects) == b""


def test_a_cursor_that_nobody_may_read_on_is_closed_in_the_database() -> None:
    killed = {"killCursors": "t", "cursors": [99], "$db": "shop"}
    session = Session()
    session.obligations = Obligations(row_limit=5)
    session.ask({"find": "t", "filter": {}})
    effects = session.answer(reply(batch(100, cursor=99)))
    assert body(sent_down(effects))["cursor"]["id"] == 99
    # The database is not asked how it went: there is nobody to tell.
    message = sent_up(effects)
    assert (body(message), decode_msg(message, 0, len(message)).more_to_come) == (killed, True)
    effects = session.ask({"getMore": Int64(99), "collection": "t"})
    assert (body(sent_down(effects))["code"], sent_up(effects)) == (96, b"")
    effects = session.ask({"getMore": Int64(99), "collection": "t"})
    assert body(sent_down(effects))["code"] == CURSOR_NOT_FOUND.number

    # As long as the limit holds it stays open, and so it does where there is none.
    session.ask({"find": "t", "filter": {}})
    assert sent_up(session.answer(reply(batch(5, cursor=7)))) == b""
    # Policies that have changed refuse the next batch, and drivers close no cursor that failed.
    session.core.shared.cursors.find("docs", 7, "ana").ruling.refusal = AccessDenied("no more")  # type: ignore[union-attr]
    effects = session.ask({"getMore": Int64(7), "collection": "t"})
    assert (body(sent_down(effects))["code"], body(sent_up(effects))["cursors"]) == (13, [7])


def test_a_stream_of_batches_ends_with_the_limit() -> None:
    session = Session()
    session.obligations = Obligations(row_limit=5)
    session.ask({"find": "t", "filter": {}})
    session.answer(reply(batch(3, cursor=99)))
    more = {"nextBatch": [{"_id": number} for number in range(3)], "id": Int64(99), "ns": "shop.t"}
    session.ask({"getMore": Int64(99), "collection": "t"}, flags=MsgFlag.EXHAUST_ALLOWED)
    stream = [
        reply({"cursor": more, "ok": 1.0}, number=500 + n, to=7 if n == 0 else 499 + n, flags=2) for n in range(3)
    ]
    effects = session.answer(stream[0])
    assert len(body(sent_down(effects))["cursor"]["nextBatch"]) == 2
    assert sent_up(effects) == b"", "the database would not read it before its stream is over"
    effects = session.answer(*stream[1:])
    assert body(sent_down(effects))["code"] == 96
    assert any(isinstance(effect, Close) for effect in effects)


def test_a_time_limit_goes_along() -> None:
    session = Session()
    session.obligations = Obligations(timeout=2.0)
    assert body(sent_up(session.ask({"find": "t", "filter": {}})))["maxTimeMS"] == 2000


def test_a_refusal_is_an_answer_and_goes_no_further() -> None:
    session = Session()
    session.refuse = True
    effects = session.ask({"drop": "t"})
    assert sent_up(effects) == b""
    assert (body(sent_down(effects))["code"], records(effects)) == (13, [(Outcome.REFUSED, 0)])
    effects = session.ask({"drop": "t"}, flags=MsgFlag.MORE_TO_COME)
    assert sent_down(effects) == b""
    assert records(effects) == [(Outcome.REFUSED, 0)]


def test_an_unacknowledged_write_is_acknowledged_to_the_gateway_alone() -> None:
    session = Session()
    effects = session.ask({"insert": "t", "documents": [{}]}, flags=MsgFlag.MORE_TO_COME)
    message = sent_up(effects)
    assert not decode_msg(message, 0, len(message)).more_to_come
    effects = session.answer(reply({"n": 1, "ok": 1.0}))
    assert sent_down(effects) == b""
    assert records(effects) == [(Outcome.SUCCESS, 1)]


def test_cursors_are_their_principals() -> None:
    shared = Shared()
    first = Session(shared)
    first.ask({"find": "t", "filter": {}})
    first.answer(reply(batch(2, cursor=99)))
    more = {"getMore": Int64(99), "collection": "t"}
    assert body(sent_down(Session(shared, who="otto").ask(more)))["code"] == CURSOR_NOT_FOUND.number
    assert sent_up(Session(shared).ask(more))


def test_logical_sessions_are_their_principals() -> None:
    shared = Shared()
    session_id = {"lsid": {"id": Binary(bytes(16), 4)}}
    assert sent_up(Session(shared).ask({"find": "t", **session_id}))
    refused = Session(shared, who="otto").ask({"find": "t", **session_id})
    assert (sent_up(refused), body(sent_down(refused))["code"]) == (b"", 13)


def test_an_open_transaction_keeps_the_session_from_being_idle() -> None:
    session = Session()
    transaction = {"lsid": {"id": Binary(bytes(16), 4)}, "txnNumber": Int64(1), "autocommit": False}
    session.ask({"insert": "t", "documents": [{}], **transaction, "startTransaction": True})
    session.answer(reply({"n": 1, "ok": 1.0}))
    assert not session.execution.idle
    session.ask({"commitTransaction": 1, **transaction})
    session.answer(reply({"ok": 1.0}))
    assert session.execution.idle


def test_who_leaves_during_a_read_leaves_nothing_running_and_a_write_is_waited_for() -> None:
    session = Session()
    session.ask({"find": "t", "filter": {}})
    assert not session.execution.abandon()
    assert records(session.take()) == [(Outcome.LOST, 0)]
    session = Session()
    session.ask({"insert": "t", "documents": [{}]})
    assert session.execution.abandon()
    effects = session.answer(reply({"n": 1, "ok": 1.0}))
    assert (sent_down(effects), records(effects)) == (b"", [(Outcome.SUCCESS, 1)])
    assert any(isinstance(effect, Close) for effect in effects)


def test_a_member_that_is_no_primary_any_more_is_left_by_everybody() -> None:
    shared = Shared()
    session = Session(shared)
    session.ask({"insert": "t", "documents": [{}]})
    gone = {"ok": 0.0, "code": 10107, "errorLabels": ["RetryableWriteError"], "topologyVersion": {"counter": Int64(1)}}
    told = body(sent_down(session.answer(reply(gone))))
    assert (told["code"], told["codeName"]) == (6, "HostUnreachable"), (
        "the driver repeats it, and does not look around first"
    )
    assert told["errorLabels"] == ["RetryableWriteError"]
    assert "topologyVersion" not in told
    assert shared.deployment("docs").generation == 1
    assert sent_up(session.ask({"insert": "t", "documents": [{}]})) == b""
    assert session.core.ask is not None


def test_a_write_concern_that_failed_with_the_primary_is_told_alike() -> None:
    shared = Shared()
    session = Session(shared)
    session.ask({"insert": "t", "documents": [{}]})
    concern = {"code": 11602, "codeName": "InterruptedDueToReplStateChange", "errmsg": "stepping down"}
    told = body(sent_down(session.answer(reply({"n": 1, "ok": 1.0, "writeConcernError": concern}))))
    assert told["n"] == 1
    assert told["writeConcernError"]["code"] == 6
    assert shared.deployment("docs").generation == 1
