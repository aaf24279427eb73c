"""``querygate admin``."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.errors import ConfigurationError
from gateway.testing.servers import PostgresServer
from tests.fixtures.admin import PASSWORD, fresh_store


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "querygate.yaml"
    path.write_text("listeners: {postgres: 127.0.0.1:6432}\nadmin_api: 127.0.0.1:8080\ncontrol_plane: {}\n")
    return path


def run(*arguments: object, password: str = PASSWORD) -> str:
    result = CliRunner().invoke(app, ["admin", *map(str, arguments)], input=password + "\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_an_administrator_is_made_on_the_machine(config: Path) -> None:
    bootstrap = config.parent / "data" / "bootstrap-token"
    bootstrap.parent.mkdir()
    bootstrap.write_text("qgb_unused")
    assert "may log in" in run("create", "root", "-c", config, "--password-stdin")
    run("create", "ci", "-c", config, "--role", "policy-admin", "--group", "dba", "--password-stdin")
    assert not bootstrap.exists(), "it opens nothing any more"
    with sqlite3.connect(config.parent / "data" / "control.db") as store:
        rows = store.execute("SELECT name, roles, groups, password FROM admins ORDER BY name").fetchall()
    store.close()
    assert [row[:3] for row in rows] == [("ci", '["policy-admin"]', '["dba"]'), ("root", '["owner"]', "[]")]
    assert all(row[3].startswith("$argon2id$") for row in rows)


def test_what_cannot_be_made_is_said(config: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least 12 characters"):
        run("create", "root", "-c", config, "--password-stdin", password="short")
    with pytest.raises(ConfigurationError, match="roles"):
        run("create", "root", "-c", config, "--role", "king", "--password-stdin")
    run("create", "root", "-c", config, "--password-stdin")
    with pytest.raises(ConfigurationError, match="already"):
        run("create", "root", "-c", config, "--password-stdin")


def test_a_shared_store_is_migrated_on_demand(
    config: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text().replace("{}", "{database: {env: STORE_URL}}"))
    monkeypatch.setitem(os.environ, "STORE_URL", fresh_store(postgres_server))
    with pytest.raises(ConfigurationError, match="querygate admin migrate"):
        run("create", "root", "-c", config, "--password-stdin")
    assert CliRunner().invoke(app, ["admin", "migrate", "--check", "-c", str(config)]).exit_code == 1
    assert "went from nothing" in run("migrate", "-c", config)
    assert "are up to date" in run("migrate", "--check", "-c", config)
    run("create", "root", "-c", config, "--password-stdin")


def test_without_a_store_there_is_nothing_to_look_after(tmp_path: Path) -> None:
    path = tmp_path / "querygate.yaml"
    path.write_text("listeners: {postgres: 127.0.0.1:6432}\n")
    with pytest.raises(ConfigurationError, match="no control_plane"):
        run("migrate", "-c", path)
