"""The key file: made once, private, and refused where it is not."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.masking.keys import MaskingKeys, load_or_create_key


def test_the_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "masking.key"
    keys = load_or_create_key(path, random=lambda size: bytes(range(size)))
    assert path.read_bytes() == bytes(range(32))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_key(path, random=lambda size: b"x" * size) == keys
    assert [entry.name for entry in path.parent.iterdir()] == ["masking.key"]


def test_keys_are_random(tmp_path: Path) -> None:
    assert load_or_create_key(tmp_path / "a").key != load_or_create_key(tmp_path / "b").key


def test_a_key_made_by_another_process_in_the_meantime_stays(tmp_path: Path) -> None:
    path = tmp_path / "masking.key"

    def random(size: int) -> bytes:
        load_or_create_key(path, random=lambda size: b"1" * size)
        return b"2" * size

    assert load_or_create_key(path, random=random).key == b"1" * 32


def test_many_starts_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "masking.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: load_or_create_key(path).key, range(64)))
    assert len(set(keys)) == 1


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "masking.key"
    load_or_create_key(path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_or_create_key(path)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_another_size_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "masking.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        load_or_create_key(path)
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        load_or_create_key(tmp_path)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        MaskingKeys(b"short")


def test_a_key_is_not_shown(tmp_path: Path) -> None:
    keys = MaskingKeys(b"s" * 32)
    keys.digest("hash", "pii", b"value")
    assert "sss" not in repr(keys)


def test_functions_and_domains_are_kept_apart() -> None:
    keys = MaskingKeys(b"k" * 32)
    digests = {
        keys.digest(function, domain, b"value")
        for function, domain in [
            *(("hash", "a"), ("hash", "b"), ("tokenise", "a")),
            *(("has", "ha"), ("hasha", ""), ("", "hasha")),
        ]
    }
    assert len(digests) == 6
    assert keys.digest("hash", "a", b"value") == MaskingKeys(b"k" * 32).digest("hash", "a", b"value")
