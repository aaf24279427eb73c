"""Putting in the background: the compiled way ends as the plain one does, whatever the system says."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.audit._disk_reference import Putter, Result
from gateway.audit.storage import QuickStorage, Storage

Open = Callable[[Path, int], int]


@pytest.fixture
def open_file() -> Iterator[Open]:
    opened: list[int] = []

    def open_it(path: Path, flags: int) -> int:
        opened.append(os.open(path, flags | os.O_CLOEXEC, 0o600))
        return opened[-1]

    yield open_it
    for descriptor in opened:
        os.close(descriptor)


@pytest.fixture
def wake() -> Iterator[int]:
    descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=[Storage, QuickStorage])
def putter(request: pytest.FixtureRequest, wake: int) -> Iterator[Putter]:
    made = request.param().putter(wake)
    yield made
    made.close()


def put(putter: Putter, wake: int, descriptor: int, data: bytes, offset: int = 0) -> Result:
    assert putter.result() is None
    putter.begin(descriptor, data, offset)
    ready, _, _ = select.select([wake], [], [], 20)
    assert ready, "nobody was told"
    assert os.eventfd_read(wake) == 1
    result = putter.result()
    assert result is not None
    assert putter.result() is None, "taken once"
    return result


def test_all_is_written_where_it_belongs(putter: Putter, wake: int, tmp_path: Path, open_file: Open) -> None:
    path = tmp_path / "log"
    descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
    assert put(putter, wake, descriptor, b"first\n") == (6, True, True, 0)
    assert put(putter, wake, descriptor, b"x" * 300_000, 6) == (300_000, True, True, 0)
    assert put(putter, wake, descriptor, b"", 6) == (0, True, True, 0)
    assert path.read_bytes() == b"first\n" + b"x" * 300_000


def test_a_file_without_a_name_is_told(putter: Putter, wake: int, tmp_path: Path, open_file: Open) -> None:
    path = tmp_path / "log"
    descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
    path.unlink()
    assert put(putter, wake, descriptor, b"lost\n") == (5, True, False, 0)


def test_what_fails_is_told_with_how_far_it_came(putter: Putter, wake: int, tmp_path: Path, open_file: Open) -> None:
    full = open_file(Path("/dev/full"), os.O_WRONLY)
    assert put(putter, wake, full, b"line\n") == (0, False, False, errno.ENOSPC)
    (tmp_path / "log").touch()
    reading = open_file(tmp_path / "log", os.O_RDONLY)
    assert put(putter, wake, reading, b"line\n") == (0, False, False, errno.EBADF)
    # It takes everything and cannot be synced.
    assert put(putter, wake, open_file(Path("/dev/null"), os.O_WRONLY), b"line\n") == (5, False, False, errno.EINVAL)


def test_one_at_a_time(putter: Putter, wake: int, tmp_path: Path, open_file: Open) -> None:
    descriptor = open_file(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    putter.begin(descriptor, b"first\n", 0)
    with pytest.raises(RuntimeError, match="one at a time"):
        putter.begin(descriptor, b"second\n", 6)
    select.select([wake], [], [], 20)
    with pytest.raises(RuntimeError, match="one at a time"):
        putter.begin(descriptor, b"second\n", 6)
    assert putter.result() == (6, True, True, 0)
    putter.close()
    with pytest.raises(RuntimeError, match="one at a time"):
        putter.begin(descriptor, b"second\n", 6)
