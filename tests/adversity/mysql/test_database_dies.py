"""The MariaDB behind the gateway is killed under load and comes back, or says what no server may say."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

import pymysql
import pytest

from gateway_mysql.wire.messages import Eof
from gateway_mysql.wire.packets import packet
from tests.adversity.bed import FIGURES
from tests.adversity.mysql.bed import MySqlBed, Spoiler, Writers, statements_by_row, value
from tests.fixtures.waiting import eventually
from tests.plugins.mysql.kit import column

GONE = 1053
"""What a client is told of a database that is not there any more, or not yet."""
HUNG_UP = {0, 2006, 2013}
"""What the driver says of its own accord where the gateway ended a session in which nothing ran."""


def test_killed_under_load_and_back(mysql_bed: MySqlBed) -> None:
    bed = mysql_bed
    bed.start()
    writers = Writers(bed)
    heard: list[BaseException] = []
    slow = bed.connect(read_timeout=60)

    def wait() -> None:
        try:
            value(slow, "SELECT SLEEP(77) FROM people")
        except pymysql.err.MySQLError as error:
            heard.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    with writers.running(12):
        eventually(lambda: len(writers.written) > 100 and bed.running("SLEEP(77)") == 1, within=20)
        bed.server.kill()
        eventually(lambda: len(writers.failures) > 12)
        bed.server.restart()
        back = time.monotonic()
        eventually(lambda: sum(moment > back for moment in list(writers.written.values())) > 50, within=20)
    waiting.join()
    assert [error.args[0] for error in heard] == [GONE]

    codes = {error.args[0] for _, error in writers.failures}
    assert GONE in codes
    assert codes <= {GONE} | HUNG_UP, writers.failures[:5]
    after = min(moment - back for moment in writers.written.values() if moment > back)
    FIGURES.info(
        f"{len(writers.written)} rows, {len(writers.failures)} errors, first row {after:.2f} s after the restart"
    )
    assert bed.health()[0] == 200
    assert bed.gateway is not None
    assert bed.gateway.stop() == 0

    audited = statements_by_row(bed)
    for number in writers.written:
        assert audited[number] == [("intent", ""), ("success", "")], number
    stored = {int(line) for line in bed.upstream("SELECT id FROM items").splitlines()}
    assert writers.written.keys() <= stored
    assert stored <= audited.keys()
    for row, error in writers.failures:
        if row is not None and row in audited:
            # What was under way is told by the gateway, whatever became of it; what never ran may not be stored.
            assert audited[row][-1][0] in {"lost", "failure", "skipped"}, audited[row]
            assert error.args[0] == GONE or audited[row][-1][0] == "skipped", (audited[row], error)
    assert not any(audited[number][-1][0] == "skipped" for number in stored)
    assert bed.outcomes("SELECT SLEEP(77) FROM people") == [("lost", "")]
    assert bed.verify().returncode == 0


RESULT = b"".join(
    packet(payload, number)
    for number, payload in enumerate((b"\1", column("x").encode(), Eof(status=2).encode(), b"\3one"), 1)
)


def _ask_both(session: Any, text: str) -> None:
    """The second question, too: the first of two answers is a good one."""
    value(session, text)
    value(session, "SELECT 1")


@pytest.mark.parametrize(
    ("what", "answer", "hang_up", "code"),
    [
        ("nothing", b"", True, GONE),
        ("half a packet", packet(b"\0\0\0\2\0\0\0", 1)[:6], True, GONE),
        ("a result cut off between rows", RESULT, True, GONE),
        ("a result cut off within a row", RESULT + packet(b"\3two", 5)[:6], True, 0),
        ("a length above the limit", b"\xff\xff\x7f\1" + b"\0" * 1000, False, 1153),
        ("an empty packet", packet(b"", 1), False, 1835),
        ("a request for a file", packet(b"\xfb/etc/passwd", 1), False, 1835),
        ("an impossible number of columns", packet(b"\xfd\xff\xff\xff", 1), False, 1835),
        ("two answers", packet(b"\0\0\0\2\0\0\0", 1) * 2, False, 1835),
    ],
)
def test_a_broken_answer_is_an_error_and_ends_that_session_alone(
    spoiled_bed: MySqlBed, spoiler: Spoiler, what: str, answer: bytes, hang_up: bool, code: int
) -> None:
    bed = spoiled_bed
    spoiler.answer, spoiler.hang_up = answer, hang_up
    with closing(bed.connect()) as other, closing(bed.connect()) as session:
        text = f"SELECT '{Spoiler.MARK.decode()}', '{what}'"
        started = time.monotonic()
        with pytest.raises(pymysql.err.MySQLError) as caught:
            _ask_both(session, text)
        # In the middle of a row nothing can be told, and after the first of two answers nothing was asked for.
        assert caught.value.args[0] in ({code, *HUNG_UP} if what == "two answers" or not code else {code})
        assert time.monotonic() - started < 10
        assert value(other, "SELECT 7") == 7
    eventually(lambda: bed.sessions() == 0)
    assert bed.ask("SELECT 8") == 8
    ended = [("success", "")] if what == "two answers" else [("lost", "")]
    eventually(lambda: bed.outcomes(text) == ended)
