"""MySQL clients that vanish, stop reading, say nonsense, guess, or come in crowds. All tests share one gateway."""

from __future__ import annotations

import signal
import socket
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pymysql
import pytest

from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.messages import ERR, Err
from gateway_mysql.wire.packets import packet
from tests.adversity.bed import ANA, FIGURES, RESOURCE, TOKENS
from tests.adversity.mysql.bed import MySqlBed, value
from tests.fixtures.waiting import eventually, seconds_until
from tests.integration.mysql.raw import RawClient

MEBIBYTE = 1024 * 1024
CROWD = 120
"""How many sessions the gateway allows."""
SLOW = "SELECT SLEEP(600) FROM people"


def _raw(bed: MySqlBed) -> RawClient:
    """A session that reads only when it is told to."""
    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    stream.settimeout(20)
    stream.connect(("127.0.0.1", bed.port))
    wanted = Capability.MULTI_RESULTS
    return RawClient(stream, user=ANA, password=TOKENS[ANA], database=RESOURCE, wanted=wanted)


def _quick_queries(bed: MySqlBed, count: int) -> float:
    """The slowest of so many queries in a new session, seconds."""
    slowest = 0.0
    with closing(bed.connect()) as session:
        for number in range(count):
            start = time.monotonic()
            assert value(session, f"SELECT {number}") == number
            slowest = max(slowest, time.monotonic() - start)
    return slowest


def test_a_killed_client_leaves_nothing_running(running_mysql_bed: MySqlBed) -> None:
    bed = running_mysql_bed
    client = bed.shell(SLOW)
    eventually(lambda: bed.running("SLEEP(600)") == 1)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    gone = seconds_until(lambda: bed.running("SLEEP(600)") == 0)
    eventually(lambda: bed.sessions() == 0)
    eventually(lambda: bed.connections() == 0)
    FIGURES.info(f"the query was gone {gone:.2f} s after its client")
    # The last word of the database is in the audit, although nobody was there to hear it.
    eventually(lambda: ("failure", "1317") in bed.outcomes(SLOW))


def test_many_clients_that_vanish_at_once(running_mysql_bed: MySqlBed) -> None:
    bed = running_mysql_bed
    before = bed.descriptors()
    clients = [_raw(bed) for _ in range(20)]
    for client in clients:
        client.send(b"\x03" + SLOW.encode())
    eventually(lambda: bed.running("SLEEP(600)") == 20)
    for client in clients:
        client.socket.close()
    eventually(lambda: bed.running("SLEEP(600)") == 0)
    eventually(lambda: bed.sessions() == 0)
    eventually(lambda: bed.descriptors() <= before + 2)


def test_a_client_that_stops_reading_costs_little_and_may_go_on(running_mysql_bed: MySqlBed) -> None:
    bed = running_mysql_bed
    _quick_queries(bed, 20)
    with _raw(bed) as reader:
        before = bed.memory()
        rows = 40_000
        reader.send(f"\x03SELECT seq, REPEAT('x', 1000) FROM seq_1_to_{rows}".encode())
        # It has begun, and it has come to a stand: the database waits until it can send more.
        eventually(lambda: bed.running("seq_1_to_") == 1)
        slowest = _quick_queries(bed, 50)
        growth = bed.memory() - before
        FIGURES.info(f"{rows} rows wait: {growth / MEBIBYTE:.2f} MiB more, slowest other query {slowest * 1000:.0f} ms")
        assert growth < 4 * MEBIBYTE
        assert bed.running("seq_1_to_") == 1
        packets = [reader.packet() for _ in range(rows + 5)]
        assert packets[0] == b"\2"
        assert len(packets[-2]) == 1 + len(str(rows)) + 3 + 1000
        assert packets[-1][:1] == b"\xfe"


def test_a_client_that_stops_reading_and_vanishes_is_forgotten(running_mysql_bed: MySqlBed) -> None:
    bed = running_mysql_bed
    with _raw(bed) as reader:
        reader.send(b"\x03SELECT REPEAT('x', 1000) FROM seq_1_to_1000000")
        eventually(lambda: bed.running("seq_1_to_") == 1)
    eventually(lambda: bed.running("seq_1_to_") == 0)
    eventually(lambda: bed.sessions() == 0)


@pytest.mark.parametrize(
    ("what", "said", "code"),
    [
        ("a command out of order", packet(b"\x03SELECT 1", 5), 1835),
        ("a command without a byte", packet(b"", 0), 1835),
        ("a length above the limit", b"\xff\xff\x7f\0\x03INSERT INTO items VALUES (1, '" + b"x" * 1000, 1153),
        ("a text above the limit", packet(b"\x03SELECT '" + b"x" * (3 * MEBIBYTE), 0), 1153),
        ("an execution that is too short", packet(b"\x17\1", 0), 1835),
        ("long data that is too short", packet(b"\x18\1", 0), 1835),
    ],
)
def test_broken_commands_end_the_session_with_an_error(
    running_mysql_bed: MySqlBed, what: str, said: bytes, code: int
) -> None:
    bed = running_mysql_bed
    with _raw(bed) as client:
        client.socket.sendall(said)
        answer = client.packet()
        assert answer[0] == ERR
        assert Err.decode(answer).code == code
        with pytest.raises(EOFError):
            client.packet()
    eventually(lambda: bed.sessions() == 0)


