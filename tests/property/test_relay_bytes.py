"""What the relay does depends on the bytes, never on how they arrive; and no bytes do it any harm."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_postgres.wire.codec import frame
from tests.plugins.postgres.transcripts.kit import (
    GREETING,
    Host,
    ProbeAnswer,
    Stage,
    Transcript,
    built,
    split,
    transcripts,
)

FOLDER = Path(__file__).parents[1] / "plugins" / "postgres" / "transcripts"
ALL = transcripts(FOLDER)
_BYTES = re.compile(r">> (client|server) (?!eof)(.*)")
_STARTUP = struct.pack("!II", 46, 3 << 16) + b"user\0ana@example.com\0database\0shop-prod\0\0"
_LOGIN = [("client", _STARTUP), ("client", frame(ord("p"), b"token\0")), ("server", GREETING)]
BIG = 17 * 1024 * 1024

Cut = Callable[[bytes], Iterator[bytes]]


@dataclass(frozen=True)
class Result:
    """Everything that a session came to, without how it was cut."""

    to_client: bytes
    to_server: bytes
    records: list[tuple[object, ...]]
    closed: bool


class Sink(Stage):
    """A stage that only collects."""

    def result(self) -> Result:
        records: list[tuple[object, ...]] = [
            (
                record.outcome,
                record.text,
                record.code,
                record.rows,
                record.bytes_out,
                record.masked_cells,
                record.intent,
            )
            for record in self.records
        ]
        return Result(self._client, self._server, records, self.closed)


def perform(transcript: Transcript, cut: Cut) -> Result:
    """Play a transcript with its bytes cut in pieces."""
    stage = Sink()
    stage.open()
    for line in transcript.lines:
        if line.startswith("<<"):
            continue
        found = _BYTES.fullmatch(line)
        if found is None:
            stage.play(line)
            continue
        give = stage.client if found[1] == "client" else stage.server
        for piece in cut(built(found[2])):
            give(piece)
    return stage.result()


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def by_bytes(data: bytes) -> Iterator[bytes]:
    for position in range(len(data)):
        yield data[position : position + 1]


def test_login_included_every_byte_may_come_alone() -> None:
    stage, alone = Sink(), Sink()
    talk = [*_LOGIN, ("server", ProbeAnswer("public", "none", "gateway")), ("client", built("Query('select 1')"))]
    for side, data in talk:
        getattr(stage, side)(data)
        for piece in by_bytes(data):
            getattr(alone, side)(piece)
    assert alone.result() == stage.result()


@pytest.mark.parametrize("transcript", ALL, ids=[f"{one.place} {one.title}" for one in ALL])
def test_no_cut_makes_a_difference(transcript: Transcript) -> None:
    expected = perform(transcript, whole)
    assert perform(transcript, by_bytes) == expected
    longest = max((len(built(found[2])) for line in transcript.lines if (found := _BYTES.fullmatch(line))), default=0)
    for position in range(1, longest):
        assert perform(transcript, lambda data: iter((data[:position], data[position:]))) == expected, position  # noqa: B023


@given(st.sampled_from(ALL), st.randoms(use_true_random=False))
def test_no_cuts_make_a_difference(transcript: Transcript, chance: random.Random) -> None:
    def cut(data: bytes) -> Iterator[bytes]:
        while data:
            size = chance.randint(1, len(data))
            yield data[:size]
            data = data[size:]

    assert perform(transcript, cut) == perform(transcript, whole)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("piece", [1 << 16, 1 << 20, BIG * 2])
def test_messages_beyond_sixteen_mebibytes(masked: bool, piece: int) -> None:
    def cut(data: bytes) -> Iterator[bytes]:
        for position in range(0, len(data), piece):
            yield data[position : position + piece]

    stage = Sink()
    stage.open()
    if masked:
        stage.host.given(["masked"])
    text = b"select '" + b"x" * BIG + b"' as a"
    for part in cut(frame(ord("Q"), text, b"\0")):
        stage.client(part)
    assert stage._server == frame(ord("Q"), text, b"\0")
    row = frame(ord("D"), struct.pack("!Hi", 1, BIG), b"y" * BIG)
    answer = built("Fields('a')") + row + built("CommandComplete('SELECT 1') + Ready('I')")
    for part in cut(answer):
        stage.server(part)
    assert stage._client == answer
    (record,) = stage.records
    assert (record.rows, record.bytes_out) == (1, len(row))


# --- harm ------------------------------------------------------------------------------------------------------------


def captured() -> list[list[tuple[str, bytes]]]:
    """Conversations to be spoilt: who sends what."""
    found = []
    for transcript in ALL:
        talk = [(m[1], built(m[2])) for line in transcript.lines if (m := _BYTES.fullmatch(line))]
        found.append([*_LOGIN, ("server", ProbeAnswer("public", "none", "gateway")), *talk])
    return found


CAPTURED = captured()


def spoil(data: bytes, chance: random.Random) -> bytes:
    """Change some bytes, lose some, repeat some, or lie about a length."""
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(spoilt) + 1)
        match chance.randrange(5):
            case 0:
                spoilt[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del spoilt[at : at + chance.randint(1, 8)]
            case 2:
                spoilt[at:at] = spoilt[at : at + chance.randint(1, 40)]
            case 3:
                spoilt[at:at] = chance.randbytes(chance.randint(1, 12))
            case _:
                if len(spoilt) >= 5:
                    struct.pack_into("!I", spoilt, 1, chance.choice([0, 3, 4, 5, 100, 1 << 20, 1 << 29, 0xFFFFFFFF]))
    return bytes(spoilt)


def is_clean(stage: Sink, received: int) -> None:
    """If the session is over then with at most one FATAL error, which is the last that the client hears."""
    assert len(stage._client) <= 4 * received + 4096
    assert len(stage._server) <= 4 * received + 4096
    if not stage.closed:
        return
    tail = stage._client.rfind(b"SFATAL\0")
    if tail >= 5:
        ((kind, _),) = split(stage._client[tail - 5 :])
        assert kind == "E"
    before = len(stage._client)
    stage.client(b"Q\0\0\0\x0dselect 1\0")
    stage.server(built("Ready('I')"))
    assert len(stage._client) == before


def hold(talk: list[tuple[str, bytes]], chance: random.Random, host: Host) -> None:
    stage = Sink(host)
    received = 0
    for side, data in talk:
        received += len(data)
        give = stage.client if side == "client" else stage.server
        at = chance.randrange(len(data) + 1)
        give(data[:at])
        give(data[at:])
    if chance.random() < 0.3:
        stage.play(chance.choice([">> client eof", ">> server eof", ">> terminate"]))
    is_clean(stage, received)


@pytest.mark.parametrize("side", ["client", "server"])
@given(st.sampled_from(CAPTURED), st.randoms(use_true_random=False), st.booleans())
def test_a_spoilt_conversation_ends_cleanly_or_goes_on(
    side: str, talk: list[tuple[str, bytes]], chance: random.Random, masked: bool
) -> None:
    host = Host()
    if masked:
        host.given(["masked", chance.choice(["redact", "fails", "broken"])])
    which = chance.choice([index for index, (who, _) in enumerate(talk) if who == side] or [0])
    hold(
        [(who, spoil(data, chance) if index == which else data) for index, (who, data) in enumerate(talk)], chance, host
    )


@given(
    st.lists(st.tuples(st.sampled_from(["client", "server"]), st.binary(max_size=60)), max_size=8), st.integers(0, 4)
)
def test_random_bytes_at_any_time(noise: list[tuple[str, bytes]], after: int) -> None:
    start = [*_LOGIN, ("server", ProbeAnswer("public", "none", "gateway"))][:after]
    hold([*start, *noise], random.Random(0), Host())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["client", "server"]),
            st.sampled_from(b"QPBDECSHXFdcfp123TDCZIEGHWtnsNAKRVv"),
            st.binary(max_size=30),
        ),
        max_size=12,
    )
)
def test_whole_messages_with_random_bodies(messages: list[tuple[str, int, bytes]]) -> None:
    start = [*_LOGIN, ("server", ProbeAnswer("public", "none", "gateway"))]
    hold([*start, *((side, frame(kind, body)) for side, kind, body in messages)], random.Random(1), Host())


def test_an_unfinished_message_takes_no_more_memory_than_was_sent() -> None:
    stage = Sink()
    stage.open()
    stage.client(b"Q" + struct.pack("!I", 200 * 1024 * 1024))
    for _ in range(100):
        stage.client(b"x" * 1000)
    client = stage.relay._client
    assert client is not None
    assert client.held.size == 5 + 100_000
