"""What receivers ask for, and what they do not take: their time, their sizes, their endless answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from typer.testing import CliRunner

from gateway import cli
from gateway.audit.shipping.http import DatadogSink, LokiSink, OtlpLogsSink, SplunkSink, WebhookSink
from gateway.audit.shipping.shipper import LONGEST_DEFERRAL, LONGEST_PAUSE
from gateway.audit.shipping.shorten import SHORTENED, shortened
from gateway.audit.shipping.syslog import SyslogSink
from gateway.audit.sinks import DeliveryDeferred, DeliveryRefused
from gateway.errors import AuditError, ConfigurationError
from tests.fixtures.waiting import eventually
from tests.gateway.audit.builders import lines_of
from tests.gateway.audit.shipping.events import event
from tests.gateway.audit.shipping.receivers import http_receiver, syslog_receiver
from tests.gateway.audit.shipping.test_sinks import numbers, shipper, webhook, write_log


def huge(number: int = 1, characters: int = 250_000, character: str = '"') -> bytes:
    return event(number, query_info={"query_string": f"SELECT {character * characters}", "uid": "f1", "bytes": 1})


# --- "come again later" -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("120", 120, 120),
        ("in an hour", 3000, 3600),
        ("0", 0, 0),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("an hour ago", 0, 0),
    ],
)
def test_the_time_that_a_receiver_names_is_understood(tmp_path, status, header, least, most):
    with http_receiver() as receiver:
        receiver.status = status
        hours = {"in an hour": 1, "an hour ago": -1}.get(header)
        if hours is not None:
            header = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
        receiver.headers["Retry-After"] = header
        sink = WebhookSink.from_options({"url": receiver.url}, tmp_path)
        with pytest.raises(AuditError, match=str(status)) as failed:
            sink.write([event(1)])
        sink.close()
    asked = failed.value.seconds if isinstance(failed.value, DeliveryDeferred) else 0
    assert least <= asked <= most


class Stop(threading.Event):
    """Notes how long somebody wanted to wait, and does not let them."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return super().wait(0.01)


@pytest.mark.parametrize(("header", "asked"), [("40", 40.0), ("31536000", LONGEST_DEFERRAL)])
def test_a_sink_comes_again_when_it_was_asked_to_and_loses_nothing(tmp_path, header, asked):
    write_log(tmp_path / "audit", statements=3)
    stop = Stop()
    with http_receiver() as receiver:
        receiver.status, receiver.headers["Retry-After"] = 429, header
        one = webhook(tmp_path, receiver.url)
        thread = threading.Thread(target=one.run, args=(stop,))
        thread.start()
        eventually(lambda: len(stop.waits) >= 2)
        receiver.status = 200
        eventually(lambda: receiver.lines() == lines_of(tmp_path / "audit"))
        stop.set()
        thread.join(30)
        assert all(asked < wait <= asked + LONGEST_PAUSE for wait in stop.waits[:2])


# --- sizes ------------------------------------------------------------------------------------------------------------


