"""How clients are started: the token is in the environment or in a URL that was asked for, never on a command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.client.connect import Program, Route, program_for, run_program, url_of
from gateway.errors import ConfigurationError

TOKEN = "qg_s3cret/token"
POSTGRES = Route("postgres", "127.0.0.1", 6432, "shop-prod/shop", "ana@example.com", tls=True)


@pytest.fixture(autouse=True)
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("psql", "mariadb", "mongosh"):
        path = tmp_path / name
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("protocol", ["postgres", "mysql", "mongodb"])
@pytest.mark.parametrize("tls", [True, False])
def test_the_token_is_not_on_the_command_line(protocol: str, tls: bool) -> None:
    program = program_for(Route(protocol, "db.example.com", 6000, "shop-prod", "ana@example.com", tls), TOKEN, ["-x"])
    assert all("s3cret" not in word for word in program.command)
    assert any("s3cret" in value for value in program.environment.values())
    assert "-x" in program.command


def test_psql_verifies_a_gateway_whose_certificate_is_at_hand() -> None:
    environment = program_for(Route("postgres", "h", 1, "r", "u", True, Path("/d/gateway.crt")), TOKEN).environment
    assert (environment["PGSSLMODE"], environment["PGSSLROOTCERT"]) == ("verify-full", "/d/gateway.crt")
    assert program_for(POSTGRES, TOKEN).environment["PGSSLMODE"] == "require"


def test_urls_are_escaped() -> None:
    assert url_of(POSTGRES, TOKEN) == (
        "postgresql://ana%40example.com:qg_s3cret%2Ftoken@127.0.0.1:6432/shop-prod%2Fshop?sslmode=require"
    )
    mongodb = url_of(Route("mongodb", "::1", 27018, "crm-prod/crm", "ana@example.com", tls=False), "qg_x")
    assert mongodb.startswith("mongodb://ana%40example.com%23crm-prod:qg_x@[::1]:27018/crm?")
    assert "tls" not in mongodb


def test_a_missing_program_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match=r"psql is not installed.*--url"):
        program_for(POSTGRES, TOKEN)
    with pytest.raises(ConfigurationError, match="not known how clients for oracle"):
        program_for(Route("oracle", "h", 1, "r", "u", tls=True), TOKEN)


def test_gives_back_the_programs_status() -> None:
    script = "import os, sys; sys.exit(7 if os.environ['QG'] == 'x' and os.environ['A'] == 'b' else 1)"
    assert run_program(Program((sys.executable, "-c", script), {"QG": "x"}), {"A": "b"}) == 7
    dies = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert run_program(Program((sys.executable, "-c", dies), {}), {}) == 143