def test_half_a_command_never_runs(running_mysql_bed: MySqlBed) -> None:
    bed = running_mysql_bed
    bed.upstream("TRUNCATE items")
    whole = packet(b"\x03INSERT INTO items VALUES (1, 'half')", 0)
    clients = [_raw(bed) for _ in range(5)]
    for number, client in enumerate(clients, 1):
        client.socket.sendall(whole[: number * 7])
        client.socket.close()
    eventually(lambda: bed.sessions() == 0)
    eventually(lambda: bed.connections() == 0)
    assert bed.upstream("SELECT COUNT(*) FROM items") == "0"


def test_silent_and_dawdling_clients_are_sent_away_and_hold_up_nobody(running_mysql_bed: MySqlBed) -> None:
    bed = running_mysql_bed
    said = (b"", b"\xff", b"\x20\0\0\1" + b"\x85\xa6\3\0", b"\xff\xff\0\1")
    silent = [socket.create_connection(("127.0.0.1", bed.port)) for _ in range(40)]
    for number, client in enumerate(silent):
        client.sendall(said[number % len(said)])
    assert _quick_queries(bed, 5) < 2
    start = time.monotonic()
    for client in silent:
        client.settimeout(15)
        while client.recv(1000):
            pass
        client.close()
    FIGURES.info(f"sent away after {time.monotonic() - start:.1f} s")
    assert _quick_queries(bed, 5) < 2
    eventually(lambda: bed.sessions() == 0)


def test_a_handshake_that_is_too_long_is_refused_at_once(running_mysql_bed: MySqlBed) -> None:
    with socket.create_connection(("127.0.0.1", running_mysql_bed.port)) as client:
        client.settimeout(1.5)  # less than a login may take
        client.sendall(b"\xff\xff\xff\1" + b"\x85\xa6\3\0" * 100)
        received = b""
        try:
            while piece := client.recv(1000):
                received += piece
        except ConnectionResetError:
            pass
        assert received[4] == 10  # the greeting, and the end
    eventually(lambda: running_mysql_bed.sessions() == 0)


# --- guessing ---------------------------------------------------------------------------------------------------------


def _refusal(bed: MySqlBed, user: str) -> tuple[int, str]:
    with pytest.raises(pymysql.err.OperationalError) as caught:
        bed.connect(user, password="qg_wrong-token-wrong-token")
    code, text = caught.value.args
    return code, text.partition(" [reference")[0]


def _failed_logins(bed: MySqlBed) -> int:
    return [event["metadata"]["event_code"] for event in bed.audit()].count("session.login_failed")


def test_guesses_learn_nothing_and_hold_up_nobody(running_mysql_bed: MySqlBed) -> None:
    bed = running_mysql_bed
    before = _failed_logins(bed)
    users = [ANA if number % 2 else f"nobody{number}@example.com" for number in range(40)]
    with closing(bed.connect()) as session, ThreadPoolExecutor(8) as guessers:
        guesses = [guessers.submit(_refusal, bed, user) for user in users]
        times = []
        while not all(guess.done() for guess in guesses):
            start = time.monotonic()
            assert value(session, "SELECT 1") == 1
            times.append(time.monotonic() - start)
            time.sleep(0.002)
        answers = {guess.result() for guess in guesses}
    assert answers == {(1045, "authentication failed")}
    FIGURES.info(f"while others guess: median {statistics.median(times) * 1000:.1f} ms of {len(times)} queries")
    assert statistics.median(times) < 0.5
    eventually(lambda: _failed_logins(bed) == before + len(users))
    eventually(lambda: bed.sessions() == 0)


# --- crowds -----------------------------------------------------------------------------------------------------------


def test_more_sessions_than_allowed_get_a_native_error_and_nothing_stays(running_mysql_bed: MySqlBed) -> None:
    bed = running_mysql_bed
    _quick_queries(bed, 5)
    memory, descriptors = bed.memory(), bed.descriptors()
    with ExitStack() as stack, ThreadPoolExecutor(16) as pool:
        let_in = [stack.enter_context(closing(one)) for one in pool.map(lambda _: bed.connect(), range(CROWD))]
        assert list(pool.map(lambda one: value(one, "SELECT 40 + 2"), let_in)) == [42] * CROWD
        per_session = (bed.memory() - memory) / CROWD
        FIGURES.info(f"per session: {per_session / 1024:.1f} KiB")
        assert per_session < 200 * 1024
        refused: list[pymysql.err.MySQLError] = []
        lock = threading.Lock()

        def too_many(_: int) -> None:
            with pytest.raises(pymysql.err.MySQLError) as caught:
                bed.connect()
            with lock:
                refused.append(caught.value)

        list(pool.map(too_many, range(20)))
        assert {error.args[0] for error in refused} == {1226}
        assert all("too many sessions" in error.args[1] for error in refused)
        assert list(pool.map(lambda one: value(one, "SELECT 40 + 3"), let_in)) == [43] * CROWD
    eventually(lambda: bed.sessions() == 0)
    eventually(lambda: bed.connections() == 0)
    eventually(lambda: bed.descriptors() <= descriptors + 2)
    assert _quick_queries(bed, 1) < 2
