"""What a linked gateway keeps: verified when written, and verified again when read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.control.cache import SnapshotCache
from gateway.control.document import SnapshotDocument
from gateway.control.sealing import Sealer
from gateway.control.signing import SnapshotSigner
from gateway.errors import ConfigurationError

SIGNER, SEALER = SnapshotSigner(bytes(32)), Sealer(bytes(range(32)))
DATA = SIGNER.sign(SnapshotDocument.build(number=5, created=datetime(2026, 11, 25, tzinfo=UTC), sections={})).encode()


def filled(folder: Path) -> SnapshotCache:
    cache = SnapshotCache(folder)
    cache.trust_first(SIGNER.public_key)
    cache.keep(DATA, SEALER.wrap_for(cache.public_key, b"i" * 32))
    return cache


def test_is_empty_at_first(tmp_path: Path) -> None:
    assert SnapshotCache(tmp_path).load() is None


def test_gives_back_what_was_kept(tmp_path: Path) -> None:
    filled(tmp_path)
    kept = SnapshotCache(tmp_path).load()
    assert kept is not None
    assert kept.signed.document.number == 5
    assert kept.sealer.open(SEALER.seal("x")) == "x"
    assert kept.identity_secret == b"i" * 32
    for name in ("snapshot.signed", "snapshot.key", "link.key", "control.trust"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600, name


def test_a_changed_file_is_not_believed(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "snapshot.signed"
    path.write_bytes(path.read_bytes().replace(b'"number":5', b'"number":6'))
    with pytest.raises(ConfigurationError, match="signature is wrong"):
        SnapshotCache(tmp_path).load()


def test_trusts_the_first_key_for_good(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    cache.trust_first(SIGNER.public_key)
    with pytest.raises(ConfigurationError, match="this gateway trusts"):
        cache.trust_first(SnapshotSigner(b"x" * 32).public_key)


def test_a_configured_key_beats_what_was_trusted(tmp_path: Path) -> None:
    filled(tmp_path)
    other = SnapshotSigner(b"x" * 32).public_key
    with pytest.raises(ConfigurationError, match="this gateway trusts"):
        SnapshotCache(tmp_path, trust=other).load()
