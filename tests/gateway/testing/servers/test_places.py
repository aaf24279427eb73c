"""Caches that several processes and accounts share."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from gateway.testing.servers.account import Account
from gateway.testing.servers.places import CACHE_VARIABLE, cache_folder, prepared

DROPPED = Account(name="somebody", uid=12345, gid=12345, dropped=True)


def test_a_thing_is_prepared_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def prepare(target: Path) -> None:
        calls.append(target)
        (target / "file").write_text("made")

    assert (prepared(tmp_path, "thing", prepare) / "file").read_text() == "made"
    assert prepared(tmp_path, "thing", prepare) == tmp_path / "thing"
    assert len(calls) == 1


def test_a_failed_preparation_leaves_nothing(tmp_path: Path) -> None:
    def prepare(target: Path) -> None:
        (target / "half").write_text("")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        prepared(tmp_path, "thing", prepare)
    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]


def test_the_cache_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "deep" / "cache"))
    assert cache_folder(DROPPED) == tmp_path / "deep" / "cache"


@pytest.mark.parametrize("trap", ["link", "open"])
def test_a_cache_that_somebody_else_could_have_prepared_is_refused(
    trap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Account, "can_enter", lambda *_: True)
    folder = tmp_path / f"querygate-servers-{os.geteuid()}"
    if trap == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(PermissionError, match="remove it"):
        cache_folder(DROPPED)


def test_entering_needs_every_folder_above(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a").chmod(0o700)
    assert not DROPPED.can_enter(inner)
    assert Account.present().can_enter(inner)
