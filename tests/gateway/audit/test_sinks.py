import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pluggy
import pytest

from gateway import PROJECT_NAME, hookspecs
from gateway.audit.sinks import AttachedSink, AuditSink, BuiltinSinks, FileSink, StdoutSink, attach_sinks
from gateway.audit.verify import verify
from gateway.errors import AuditError, ConfigurationError
from tests.fixtures.waiting import eventually
from tests.gateway.audit.builders import CONTEXT, lines_of, open_log, statement

BUILTIN = BuiltinSinks().register_audit_sinks()


class Collector:
    """A sink that can be made to fail."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.error: Exception | None = None
        self.closed = False
        self.threads: set[int] = set()

    @classmethod
    def from_options(cls, options: Mapping[str, object], data_dir: Path) -> Self:
        return cls()

    def write(self, lines: Sequence[bytes]) -> None:
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error
        self.lines.extend(lines)

    def close(self) -> None:
        self.closed = True
        if self.error is not None:
            raise self.error


def test_the_builtin_sinks_are_registered_by_a_plugin() -> None:
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(BuiltinSinks())
    manager.check_pending()
    assert [set(types) for types in manager.hook.register_audit_sinks()] == [{"file", "stdout"}]


def test_a_file_sink_gets_every_line_in_order(tmp_path: Path) -> None:
    attached = attach_sinks([("file", {"path": "copy.jsonl"})], BUILTIN, tmp_path)
    log = open_log(tmp_path / "audit", sinks=tuple(attached), segment_bytes=5000)
    for number in range(50):
        log.record(statement(number), CONTEXT)
    asyncio.run(log.close())
    assert (tmp_path / "copy.jsonl").read_bytes() == b"".join(lines_of(tmp_path / "audit"))
    assert (tmp_path / "copy.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_file_sink_without_path_is_the_log_itself(tmp_path: Path) -> None:
    attached = attach_sinks([("file", {})], BUILTIN, tmp_path)
    assert attached == []
    FileSink.from_options({}, tmp_path).write([b"x"])
    assert list(tmp_path.iterdir()) == []


def test_a_file_sink_makes_its_folder(tmp_path: Path) -> None:
    sink = FileSink.from_options({"path": "copy/of/audit.jsonl"}, tmp_path)
    for batch in (b"one\n", b"two\n"):
        sink.write([batch])
        assert (tmp_path / "copy/of/audit.jsonl").read_bytes() == batch
        assert (tmp_path / "copy/of").stat().st_mode & 0o777 == 0o700
        shutil.rmtree(tmp_path / "copy")


def test_a_file_sink_leaves_no_half_batch(tmp_path: Path) -> None:
    sink = FileSink.from_options({"path": "copy"}, tmp_path)
    sink.write([b"one\n"])
    with pytest.MonkeyPatch.context() as patch:
        real, calls = os.write, iter([3])

        def failing(descriptor: int, data: memoryview) -> int:
            size = next(calls, 0)
            if not size:
                raise OSError("full")
            return real(descriptor, data[:size])

        patch.setattr(os, "write", failing)
        with pytest.raises(OSError, match="full"):
            sink.write([b"two\n", b"three\n"])
    assert (tmp_path / "copy").read_bytes() == b"one\n"


def test_stdout_gets_the_lines(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    with capfdbinary.disabled():
        sink = StdoutSink(1)
    sink.write([b"one\n", b"two\n"])
    sink.close()
    assert capfdbinary.readouterr().out == b"one\ntwo\n"


def test_a_sink_that_is_not_required_may_fail(tmp_path: Path) -> None:
    collector, other = Collector(), Collector()
    sinks = (AttachedSink("a", collector, required=False), AttachedSink("b", other, required=False))
    log = open_log(tmp_path, sinks=sinks)
    collector.error = ValueError("down")
    log.record(statement(1), CONTEXT)
    eventually(lambda: log.counters.sink_failures > 0)
    assert log.healthy
    eventually(lambda: any(b'"s-1.1"' in line for line in other.lines))
    collector.error = None
    log.record(statement(2), CONTEXT)
    eventually(lambda: any(b'"s-1.2"' in line for line in collector.lines))
    asyncio.run(log.close())
    assert collector.closed
    assert other.lines == lines_of(tmp_path)
    assert threading.get_ident() not in collector.threads - {threading.main_thread().ident}


def test_a_required_sink_that_fails_stops_statements_and_misses_nothing(tmp_path: Path) -> None:
    collector = Collector()
    log = open_log(tmp_path, sinks=(AttachedSink("siem", collector, required=True),))
    collector.error = RuntimeError("collector unreachable")
    for number in range(3):
        with contextlib.suppress(AuditError):
            log.record(statement(number), CONTEXT)
    eventually(lambda: not log.healthy)
    assert "siem failed: collector unreachable" in log.reason
    with pytest.raises(AuditError, match="collector unreachable"):
        log.record(statement(9, intent=True), CONTEXT)
    assert log.counters.held > 0, "what it is owed stays in memory, and counts"
    collector.error = None
    eventually(lambda: log.healthy)
    log.record(statement(10), CONTEXT)
    asyncio.run(log.close())
    assert collector.lines == lines_of(tmp_path)
    assert log.counters.held == 0
    assert verify(tmp_path).ok


def test_a_sink_that_fails_to_close_does_not_keep_the_log_open(tmp_path: Path) -> None:
    collector, other = Collector(), Collector()
    sinks = (AttachedSink("a", collector, required=False), AttachedSink("b", other, required=False))
    log = open_log(tmp_path, sinks=sinks)
    collector.error = ValueError("down")
    asyncio.run(log.close())
    assert other.closed
    asyncio.run(open_log(tmp_path).close())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (("syslog", {}), r"audit\.sinks\[0\]\.type: no sink is called 'syslog' \(known: file, stdout\)"),
        (("file", {"pth": "x"}), r"audit\.sinks\[0\]\.pth: unknown option"),
        (("file", {"path": 7}), r"audit\.sinks\[0\]\.path: must be a file name"),
        (("file", {"required": "yes"}), r"audit\.sinks\[0\]\.required: must be true or false"),
        (("stdout", {"path": "x"}), r"audit\.sinks\[0\]\.path: unknown option"),
    ],
)
def test_wrong_settings_are_named(entry: tuple[str, dict[str, object]], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        attach_sinks([entry], BUILTIN, tmp_path)


def test_required_is_an_option_of_every_sink(tmp_path: Path) -> None:
    types: dict[str, type[AuditSink]] = {**BUILTIN, "mine": Collector}
    first, second = attach_sinks([("mine", {"required": True}), ("stdout", {})], types, tmp_path)
    assert (first.required, second.required) == (True, False)
