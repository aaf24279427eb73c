from pathlib import Path

import pytest

from gateway.audit.keys import KEY_NAME, load_literal_key
from gateway.errors import ConfigurationError


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    key = load_literal_key(tmp_path)
    assert len(key) == 32
    assert load_literal_key(tmp_path) == key
    assert (tmp_path / KEY_NAME).stat().st_mode & 0o777 == 0o600


def test_two_gateways_have_two_keys(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert load_literal_key(tmp_path) != load_literal_key(tmp_path / "other")


def test_a_key_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / KEY_NAME).write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="must have 32 bytes, not 5"):
        load_literal_key(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_literal_key(tmp_path / "nowhere")
