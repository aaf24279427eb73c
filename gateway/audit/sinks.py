"""Where copies of the audit lines go, besides the log itself.

A sink of this kind gets whole lines, in order, in the writer's thread, after the log has them. A ``required`` sink that
fails makes the log unhealthy until it has taken what it missed; of any other sink the failures are counted and logged,
and the lines are lost to it (the log itself still has them). ``gateway.audit.shipping`` has those that lose nothing.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from gateway import hookimpl
from gateway.errors import AuditError, ConfigurationError

_log = logging.getLogger(__name__)


class DeliveryRefused(AuditError):
    """The receiver said no, and will say so again until somebody changes something: there or in the configuration.

    ``content`` True means that it is about what was sent (its size, its form), not about who sends or where to.
    """

    def __init__(self, detail: str, *, content: bool) -> None:
        super().__init__(detail)
        self.content = content


class DeliveryDeferred(AuditError):
    """The receiver said when to come again: ``seconds`` from now, not earlier."""

    def __init__(self, detail: str, *, seconds: float) -> None:
        super().__init__(detail)
        self.seconds = seconds


class AuditSink(Protocol):
    """One place that copies go to. Made once at start, used by one thread only."""

    @classmethod
    def from_options(cls, options: Mapping[str, object], data_dir: Path) -> Self:
        """Make the sink from its part of the configuration (without ``type`` and ``required``).

        Relative paths are relative to ``data_dir``. Raises ``ConfigurationError`` on options that it does not know.
        """

    def write(self, lines: Sequence[bytes]) -> None:
        """Take lines, each with its line feed. Any exception means that none of them counts as taken.

        ``DeliveryDeferred`` says when to try again, ``DeliveryRefused`` that trying again will not help by itself; of a
        batch that is refused for its content a spooled sink is given smaller and smaller parts.
        """

    def close(self) -> None:
        """Let go of everything."""


@dataclass(slots=True, eq=False)
class AttachedSink:
    """A sink in use, and what became of it."""

    name: str
    sink: AuditSink
    required: bool
    failures: int = 0
    failing: str = ""
    """What went wrong last, empty while it works."""

    def close(self) -> None:
        """Close the sink; what goes wrong there is logged."""
        try:
            self.sink.close()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the others are closed too
            _log.error("audit sink %s failed to close: %s", self.name, error)

    def deliver(self, lines: Sequence[bytes]) -> bool:
        """Hand lines over; False where the sink failed."""
        try:
            self.sink.write(lines)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the writer goes on
            self.failures += 1
            if not self.failing:
                _log.error("audit sink %s failed: %s", self.name, error)
            self.failing = str(error) or type(error).__name__
            return False
        if self.failing:
            _log.info("audit sink %s works again", self.name)
            self.failing = ""
        return True


def attach_sinks(
    entries: Sequence[tuple[str, Mapping[str, object]]], types: Mapping[str, type[AuditSink]], data_dir: Path
) -> list[AttachedSink]:
    """Make the sinks of ``audit.sinks``, each entry a type and its options; ``required`` is an option of every sink.

    ``types`` is what the plugins register. Raises ``ConfigurationError`` naming the entry.
    """
    attached = []
    for number, (name, options) in enumerate(entries):
        kind = types.get(name)
        if kind is None:
            known = ", ".join(sorted(types)) or "none"
            raise ConfigurationError(f"audit.sinks[{number}].type: no sink is called {name!r} (known: {known})")
        if is_spooled(kind):
            continue  # read from the log by another process, see gateway.audit.shipping
        own = dict(options)
        required = own.pop("required", False)
        if not isinstance(required, bool):
            raise ConfigurationError(f"audit.sinks[{number}].required: must be true or false")
        try:
            sink = kind.from_options(own, data_dir)
        except ConfigurationError as error:
            raise ConfigurationError(f"audit.sinks[{number}].{error}") from None
        if not (isinstance(sink, FileSink) and sink.path is None):
            attached.append(AttachedSink(f"{number}:{name}", sink, required))
    return attached


def is_spooled(sink_type: type[AuditSink]) -> bool:
    """Whether a sink is driven from the log, in a process of its own, instead of by the log's writer."""
    return bool(getattr(sink_type, "spooled", False))


class FileSink:
    """``type: file``: appends the lines to ``path``; without ``path``, the log itself is the file.

    The file is opened for each batch, so that whoever rotates logs may move it away at any time. Its folder is made
    where there is none, for the gateway's user alone.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    @classmethod
    def from_options(cls, options: Mapping[str, object], data_dir: Path) -> Self:
        """Options: ``path``."""
        path = _options(options, {"path"}).get("path")
        if path is None:
            return cls(None)
        if not isinstance(path, str) or not path:
            raise ConfigurationError("path: must be a file name")
        return cls(data_dir / path)

    def write(self, lines: Sequence[bytes]) -> None:
        """Append, or raise ``OSError`` with the file as it was before."""
        if self.path is None:
            return
        try:
            descriptor = self._open(self.path)
        except FileNotFoundError:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = self._open(self.path)
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(lambda data: os.write(descriptor, data), b"".join(lines))
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Nothing stays open."""


class StdoutSink:
    """``type: stdout``: writes the lines to standard output, for containers."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def from_options(cls, options: Mapping[str, object], data_dir: Path) -> Self:
        """No options."""
        _options(options, set())
        return cls(sys.stdout.fileno())

    def write(self, lines: Sequence[bytes]) -> None:
        """Write, or raise ``OSError``."""
        _write_all(lambda data: os.write(self._descriptor, data), b"".join(lines))

    def close(self) -> None:
        """Standard output belongs to the process."""


class BuiltinSinks:
    """The plugin that registers the sinks of this module."""

    @hookimpl
    def register_audit_sinks(self) -> Mapping[str, type[AuditSink]]:
        """``file`` and ``stdout``."""
        return {"file": FileSink, "stdout": StdoutSink}


def _options(options: Mapping[str, object], known: set[str]) -> Mapping[str, object]:
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigurationError(f"{unknown[0]}: unknown option")
    return options


def _write_all(write: Callable[[memoryview], int], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[write(view) :]
