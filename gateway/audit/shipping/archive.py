"""``type: archive``: files of JSON lines that are rotated and compressed, for object stores and tapes.

The current file is named ``audit.jsonl``; a full or old one becomes ``audit-<UTC time>-<first number>.jsonl.zst``, the
number in 16 digits, so that names sort like events.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final, Self

import msgspec
import zstandard

from gateway.audit.shipping.options import Options
from gateway.errors import ConfigurationError
from gateway.policy.units import parse_size

_CURRENT: Final = "audit.jsonl"
_CHUNK: Final = 1 << 20


class ArchiveSink:
    """Options: ``path`` (a folder), ``max_size`` (256MiB), ``max_age`` (24h), ``keep`` (files; 0: all), ``level``."""

    spooled: ClassVar[bool] = True

    def __init__(self, options: Options, size: int) -> None:
        folder = options.path("path")
        if folder is None:
            raise ConfigurationError("path: a folder is needed")
        self._folder = folder
        self._size = size
        self._age = options.seconds("max_age", 86_400.0)
        self._keep = options.number("keep", 0, least=0)
        self._level = options.number("level", 3)
        options.done()

    @classmethod
    def from_options(cls, options: Mapping[str, object], data_dir: Path) -> Self:
        """Raises ``ConfigurationError``."""
        own = dict(options)
        size = own.pop("max_size", "256MiB")
        try:
            return cls(Options(own, data_dir), parse_size(size))
        except ValueError as error:
            raise ConfigurationError(f"max_size: {error}") from None

    def write(self, lines: Sequence[bytes]) -> None:
        """Append and have it on disk, rotating first where it is time. Raises ``OSError`` with the file as before."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / _CURRENT
        if self._is_full(path):
            self._rotate(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                view = memoryview(b"".join(lines))
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fdatasync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Nothing stays open."""

    def _is_full(self, path: Path) -> bool:
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        if status.st_size >= self._size:
            return True
        return status.st_size > 0 and time.time() - _first(path)[0] / 1000 > self._age

    def _rotate(self, path: Path) -> None:
        moment, number = _first(path)
        stamp = datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        target = self._folder / f"audit-{stamp}-{number:016d}.jsonl.zst"
        fresh = target.with_suffix(".new")
        with path.open("rb") as source, fresh.open("wb") as sink:
            zstandard.ZstdCompressor(level=self._level).copy_stream(source, sink, read_size=_CHUNK)
            sink.flush()
            os.fsync(sink.fileno())
        fresh.chmod(0o600)
        fresh.replace(target)
        path.unlink()
        if self._keep:
            for old in sorted(self._folder.glob("audit-*.jsonl.zst"))[: -self._keep]:
                old.unlink()


class _Metadata(msgspec.Struct, frozen=True):
    sequence: int = 0


class _Line(msgspec.Struct, frozen=True):
    time: int = 0
    metadata: _Metadata = _Metadata()


def _first(path: Path) -> tuple[int, int]:
    """Time (Unix ms) and number of a file's first event."""
    with path.open("rb") as source:
        try:
            line = msgspec.json.decode(source.readline(), type=_Line)
        except msgspec.MsgspecError:
            return int(path.stat().st_mtime * 1000), 0
    return line.time, line.metadata.sequence
