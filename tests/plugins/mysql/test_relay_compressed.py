"""Compression on either side changes nothing but the frames around the bytes."""

from __future__ import annotations

import random

import pytest

from gateway.errors import ConfigurationError
from gateway.protocol.effects import Close, Effect, GoOn, SendDownstream, SendUpstream
from gateway_mysql.options import UpstreamOptions
from gateway_mysql.wire.capabilities import NONE, Capability
from gateway_mysql.wire.commands import Command
from gateway_mysql.wire.messages import Ok, PrepareOk, Status
from gateway_mysql.wire.packets import FULL, HEADER, packet
from tests.plugins.mysql.frames import ZLIB, ZSTD, frame, read_frames
from tests.plugins.mysql.kit import Bed, column, query

FLAGS = {"": NONE, ZLIB: Capability.COMPRESS, ZSTD: Capability.ZSTD}
SIDES = pytest.mark.parametrize(
    ("down", "up"), [(ZLIB, ""), (ZSTD, ""), ("", ZLIB), ("", ZSTD), (ZLIB, ZSTD), (ZSTD, ZLIB), (ZLIB, ZLIB)]
)
STEPS = pytest.mark.parametrize("step", [0, 1, 7])
COLUMNS = [column("id", 3), column("email")]


class PackedBed(Bed):
    """A session whose sides are compressed; ``down`` and ``up`` are what comes out of the frames."""

    def __init__(self, down: str, up: str, *, masked: bool = False) -> None:
        super().__init__(masked=masked)
        self.algorithms = (down, up)
        self.flags |= FLAGS[down]
        self.offered |= Capability.COMPRESS | Capability.ZSTD
        self.server_flags |= Capability.COMPRESS | Capability.ZSTD
        if up:
            self.parameters = {"compression_algorithms": up}
        self.down_packed = self.up_packed = False
        self.numbers: list[int] = []
        """Of the frames that the client got since it said something last."""
        self.turns = 0
        """How often the relay asked to be called again."""
        self.chance = random.Random(down + up)

    def log_in(self, *, step: int = 0) -> None:
        super().log_in(step=step)
        self.numbers = []

    def accept(self, *, step: int = 0) -> None:
        # The server's word is the last without frames; what the gateway says next has them.
        self.up_packed = bool(self.algorithms[1])
        Bed.server(self, packet(Ok().encode(), 2), step=step)
        self.down_packed = bool(self.algorithms[0])

    def run(self, effects: list[Effect]) -> None:
        plain: list[Effect] = []
        for effect in effects:
            if isinstance(effect, SendDownstream) and self.down_packed:
                for number, body in read_frames(bytes(effect.data), self.algorithms[0]):
                    self.numbers.append(number)
                    plain.append(SendDownstream(body))
            elif isinstance(effect, SendUpstream) and self.up_packed:
                frames = read_frames(bytes(effect.data), self.algorithms[1])
                assert [number for number, _ in frames] == list(range(len(frames)))
                plain += [SendUpstream(body) for _, body in frames]
            else:
                plain.append(effect)
        super().run(plain)
        for effect in effects:
            if isinstance(effect, GoOn):
                self.turns += 1
                receive = self.relay.receive_downstream if effect.downstream else self.relay.receive_upstream
                self.run(receive(b""))

    def client(self, data: bytes, *, step: int = 0) -> None:
        """One command or more, each behind a frame's number 0."""
        if self.down_packed:
            self.numbers = []
            data = b"".join(self.frames(command, 0, self.algorithms[0]) for command in _commands(data))
        super().client(data, step=step)

    def server(self, data: bytes, *, step: int = 0) -> None:
        super().server(self.frames(data, 1, self.algorithms[1]) if self.up_packed else data, step=step)

    def frames(self, data: bytes, number: int, algorithm: str) -> bytes:
        frames: list[bytes] = []
        while data:
            size = self.chance.randint(1, 200) if len(data) < 100_000 else 1 << 20
            frames.append(frame(data[:size], number + len(frames), self.chance.choice(("", algorithm))))
            data = data[size:]
        return b"".join(frames)


def _commands(data: bytes) -> list[bytes]:
    """Whole commands, each of all its packets."""
    found: list[bytes] = []
    position = 0
    while position < len(data):
        start, size = position, FULL
        while size == FULL:
            size = int.from_bytes(data[position : position + 3], "little")
            position += HEADER + size
        found.append(data[start:position])
    return found


