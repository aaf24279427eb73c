"""Gateways that have a control plane's address and no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.linked import load_linked
from gateway.errors import ConfigurationError

URL = "https://querygate.example.com"
ENVIRON = {"QUERYGATE_CREDENTIAL": "qgw_x_y"}


def test_needs_no_file(tmp_path: Path) -> None:
    config = load_linked(tmp_path / "querygate.yaml", URL, environ=ENVIRON)
    assert config.control is not None
    assert (config.control.url, config.control.credential.reveal()) == (URL, "qgw_x_y")
    assert config.listeners["postgres"] == ("127.0.0.1", 6432)
    assert config.admin_api == ("127.0.0.1", 8080)
    assert config.data_dir == tmp_path / "data"


def test_a_file_keeps_everything_but_the_address(tmp_path: Path) -> None:
    path = tmp_path / "querygate.yaml"
    path.write_text("listeners: {postgres: '127.0.0.1:7000'}\ntls: {mode: disable}\n")
    config = load_linked(path, URL, environ=ENVIRON)
    assert config.listeners == {"postgres": ("127.0.0.1", 7000)}
    assert config.control is not None


def test_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="QUERYGATE_CREDENTIAL is not set"):
        load_linked(tmp_path / "querygate.yaml", URL, environ={})
    path = tmp_path / "own.yaml"
    path.write_text("admin_api: 127.0.0.1:1\nlisteners: {postgres: '127.0.0.1:2'}\ncontrol_plane: {}\n")
    with pytest.raises(ConfigurationError, match="control_plane of its own"):
        load_linked(path, URL, environ=ENVIRON)