@given(st.text(min_size=0, max_size=3000), st.integers(2048, 6000), st.booleans())
def test_a_shortened_event_is_whole_and_fits(text: str, most: int, wide: bool) -> None:
    content: dict[str, Any] = json.loads(event(7))
    content["query_info"]["query_string"] = text * 5
    content["actor"]["user"]["groups"] = [{"name": "g" * 300}] * (5 if wide else 1)
    content["unmapped"]["parameter_values"] = [text] * 3
    content["unmapped"]["statements"][0]["columns_read"] = {"public.customers": ["c" * 50] * (80 if wide else 2)}
    line = json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
    found = shortened(line, most)
    assert len(found) <= most or len(line) <= most
    told = json.loads(found)
    assert told["metadata"]["sequence"] == 7
    assert told["actor"]["user"]["name"] == "ana@example.com"
    if len(line) <= most:
        assert found == line
    else:
        assert SHORTENED in told["metadata"]["labels"]
        assert told["metadata"]["untruncated_size"] == -(-len(line) // 1024)
        assert (text * 5).startswith(told["query_info"]["query_string"])


def test_as_much_of_the_text_as_fits_is_kept() -> None:
    found = shortened(huge(character="x"), 8192)
    assert 8100 < len(found) <= 8192


@pytest.mark.parametrize(
    ("sink", "more", "most"),
    [
        (LokiSink, {}, 256 * 1024),
        (DatadogSink, {"api_key": "k"}, 1_000_000),
        (SplunkSink, {"token": "t"}, 1 << 20),
        (OtlpLogsSink, {}, 2 << 20),
        (WebhookSink, {"max_event": "4KiB"}, 4096),
    ],
)
@pytest.mark.parametrize("character", ['"', "\u20ac", "\x01"])
def test_no_event_is_larger_than_its_receiver_takes(tmp_path, sink, more, most, character):
    with http_receiver() as receiver:
        one = sink.from_options({"url": receiver.url, "gzip": False} | more, tmp_path)
        one.write([huge(character=character), event(2)])
        one.close()
        (request,) = receiver.requests
    body = request.body
    if sink is LokiSink:
        (stream,) = json.loads(body)["streams"]
        lines = [line.encode() for _, line in stream["values"]]
    elif sink is DatadogSink:
        lines = [json.dumps(entry, ensure_ascii=False).encode() for entry in json.loads(body)]
    else:
        lines = [body]
    assert all(len(line) <= most + (0 if len(lines) > 1 else 4096) for line in lines)
    assert b"s1-2" in lines[-1]


def test_syslog_messages_stay_whole_within_what_servers_take(tmp_path):
    with syslog_receiver() as receiver:
        options = {"host": "127.0.0.1", "port": receiver.port, "tls": False}
        sink = SyslogSink.from_options(options, tmp_path)
        sink.write([huge(1), event(2)])
        eventually(lambda: len(receiver.messages) == 2)
        sink.close()
    first, second = receiver.messages
    assert 7000 < len(first) <= 8192
    told = json.loads(first.decode().partition("\ufeff")[2])
    assert (told["metadata"]["sequence"], told["metadata"]["is_truncated"]) == (1, True)
    assert second.decode().partition("\ufeff")[2].encode() + b"\n" == event(2)


@pytest.mark.parametrize("value", ["1KiB", "many", -1])
def test_a_size_that_holds_no_event_is_refused(tmp_path, value):
    with pytest.raises(ConfigurationError, match="max_event"):
        WebhookSink.from_options({"url": "https://x", "max_event": value}, tmp_path)


# --- receivers that misbehave -----------------------------------------------------------------------------------------


@contextmanager
def endless(head: bytes, piece: bytes) -> Iterator[tuple[str, list[int]]]:
    """A server that begins an answer and does not end it; what it could send of it, in bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    sent = [0]

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(20)
                try:
                    connection.recv(1 << 20)
                    connection.sendall(head)
                    while sent[0] < 1 << 28:
                        connection.sendall(piece)
                        sent[0] += len(piece)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", sent
    finally:
        listener.close()


@pytest.mark.parametrize("status", [b"200 OK", b"500 Oh"])
def test_an_endless_answer_takes_neither_memory_nor_time(tmp_path, status):
    with endless(b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain\r\n\r\n", b"x" * 65536) as (url, sent):
        sink = WebhookSink.from_options({"url": url, "timeout": "5s"}, tmp_path)
        if status.startswith(b"2"):
            sink.write([event(1)])
        else:
            with pytest.raises(AuditError, match="500"):
                sink.write([event(1)])
        sink.close()
        assert sent[0] < 1 << 27


def test_what_cannot_be_reached_is_told_with_its_name(tmp_path):
    for url, told in (
        ("http://no-such-host.invalid:1", "no-such-host.invalid"),
        ("http://127.0.0.1:1", "127.0.0.1:1"),
    ):
        sink = WebhookSink.from_options({"url": url, "timeout": "5s"}, tmp_path)
        with pytest.raises(AuditError, match=told):
            sink.write([event(1)])
    missing = WebhookSink.from_options({"url": "https://127.0.0.1:1", "ca": "no-such-ca.pem"}, tmp_path)
    with pytest.raises(AuditError, match=r"no-such-ca\.pem"):
        missing.write([event(1)])
    syslog = SyslogSink.from_options({"host": "127.0.0.1", "port": 1}, tmp_path)
    with pytest.raises(AuditError, match=r"127\.0\.0\.1:1"):
        syslog.write([event(1)])


def test_a_batch_with_a_huge_event_does_not_hold_up_the_others(tmp_path):
    write_log(tmp_path / "audit", statements=3)
    with http_receiver() as receiver:
        receiver.judge = lambda request: 413 if len(request.body) > 6000 else 200
        one = shipper(tmp_path, WebhookSink.from_options({"url": receiver.url, "max_event": "4KiB"}, tmp_path))
        while one.step():
            pass
        one.close()
        assert numbers(receiver.lines()) == sorted(set(numbers(receiver.lines())))


@pytest.mark.parametrize(
    ("answer", "told", "refused"),
    [
        (b'{"text": "Success", "code": 0}', "", False),
        (b"", "", False),
        (b"[1]", "", False),
        (b'{"text": "Server is busy", "code": 9}', "code 9: Server is busy", False),
        (b'{"text": "Invalid data format", "code": 6, "invalid-event-number": 0}', "code 6: Invalid", True),
    ],
)
def test_what_splunk_says_in_its_answer_counts(tmp_path, answer, told, refused):
    with http_receiver() as receiver:
        receiver.answer = answer
        sink = SplunkSink.from_options({"url": receiver.url, "token": "t"}, tmp_path)
        if told:
            with pytest.raises(AuditError, match=told) as failed:
                sink.write([event(1)])
            assert isinstance(failed.value, DeliveryRefused) is refused
        else:
            sink.write([event(1)])
        sink.close()


def test_lines_that_were_removed_before_they_arrived_are_told(tmp_path):
    write_log(tmp_path / "audit", statements=5)
    with http_receiver() as receiver:
        one = webhook(tmp_path, receiver.url)
        while one.step():
            pass
        write_log(tmp_path / "audit", statements=5)
        write_log(tmp_path / "audit", statements=5)
        first, second, _ = sorted((tmp_path / "audit").glob("audit-*.jsonl"))
        first.unlink()
        second.unlink()
        with capture_logs() as logs:
            while one.step():
                pass
        one.close()
        assert numbers(receiver.lines())[-1] == numbers(lines_of(tmp_path / "audit"))[-1]
    missing = one.progress.lost
    assert missing > 5
    assert [(item["log_level"], item["lines"]) for item in logs] == [("error", missing)]
    listed = CliRunner().invoke(cli.app, ["audit", "sinks", "--data-dir", str(tmp_path)])
    assert f"{missing} lines were removed from the log before it had got them" in listed.stdout
    again = webhook(tmp_path, "http://127.0.0.1:1")
    assert (again.progress.lost, again.step()) == (missing, False), "told once"


def test_a_new_sink_misses_nothing_of_a_log_whose_beginning_is_archived(tmp_path):
    for _ in range(2):
        write_log(tmp_path / "audit", statements=3)
    sorted((tmp_path / "audit").glob("audit-*.jsonl"))[0].unlink()
    with http_receiver() as receiver:
        one = webhook(tmp_path, receiver.url)
        while one.step():
            pass
        one.close()
        assert receiver.lines() == lines_of(tmp_path / "audit")
    assert one.progress.lost == 0