def dialogue(bed: Bed, step: int) -> list[tuple[bytes, bytes]]:
    """What both sides get of a session with most kinds of commands."""
    bed.log_in(step=step)
    got: list[tuple[bytes, bytes]] = []

    def next_is(command: bytes, answer: bytes = b"") -> None:
        bed.client(command, step=step)
        if answer:
            bed.server(answer, step=step)
        got.append((bed.down, bed.up))
        bed.down = bed.up = b""

    rows: list[list[bytes | None]] = [[b"%d" % number, b"somebody@example.com"] for number in range(60)]
    next_is(query("SELECT 1"), bed.rows(COLUMNS, rows))
    next_is(query("SELECT denied"))
    prepared = packet(PrepareOk(statement=7, columns=0, parameters=0, warnings=0).encode(), 1)
    next_is(packet(bytes((Command.STMT_PREPARE,)) + b"INSERT INTO t VALUES (1)", 0), prepared)
    number = (7).to_bytes(4, "little")
    execute = packet(bytes((Command.STMT_EXECUTE,)) + number + b"\0\1\0\0\0", 0)
    ahead = packet(bytes((Command.STMT_SEND_LONG_DATA,)) + number + b"\0\0" + b"z" * 300, 0)
    next_is(ahead * 3 + execute, packet(Ok(affected=1).encode(), 1))
    next_is(packet(bytes((Command.STMT_CLOSE,)) + number, 0) + query("SELECT denied") + query("SELECT denied"))
    next_is(packet(bytes((Command.PING,)), 0), packet(Ok().encode(), 1))
    next_is(query("INSERT INTO t VALUES ('" + "long " * 500 + "')"), packet(Ok(affected=1).encode(), 1))
    next_is(query("SELECT 1"), packet(b"\xff\x48\4#42000what is that", 1))
    return got


@SIDES
@STEPS
@pytest.mark.parametrize("masked", [False, True])
def test_both_sides_get_what_they_get_without(down: str, up: str, step: int, masked: bool) -> None:
    expected, bed = dialogue(Bed(masked=masked), 0), PackedBed(down, up, masked=masked)
    assert dialogue(bed, step) == expected
    assert bed.outcomes() == ["success", "refused", "success", "refused", "refused", "success", "failure"]
    assert bed.relay.idle


@pytest.mark.parametrize("up", [ZLIB, ZSTD])
@pytest.mark.parametrize("masked", [False, True])
def test_numbers_that_a_server_begins_anew_do_not_reach_the_client(up: str, masked: bool) -> None:
    plain, bed = Bed(masked=masked), PackedBed("", up, masked=masked)
    more = int(Status.AUTOCOMMIT | Status.MORE_RESULTS)
    for one, sequence in ((plain, 7), (bed, 2)):
        one.log_in()
        one.client(query("SELECT 1; SELECT 2"))
        one.server(one.rows(COLUMNS, [[b"1", b"a@b.c"]], status=more) + one.rows(COLUMNS, [], sequence=sequence))
    assert bed.down == plain.down
    assert [payload[3] for payload in _commands(bed.down)] == list(range(1, 12))


@pytest.mark.parametrize("algorithm", [ZLIB, ZSTD])
def test_an_answers_frames_follow_those_of_its_own_command(algorithm: str) -> None:
    """Commands may be sent ahead: each answer is numbered as if the next were not there yet."""
    bed = PackedBed(algorithm, "")
    bed.log_in()
    bed.client(query("SELECT denied") * 3)
    assert bed.numbers == [1, 1, 1] if len(query("SELECT denied")) < 200 else bed.numbers
    bed.client(query("SELECT 1") + query("SELECT denied"))
    assert bed.numbers == []
    bed.server(bed.rows(COLUMNS, [[b"1", b"a@b.c"]]))
    assert bed.numbers == [1, 1]


@pytest.mark.parametrize("algorithm", [ZLIB, ZSTD])
def test_a_clients_bomb_is_unpacked_piece_by_piece(algorithm: str) -> None:
    """A chunk of frames that stands for 150 MiB: the driver gets 2 MiB at a time, and 1 MiB is in each."""
    bed = PackedBed(algorithm, "")
    bed.log_in()
    bed.client(packet(bytes((Command.STMT_PREPARE,)) + b"SELECT ?", 0))
    bed.server(packet(PrepareOk(statement=7, columns=0, parameters=0, warnings=0).encode(), 1))
    ahead = packet(bytes((Command.STMT_SEND_LONG_DATA,)) + b"\7\0\0\0\0\0" + bytes(1 << 20), 0)
    one = frame(ahead, 0, algorithm)
    effects = bed.relay.receive_downstream(one * 150)
    total = calls = 0
    while effects:
        size = sum(len(effect.data) for effect in effects if isinstance(effect, SendUpstream))
        assert size <= 2 * len(ahead)
        total, calls = total + size, calls + 1
        more = [effect for effect in effects if isinstance(effect, GoOn)]
        assert bed.relay.wants_downstream is not bool(more)
        assert all(effect.downstream for effect in more)
        effects = bed.relay.receive_downstream(b"") if more else []
    assert (total, calls >= 75) == (150 * len(ahead), True)


