"""Sinks that read a real log: everything arrives, in order, once in peace and at least once in trouble."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from pathlib import Path

import pytest
import zstandard
from structlog.testing import capture_logs
from typer.testing import CliRunner

from gateway import cli
from gateway.audit.shipping.archive import ArchiveSink
from gateway.audit.shipping.cursor import FOLDER, Cursor
from gateway.audit.shipping.http import OtlpLogsSink, SplunkSink, WebhookSink
from gateway.audit.shipping.options import Options
from gateway.audit.shipping.plugin import ShippingSinks
from gateway.audit.shipping.process import make_shippers
from gateway.audit.shipping.shipper import Shipper
from gateway.audit.shipping.syslog import SyslogSink
from gateway.audit.sinks import AuditSink, DeliveryRefused
from gateway.audit.verify import verify
from gateway.errors import AuditError, ConfigurationError
from gateway.testing.servers.certificates import CertificateFiles, write_certificates
from tests.fixtures.waiting import eventually
from tests.gateway.audit.builders import CONTEXT, lines_of, open_log, statement
from tests.gateway.audit.shipping.events import event
from tests.gateway.audit.shipping.receivers import http_receiver, syslog_receiver

TYPES = ShippingSinks().register_audit_sinks()


def shipper(folder: Path, sink: AuditSink, name: str = "sink", **more: object) -> Shipper:
    return Shipper(name, sink, folder / "audit", Cursor(folder / "audit" / FOLDER, name), **more)  # type: ignore[arg-type]


def drain(one: Shipper) -> None:
    while one.step():
        pass


def numbers(lines: list[bytes]) -> list[int]:
    return [json.loads(line)["metadata"]["sequence"] for line in lines]


def write_log(directory: Path, *, statements: int) -> None:
    async def write() -> None:
        log = open_log(directory)
        for number in range(statements):
            log.record(statement(number), CONTEXT)
        await log.close()

    asyncio.run(write())


def certificates(folder: Path) -> CertificateFiles:
    folder.mkdir()
    return write_certificates(folder)


def test_a_webhook_gets_everything_once_and_in_order(tmp_path):
    write_log(tmp_path / "audit", statements=1200)
    expected = lines_of(tmp_path / "audit")
    with http_receiver() as receiver:
        one = shipper(tmp_path, WebhookSink.from_options({"url": receiver.url, "token": "t"}, tmp_path))
        drain(one)
        one.close()
        assert receiver.lines() == expected
        assert len(receiver.requests) >= 3
        assert receiver.requests[0].headers["authorization"] == "Bearer t"
    assert one.progress.delivered == len(expected)


def test_a_receiver_that_is_away_loses_nothing_and_a_restart_goes_on_where_it_was(tmp_path):
    write_log(tmp_path / "audit", statements=700)
    with http_receiver() as receiver:
        sink = WebhookSink.from_options({"url": receiver.url}, tmp_path)
        one = shipper(tmp_path, sink)
        assert one.step()
        first = len(receiver.lines())
        receiver.status = 503
        with pytest.raises(AuditError, match="503"):
            one.step()
        receiver.status = 302
        with pytest.raises(AuditError, match="302"):
            one.step()
        receiver.status = 200
        one.close()
        again = shipper(tmp_path, WebhookSink.from_options({"url": receiver.url}, tmp_path))
        drain(again)
        again.close()
        lines = receiver.lines()
        assert numbers(lines) == sorted(set(numbers(lines))), "what was answered with 2xx is not sent again"
        assert lines == lines_of(tmp_path / "audit")
        assert 0 < first < len(lines)


def test_what_comes_while_it_runs_arrives_and_stopping_delivers_the_rest(tmp_path):
    write_log(tmp_path / "audit", statements=5)
    stop = threading.Event()
    with http_receiver() as receiver:
        receiver.status = 500
        one = shipper(tmp_path, WebhookSink.from_options({"url": receiver.url}, tmp_path))
        thread = threading.Thread(target=one.run, args=(stop,), daemon=True)  # a failure here must not keep the process
        thread.start()
        eventually(lambda: "500" in one.progress.failing)  # the count goes up a moment earlier
        assert one.progress.failures > 0
        receiver.status = 200
        eventually(lambda: len(receiver.lines()) > 5 and one.progress.failing == "")
        write_log(tmp_path / "audit", statements=3)
        stop.set()
        thread.join(20)
        one.close()
        assert receiver.lines() == lines_of(tmp_path / "audit")


def test_a_new_sink_may_begin_with_what_is_to_come(tmp_path):
    write_log(tmp_path / "audit", statements=5)
    with http_receiver() as receiver:
        entries = [("webhook", {"url": receiver.url, "begin": "newest", "name": "late"}), ("file", {})]
        (one,) = make_shippers(entries, TYPES, tmp_path)
        drain(one)
        assert receiver.lines() == []
        write_log(tmp_path / "audit", statements=2)
        drain(one)
        one.close()
        assert 0 < len(receiver.lines()) < len(lines_of(tmp_path / "audit"))
        assert (tmp_path / "audit" / FOLDER / "late.json").exists()


def test_splunk_and_otlp_speak_to_their_paths_with_their_credentials(tmp_path):
    write_log(tmp_path / "audit", statements=2)
    with http_receiver() as receiver:
        for sink in (
            SplunkSink.from_options({"url": receiver.url, "token": "abc"}, tmp_path),
            OtlpLogsSink.from_options({"url": receiver.url, "gzip": False, "headers": {"X-Key": "k"}}, tmp_path),
        ):
            one = shipper(tmp_path, sink, type(sink).__name__)
            drain(one)
            one.close()
        splunk, otlp = receiver.requests
        assert (splunk.path, splunk.headers["authorization"]) == ("/services/collector/event", "Splunk abc")
        assert (otlp.path, otlp.headers["x-key"]) == ("/v1/logs", "k")


@pytest.mark.parametrize("tls", [False, True])
def test_syslog_resends_what_a_broken_connection_may_have_swallowed(tmp_path, tls):
    pair = certificates(tmp_path / "tls")
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
    with syslog_receiver(context) as receiver:
        options = {"host": "127.0.0.1", "port": receiver.port, "tls": tls}
        sink = SyslogSink.from_options(options | ({"ca": str(pair.ca)} if tls else {}), tmp_path)
        sink.write([event(1)])
        sink.write([event(2)])
        eventually(lambda: len(receiver.messages) == 2)
        receiver.hang_up()
        eventually(sink._hung_up)
        with pytest.raises(AuditError, match="hung up"):
            sink.write([event(3)])
        sink.write([event(3)])
        eventually(lambda: len(receiver.messages) == 4)
        sink.close()
        texts = [message.decode().partition("\ufeff")[2] for message in receiver.messages]
        assert [json.loads(text)["metadata"]["sequence"] for text in texts] == [1, 2, 2, 3]


def test_syslog_over_tls_refuses_a_stranger(tmp_path):
    ours, theirs = certificates(tmp_path / "ours"), certificates(tmp_path / "theirs")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs.certificate, theirs.key)
    with syslog_receiver(context) as receiver:
        options = {"host": "127.0.0.1", "port": receiver.port, "ca": str(ours.ca)}
        sink = SyslogSink.from_options(options, tmp_path)
        with pytest.raises(AuditError, match="certificate"):
            sink.write([event(1)])
        assert receiver.messages == []


def test_an_archive_is_rotated_by_size_compressed_and_kept_to_a_number(tmp_path):
    options = {"path": "archive", "max_size": "1KiB", "keep": 2}
    sink = ArchiveSink.from_options(options, tmp_path)
    for number in range(1, 13):
        sink.write([event(number)])
    folder = tmp_path / "archive"
    rotated = sorted(folder.glob("audit-*.jsonl.zst"))
    assert len(rotated) == 2
    lines = []
    for path in rotated:
        with zstandard.open(path, "rb") as stream:
            lines += stream.read().splitlines(keepends=True)
    lines += (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)
    found = numbers(lines)
    assert found == list(range(found[0], 13))
    assert oct((folder / "audit.jsonl").stat().st_mode & 0o777) == "0o600"


def test_a_damaged_cursor_stops_its_sink_instead_of_sending_everything_again(tmp_path):
    cursor = Cursor(tmp_path / "audit" / FOLDER, "sink")
    cursor.path.write_text("{")
    with pytest.raises(AuditError, match="place in the log"):
        shipper(tmp_path, ArchiveSink.from_options({"path": "a"}, tmp_path))


@pytest.mark.parametrize(
    ("kind", "options", "complaint"),
    [
        ("webhook", {}, "url"),
        ("webhook", {"url": "ftp://x"}, "http"),
        ("webhook", {"url": "https://user:secret@x"}, "password"),
        ("webhook", {"url": "https://x", "colour": "red"}, "colour: unknown option"),
        ("splunk", {"url": "https://x"}, "token"),
        ("loki", {"url": "https://x", "username": "u"}, "password"),
        ("syslog", {"host": "x", "port": 0}, "port"),
        ("syslog", {"host": "x", "tls": "yes"}, "tls"),
        ("archive", {}, "path"),
        ("archive", {"path": "x", "max_size": "many"}, "max_size"),
        ("otlp", {"url": "https://x", "timeout": 5}, "timeout"),
    ],
)
def test_options_that_make_no_sense_are_named(tmp_path, kind, options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        make_shippers([(kind, options)], TYPES, tmp_path)


def test_options_do_not_leave_the_folder_unless_told_to(tmp_path):
    assert Options({"path": "x"}, tmp_path).path("path") == tmp_path / "x"


# --- receivers that refuse --------------------------------------------------------------------------------------------


def webhook(folder: Path, url: str) -> Shipper:
    return shipper(folder, WebhookSink.from_options({"url": url}, folder))


def test_a_receiver_that_takes_small_batches_only_gets_everything_once(tmp_path):
    write_log(tmp_path / "audit", statements=700)
    with http_receiver() as receiver:
        receiver.judge = lambda request: 413 if request.body.count(b"\n") > 40 else 200
        one = webhook(tmp_path, receiver.url)
        drain(one)
        one.close()
        assert receiver.lines() == lines_of(tmp_path / "audit")
    assert one.progress.failing == ""
    assert one.progress.refused == -1


@pytest.mark.parametrize("status", [400, 422])
def test_one_event_that_is_refused_stops_the_sink_at_that_event_until_the_receiver_is_mended(tmp_path, status):
    write_log(tmp_path / "audit", statements=300)
    expected = lines_of(tmp_path / "audit")
    poison = expected[170]
    with http_receiver() as receiver:
        receiver.judge = lambda request: status if poison in request.body else 200
        one = webhook(tmp_path, receiver.url)
        with pytest.raises(DeliveryRefused):
            drain(one)
        assert receiver.lines() == expected[:170], "what it would take is not held up"
        assert one.progress.refused == numbers([poison])[0]
        receiver.judge = None
        drain(webhook(tmp_path, receiver.url))
        assert receiver.lines() == expected


def test_an_event_that_is_refused_is_set_aside_by_somebody_and_by_nobody_else(tmp_path):
    write_log(tmp_path / "audit", statements=60)
    expected = lines_of(tmp_path / "audit")
    poison, later = expected[20], expected[40]
    command = ["audit", "set-aside", "sink", "--data-dir", str(tmp_path)]
    stop = threading.Event()
    with http_receiver() as receiver:
        receiver.judge = lambda request: 400 if poison in request.body or later in request.body else 200
        assert CliRunner().invoke(cli.app, command).exit_code == 2, "there is nothing to be set aside yet"
        one = webhook(tmp_path, receiver.url)
        thread = threading.Thread(target=one.run, args=(stop,))
        thread.start()
        try:
            for event, number in ((poison, 1), (later, 2)):
                expected.remove(event)
                sequence = numbers([event])[0]
                refused = (True, sequence)
                while (one.progress.blocked, one.progress.refused) != refused:
                    assert thread.is_alive()
                    time.sleep(0.01)
                listed = CliRunner().invoke(cli.app, ["audit", "sinks", "--data-dir", str(tmp_path)])
                assert listed.exit_code == 1
                assert f"event {sequence} is what it refuses" in listed.stdout
                assert CliRunner().invoke(cli.app, command).exit_code == 0
                while one.progress.set_aside != number:
                    assert thread.is_alive()
                    time.sleep(0.01)
            eventually(lambda: len(receiver.lines()) == len(expected), within=60)
        finally:
            stop.set()
            thread.join(60)
        assert receiver.lines() == expected
    assert (tmp_path / "audit" / FOLDER / "sink.refused.jsonl").read_bytes() == poison + later
    listed = CliRunner().invoke(cli.app, ["audit", "sinks", "--data-dir", str(tmp_path)])
    assert (listed.exit_code, "2 set aside" in listed.stdout) == (0, True)
    assert verify(tmp_path / "audit").ok


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_a_sink_whose_credentials_are_refused_waits_with_everything(tmp_path, status):
    write_log(tmp_path / "audit", statements=300)
    with http_receiver() as receiver:
        receiver.status = status
        one = webhook(tmp_path, receiver.url)
        for _ in range(3):
            with pytest.raises(DeliveryRefused) as refused:
                one.step()
            assert not refused.value.content
        assert receiver.refused == 3, "smaller parts would be refused as well"
        receiver.status = 200
        drain(one)
        assert receiver.lines() == lines_of(tmp_path / "audit")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_trouble_that_passes_is_no_refusal(tmp_path, status):
    write_log(tmp_path / "audit", statements=1)
    with http_receiver() as receiver:
        receiver.status = status
        with pytest.raises(AuditError) as failed:
            webhook(tmp_path, receiver.url).step()
    assert not isinstance(failed.value, DeliveryRefused)


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (b"{}", True),
        (b"", True),
        (b"no JSON", True),
        (b'{"partialSuccess": {}}', True),
        (b'{"partialSuccess": {"rejectedLogRecords": "0", "errorMessage": "a warning"}}', True),
        (b'{"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "too old"}}', False),
        (b'{"partialSuccess": {"rejectedSpans": 2}}', False),
    ],
)
def test_what_a_collector_refuses_in_part_did_not_arrive(tmp_path, answer, taken):
    write_log(tmp_path / "audit", statements=1)
    with http_receiver() as receiver:
        receiver.answer = answer
        one = shipper(tmp_path, OtlpLogsSink.from_options({"url": receiver.url}, tmp_path))
        if taken:
            drain(one)
        else:
            with pytest.raises(DeliveryRefused, match="partly refused"):
                drain(one)
    assert (one.progress.after >= 0) is taken


def test_the_log_of_the_gateway_says_what_is_refused_and_that_it_works_again(tmp_path):
    write_log(tmp_path / "audit", statements=3)
    stop = threading.Event()
    with http_receiver() as receiver:
        receiver.status = 401
        one = webhook(tmp_path, receiver.url)
        thread = threading.Thread(target=one.run, args=(stop,))
        with capture_logs() as logs:
            thread.start()
            eventually(lambda: one.progress.failures >= 2)
            receiver.status = 403
            eventually(lambda: "403" in one.progress.failing)
            receiver.status = 200
            eventually(lambda: one.progress.failing == "")
            stop.set()
            thread.join(60)
    told = [(item["log_level"], item["event"].partition(";")[0], item.get("error", "")[-5:]) for item in logs]
    assert told == [
        ("error", "audit sink is refused", "401: "),
        ("error", "audit sink is refused", "403: "),
        ("info", "audit sink works again", ""),
    ], "once for each thing that is wrong"
