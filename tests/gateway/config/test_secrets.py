"""Secrets do not show themselves."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from gateway.config.secrets import Secret, parse_source, read_secret


def test_a_secret_is_shown_only_when_asked() -> None:
    secret = Secret("s3cr3t")
    assert "s3cr3t" not in f"{secret} {secret!r} {[secret]} {parse_source('s3cr3t')!r}"
    assert secret.reveal() == "s3cr3t"


@pytest.mark.parametrize("value", [None, "", 5, True, {}, {"env": ""}, {"env": "A", "file": "b"}, {"env": 1}, ["x"]])
def test_what_is_not_a_source(value: object) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_source(value)


def test_a_secret_that_cannot_be_read_is_not_in_the_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"s3cr3t\0")
    with pytest.raises(ValueError, match="NUL") as caught:
        read_secret(parse_source({"file": "file"}), environ={}, folder=tmp_path)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
