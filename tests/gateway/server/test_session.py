"""The driver of one session, between sockets and a relay that a test plays."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.audit import Outcome, SessionEventKind, StatementRecord
from gateway.domain.decision import Decision, Effect, SessionContext
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Analysis
from gateway.errors import AuditError, GatewayError, GatewayShutdown
from gateway.protocol import adapter
from gateway.protocol.effects import (
    AskCancelUpstream,
    AskCommit,
    BeginAgain,
    Close,
    GoOn,
    Record,
    SendDownstream,
    SendUpstream,
    SetDeadline,
    WithdrawApproval,
)
from gateway.server.session import ClientProtocol, DatabaseProtocol, Session

CONTEXT = SessionContext("s1", "test", "127.0.0.1:1", tls=False)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.calls: list[str] = []
        self.closing = False
        self.protocol: asyncio.BaseProtocol | None = None

    def get_protocol(self) -> Any:
        return self.protocol

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.closing = True
        self.calls.append("close")

    def abort(self) -> None:
        self.closing = True
        self.calls.append("abort")

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class Relay:
    """Answers every event with what the test put into ``script``."""

    def __init__(self) -> None:
        self.cancel_key: bytes | None = None
        self.upstream_cancel_key: bytes | None = None
        self.idle = False
        self.wants_downstream = self.wants_upstream = True
        self.script: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        def event(*arguments: object) -> list[Any]:
            answer = self.script.get(name, [])
            if isinstance(answer, Exception):
                raise answer
            return list(answer)

        return event


class Host:
    def __init__(self) -> None:
        self.asked: list[object] = []
        self.records: list[StatementRecord] = []
        self.audit_fails = False
        self.closings = 0
        self.openings = 0
        self.given_up = 0
        self.successors: list[Session] = []

    def answer(self, session: Session, ask: object) -> None:
        self.asked.append(ask)

    @property
    def recorder(self) -> Host:
        return self

    def commit(self, session: Session, ask: AskCommit) -> None:
        self.asked.append(ask)

    def record(self, session: Session, record: StatementRecord) -> None:
        if self.audit_fails:
            raise AuditError("disk full")
        self.records.append(record)

    def record_session(self, session: Session, kind: SessionEventKind, detail: str) -> None: ...

    def expires(self, session: Session) -> None: ...

    def approval_given_up(self, session: Session) -> None:
        self.given_up += 1

    def begin_again(self, session: Session, make: Callable[[str], adapter.Relay]) -> None:
        successor = Session(self, "s2", make("s2"), CONTEXT)
        self.successors.append(successor)
        assert session.give_client_to(successor)
        session.end(None)

    def opened(self, session: Session) -> None:
        self.openings += 1

    def closed(self, session: Session) -> None:
        self.closings += 1


class Stage:
    """A session with both sides connected. Make it inside a running loop."""

    def __init__(self) -> None:
        self.relay, self.host = Relay(), Host()
        self.session = Session(self.host, "s1", self.relay, CONTEXT)
        self.client, self.database = Transport(), Transport()
        self.from_client = ClientProtocol(self.session, lambda: None)
        self.from_client.connection_made(self.client)
        self.from_database = DatabaseProtocol(self.session)
        self.session.upstream = self.database


def play(story: Any) -> None:
    async def whole() -> None:
        story(Stage())

    asyncio.run(whole())


def record(outcome: Outcome) -> Record:
    ruling = Ruling(Decision(Effect.ALLOW, ""), Analysis(()), None, masked=False, redact_messages=False, intent=False)
    return Record(StatementRecord("s1-1", ruling, "SELECT 1", 0, outcome=outcome))


def test_all_that_one_read_produced_is_one_write_for_each_side() -> None:
    def story(stage: Stage) -> None:
        writes: list[bytes] = []
        stage.client.write = lambda data: writes.append(bytes(data))  # type: ignore[method-assign]
        stage.relay.script["receive_upstream"] = [SendDownstream(b"a"), SendUpstream(b"x"), SendDownstream(b"b")]
        stage.from_database.data_received(b"...")
        assert writes == [b"ab"]
        assert stage.database.written == b"x"

    play(story)


@pytest.mark.parametrize("answer", ["permitted", "refused"])
def test_what_comes_before_a_statement_that_waits_for_the_disk_goes_with_what_follows(answer: str) -> None:
    def story(stage: Stage) -> None:
        ask = AskCommit()
        stage.relay.script["receive_downstream"] = [SendUpstream(b"bind"), ask]
        stage.from_client.data_received(b"bind execute")
        assert stage.host.asked == [ask]
        assert stage.database.written == b"", "a database that gets a part is woken twice"
        stage.relay.script["answer"] = [SendUpstream(b" execute")] if answer == "permitted" else [SendDownstream(b"no")]
        stage.session.answered(ask, None)
        assert stage.database.written == (b"bind execute" if answer == "permitted" else b"bind")

    play(story)


@pytest.mark.parametrize("event", ["receive_downstream", "receive_upstream", "answer", "deadline_expired"])
def test_a_relay_that_fails_ends_the_session_and_tells_the_client(event: str) -> None:
    async def whole() -> None:
        stage = Stage()
        stage.relay.script[event] = IndexError("a bug")
        stage.relay.script["terminate"] = [SendDownstream(b"FATAL"), SendUpstream(b"X"), Close()]
        match event:
            case "receive_downstream":
                stage.from_client.data_received(b"q")
            case "receive_upstream":
                stage.from_database.data_received(b"r")
            case "answer":
                stage.session.answered(AskCancelUpstream(), None)
            case _:
                stage.session.run([SetDeadline(0.001, 7)])
                await asyncio.sleep(0.05)
        assert stage.session.ended
        assert stage.host.closings == 1
        assert stage.client.written == b"FATAL"
        assert stage.database.written == b"X"
        assert "close" in stage.database.calls

    asyncio.run(whole())


def test_a_relay_that_cannot_even_end_is_ended() -> None:
    def story(stage: Stage) -> None:
        stage.relay.script["receive_downstream"] = stage.relay.script["terminate"] = ValueError("worse")
        stage.from_client.data_received(b"q")
        assert stage.session.ended
        assert stage.host.closings == 1

    play(story)


def test_the_client_is_not_reset_while_it_may_still_be_sending() -> None:
    def story(stage: Stage) -> None:
        stage.relay.script["terminate"] = [SendDownstream(b"bye")]
        stage.session.terminate(GatewayShutdown("stop"))
        assert stage.client.calls == ["write_eof", "resume"], "only our direction is closed"
        stage.relay.script["receive_downstream"] = [SendDownstream(b"never")]
        stage.from_client.data_received(b"more")
        stage.from_client.pause_writing()
        assert stage.client.written == b"bye"
        assert stage.from_client.eof_received() is False, "and when the client has hung up too, all is closed"

    play(story)


def test_a_socket_that_is_closed_under_the_transport_does_not_keep_the_session() -> None:
    def story(stage: Stage) -> None:
        def fail() -> None:
            raise RuntimeError("the handle is closed")

        stage.client.write_eof = fail  # type: ignore[method-assign]
        stage.session.terminate(GatewayShutdown("stop"))
        assert stage.host.closings == 1
        assert stage.client.calls == ["abort"]
        assert "close" in stage.database.calls

    play(story)


def test_an_approval_that_nobody_waits_for_any_more_is_withdrawn() -> None:
    def story(stage: Stage) -> None:
        stage.session.run([WithdrawApproval()])
        assert stage.host.given_up == 1
        assert stage.host.asked == []

    play(story)


def test_a_session_given_up_before_its_socket_was_ready_does_not_begin() -> None:
    def story(stage: Stage) -> None:
        begun: list[int] = []
        session = Session(stage.host, "s2", Relay(), CONTEXT)
        session.end(None)
        late = Transport()
        ClientProtocol(session, lambda: begun.append(1)).connection_made(late)
        assert late.calls == ["abort"]
        assert not begun

    play(story)


def test_another_session_takes_over_the_client() -> None:
    def story(stage: Stage) -> None:
        second = Relay()
        stage.client.protocol = stage.from_client
        stage.relay.script["receive_downstream"] = [SendUpstream(b"bye"), BeginAgain(lambda session: second)]
        stage.from_client.data_received(b"as somebody else")
        assert stage.database.written == b"bye"
        assert "close" in stage.database.calls
        assert not stage.client.closing
        assert (stage.host.closings, stage.session.downstream) == (1, None)
        second.script["receive_downstream"] = [SendDownstream(b"welcome")]
        stage.from_client.data_received(b"a proof")
        assert stage.client.written == b"welcome"

    play(story)


def test_what_was_not_recorded_is_not_shown() -> None:
    def story(stage: Stage) -> None:
        stage.host.audit_fails = True
        stage.relay.script["receive_upstream"] = [SendDownstream(b"row"), record(Outcome.SUCCESS)]
        stage.relay.script["terminate"] = [SendDownstream(b"58030"), record(Outcome.LOST), Close()]
        stage.from_database.data_received(b"...")
        assert stage.client.written == b"58030"
        assert stage.session.ended

    play(story)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.SKIPPED])
def test_a_refusal_may_be_told_though_it_cannot_be_recorded(outcome: Outcome) -> None:
    def story(stage: Stage) -> None:
        stage.host.audit_fails = True
        stage.relay.script["receive_downstream"] = [record(outcome), SendDownstream(b"58030")]
        stage.from_client.data_received(b"q")
        assert stage.client.written == b"58030"
        assert not stage.session.ended

    play(story)


def test_a_slow_side_stops_the_other() -> None:
    def story(stage: Stage) -> None:
        stage.from_client.pause_writing()
        assert stage.database.calls == ["pause"]
        stage.from_client.resume_writing()
        assert stage.database.calls == ["pause", "resume"]
        stage.from_database.pause_writing()
        assert stage.client.calls == ["pause"]
        stage.relay.wants_downstream = False
        stage.from_database.resume_writing()
        assert stage.client.calls == ["pause"], "the relay does not want more either"

    play(story)


@pytest.mark.parametrize("downstream", [False, True])
def test_a_relay_that_has_more_goes_on_when_the_other_side_takes_it(downstream: bool) -> None:
    async def whole() -> None:
        stage = Stage()
        source: ClientProtocol | DatabaseProtocol = stage.from_database
        target: ClientProtocol | DatabaseProtocol = stage.from_client
        name, reader = "receive_upstream", stage.client
        if downstream:
            source, target, name, reader = target, source, "receive_downstream", stage.database
        piece: SendUpstream | SendDownstream = SendUpstream(b"piece") if downstream else SendDownstream(b"piece")
        target.pause_writing()
        stage.relay.script[name] = [piece, GoOn(downstream=downstream)]
        source.data_received(b"packed")
        await asyncio.sleep(0.01)
        assert reader.written == b"piece", "whoever takes nothing gets nothing more"
        stage.relay.script[name] = [piece]
        target.resume_writing()
        await asyncio.sleep(0.01)
        assert reader.written == b"piecepiece"
        stage.relay.script[name] = [piece, GoOn(downstream=downstream)]
        source.data_received(b"packed")
        stage.session.end(None)
        await asyncio.sleep(0.01)
        assert reader.written == b"piecepiecepiece", "and nothing after the end"

    asyncio.run(whole())


def test_when_a_slow_client_vanishes_the_database_is_heard_again() -> None:
    def story(stage: Stage) -> None:
        stage.from_client.pause_writing()
        stage.relay.script["eof_downstream"] = [AskCancelUpstream()]
        stage.from_client.connection_lost(None)
        assert stage.database.calls == ["pause", "resume"]
        assert not stage.session.ended
        stage.relay.script["receive_upstream"] = [Close()]
        stage.from_database.data_received(b"canceled")
        assert stage.session.ended

    play(story)


def test_the_login_is_over_when_the_relay_is_open() -> None:
    async def whole() -> None:
        late, open_ = Stage(), Stage()
        late.relay.script["terminate"] = [SendDownstream(b"too late")]
        for stage in (late, open_):
            stage.session.limit_login(0.02)
        open_.relay.idle = True
        open_.from_client.data_received(b"p")
        assert open_.host.openings == 1
        open_.relay.idle = False
        open_.from_client.data_received(b"q")
        assert open_.host.openings == 1
        await asyncio.sleep(0.08)
        assert late.session.ended
        assert late.client.written == b"too late"
        assert not open_.session.ended

    asyncio.run(whole())


def test_no_timer_keeps_a_session_that_is_over() -> None:
    async def whole() -> None:
        stage = Stage()
        session = stage.session
        session.limit_login(60)
        session.run([SetDeadline(60, 1)])
        error: GatewayError = GatewayShutdown("stop")
        session.terminate(error)
        stage.from_client.connection_lost(None)
        stage.from_database.connection_lost(None)
        scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        timers = [timer for timer in scheduled if not timer.cancelled()]
        assert not timers
        assert stage.host.closings == 1
        gone = weakref.ref(stage.client)
        del stage, session
        gc.collect()
        assert gone() is None

    asyncio.run(whole())