@pytest.mark.parametrize("algorithm", [ZLIB, ZSTD])
def test_a_servers_large_answer_is_unpacked_piece_by_piece(algorithm: str) -> None:
    bed = PackedBed("", algorithm)
    bed.log_in()
    bed.client(query("SELECT 1"))
    bed.server(bed.rows(COLUMNS, [])[:-9])
    one = frame(packet(b"\0\xfd\xf0\xff\x0f" + bytes(0x0FFFF0), 1), 1, algorithm)
    effects = bed.relay.receive_upstream(one * 150)
    total = 0
    while effects:
        size = sum(len(effect.data) for effect in effects if isinstance(effect, SendDownstream))
        assert size < 3 << 20
        total += size
        more = [effect for effect in effects if isinstance(effect, GoOn)]
        assert bed.relay.wants_upstream is not bool(more)
        effects = bed.relay.receive_upstream(b"") if more else []
    assert total == 150 * (0x0FFFF0 + 5 + HEADER)


@pytest.mark.parametrize("algorithm", [ZLIB, ZSTD])
def test_commands_sent_ahead_wait_as_they_came(algorithm: str) -> None:
    """While an answer is outstanding nothing is unpacked, and above a limit nothing is read."""
    bed = PackedBed(algorithm, "")
    bed.log_in()
    bed.client(query("SELECT 1"))
    bomb = frame(query("SELECT '" + "x" * 500_000 + "'"), 0, algorithm)
    bed.run(bed.relay.receive_downstream(bomb))
    read = [bed.relay.wants_downstream]
    bed.run(bed.relay.receive_downstream(bomb * (1 + 70_000 // len(bomb))))
    read.append(bed.relay.wants_downstream)
    assert read == [True, False]
    assert bed.up == query("SELECT 1")
    bed.up = b""
    bed.server(bed.rows(COLUMNS, []))
    assert bed.up == query("SELECT '" + "x" * 500_000 + "'")


@pytest.mark.parametrize(
    ("side", "kind"),
    [("client", "lie"), ("client", "nonsense"), ("client", "oversized"), ("server", "lie"), ("server", "nonsense")],
)
@pytest.mark.parametrize("algorithm", [ZLIB, ZSTD])
def test_what_cannot_be_unpacked_ends_the_session_with_an_error(side: str, algorithm: str, kind: str) -> None:
    bed = PackedBed(algorithm, "") if side == "client" else PackedBed("", algorithm)
    bed.log_in()
    wires = {
        "lie": frame(b"x" * 1000, 1, algorithm).replace((1000).to_bytes(3, "little"), (999).to_bytes(3, "little"), 1),
        "nonsense": (20).to_bytes(3, "little") + b"\1" + (999).to_bytes(3, "little") + b"n" * 20,
        "oversized": bed.frames(packet(bytes(41 << 20), 0), 0, algorithm),
    }
    if side == "server":
        bed.client(query("SELECT 1"))
        bed.run(bed.relay.receive_upstream(wires[kind]))
    else:
        bed.run(bed.relay.receive_downstream(wires[kind]))
    assert bed.closed
    assert bed.down[HEADER] == 0xFF
    assert bed.outcomes() == (["lost"] if side == "server" else [])


# --- what a resource says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "server", "chosen"),
    [
        ({}, Capability.COMPRESS | Capability.ZSTD, NONE),
        ({"compression_algorithms": "uncompressed"}, Capability.COMPRESS, NONE),
        ({"compression_algorithms": "zstd,zlib"}, Capability.COMPRESS | Capability.ZSTD, Capability.ZSTD),
        ({"compression_algorithms": " zstd, zlib"}, Capability.COMPRESS, Capability.COMPRESS),
        ({"compression_algorithms": "zlib"}, Capability.COMPRESS | Capability.ZSTD, Capability.COMPRESS),
        ({"compression_algorithms": "zstd,uncompressed"}, Capability.COMPRESS, NONE),
    ],
)
def test_the_first_algorithm_that_the_server_has_is_used(
    parameters: dict[str, str], server: Capability, chosen: Capability
) -> None:
    assert UpstreamOptions.read(parameters).choose(server) == chosen


def test_a_server_without_any_of_them_is_not_used() -> None:
    bed = PackedBed("", ZSTD)
    bed.server_flags &= ~Capability.ZSTD
    with pytest.raises(AssertionError, match="nothing was sent to the server"):
        bed.log_in()
    assert bed.closed
    assert b"\xff" in bed.down


@pytest.mark.parametrize(
    "parameters",
    [
        {"compression_algorithms": "gzip"},
        {"compression_algorithms": ""},
        {"compresion_algorithms": "zlib"},
        {"zstd_compression_level": "0"},
        {"zstd_compression_level": "23"},
        {"zstd_compression_level": "three"},
    ],
)
def test_parameters_that_make_no_sense_are_told(parameters: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(parameters))):
        UpstreamOptions.read(parameters)


def test_a_session_under_such_parameters_is_refused() -> None:
    bed = Bed()
    bed.parameters = {"compression_algorithms": "gzip"}
    with pytest.raises(AssertionError, match="nothing was sent to the server"):
        bed.log_in()
    assert bed.closed
    assert isinstance(bed.relay.eof_downstream(), list)
    assert not any(isinstance(effect, Close) for effect in bed.relay.eof_downstream())
