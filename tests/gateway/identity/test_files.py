"""Private files."""

from __future__ import annotations

import stat
import threading

import pytest

from gateway.errors import ConfigurationError
from gateway.identity.files import load_or_create_secret, locked, write_private


def test_a_private_file_is_for_its_owner_only(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "secret"
    write_private(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_the_secret_is_made_once(tmp_path):
    path = tmp_path / "data" / "identity.key"
    first = load_or_create_secret(path)
    assert len(first) == 32
    assert load_or_create_secret(path, random=lambda _: pytest.fail("made again")) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_secret_stops_the_start(tmp_path):
    path = tmp_path / "identity.key"
    path.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match=r"identity\.key"):
        load_or_create_secret(path)


def test_many_at_once_agree_on_one_secret(tmp_path):
    path = tmp_path / "identity.key"
    seen: list[bytes] = []
    threads = [threading.Thread(target=lambda: seen.append(load_or_create_secret(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


def test_a_lock_keeps_others_out(tmp_path):
    path = tmp_path / "file"
    order: list[str] = []

    def other() -> None:
        with locked(path):
            order.append("other")

    with locked(path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
