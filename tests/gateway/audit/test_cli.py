import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.audit.cli import audit_app
from tests.gateway.audit.builders import CONTEXT, lines_of, open_log, refused, statement


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    log = open_log(tmp_path / "audit")
    for number in range(30):
        log.record(statement(number), CONTEXT)
    log.record(refused(30, text="DROP TABLE customers"), CONTEXT)
    asyncio.run(log.close())
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(audit_app, [str(argument) for argument in arguments])


def test_tail_shows_the_last_twenty(data_dir: Path) -> None:
    result = run("tail", "--data-dir", data_dir)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 20
    assert "refused" in lines[-2]
    assert lines[-2].endswith("DROP TABLE customers")


def test_tail_filters(data_dir: Path) -> None:
    result = run("tail", "--data-dir", data_dir, "-n", "100", "--outcome", "refused", "--text", "drop")
    assert len(result.stdout.splitlines()) == 1
    assert run("tail", "--data-dir", data_dir, "--until", "2020-01-01").stdout == ""
    assert (
        len(run("tail", "--data-dir", data_dir, "--since", "2020-01-01T00:00:00Z", "-n", "99").stdout.splitlines())
        == 33
    )
    assert run("tail", "--data-dir", data_dir, "--action", "drop").stdout == ""


def test_tail_prints_what_was_recorded(data_dir: Path) -> None:
    result = run("tail", "--data-dir", data_dir, "--json", "-n", "5")
    assert result.stdout.encode() == b"".join(lines_of(data_dir / "audit")[-5:])


@pytest.mark.parametrize("value", ["yesterday", "10", "5x", "99999999999999d", ""])
def test_a_time_that_is_none_is_named(data_dir: Path, value: str) -> None:
    result = run("tail", "--data-dir", data_dir, "--since", value)
    assert result.exit_code == 2
    assert "--since: neither a time" in result.stderr


def test_verify_says_ok(data_dir: Path) -> None:
    result = run("verify", "--data-dir", data_dir)
    assert result.exit_code == 0, result.output
    assert "events 0 to 32" in result.stdout
    assert "OK: unchanged and complete" in result.stdout


def test_verify_fails_with_file_and_line(data_dir: Path) -> None:
    path = next((data_dir / "audit").glob("audit-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"DROP TABLE", b"SELECT 1 -"))
    result = run("verify", "--data-dir", data_dir)
    assert result.exit_code == 1
    assert f"{path.name}:32: altered" in result.stderr
    assert "FAILED: 1 problems" in result.stderr


def test_verify_where_the_oldest_segments_are_archived(data_dir: Path) -> None:
    asyncio.run(open_log(data_dir / "audit").close())
    sorted((data_dir / "audit").glob("audit-*.jsonl"))[0].unlink()
    assert run("verify", "--data-dir", data_dir).exit_code == 1
    assert run("verify", "--data-dir", data_dir, "--from", "33").exit_code == 0


@pytest.mark.parametrize("command", ["tail", "verify"])
def test_no_log_and_no_place_are_errors(command: str, tmp_path: Path) -> None:
    result = run(command)
    assert result.exit_code == 2
    assert "--config FILE or --data-dir DIRECTORY" in result.stderr
    result = run(command, "--data-dir", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "cannot read the audit log" in result.stderr


@pytest.mark.parametrize("command", ["tail", "verify"])
def test_a_configuration_that_cannot_be_used_is_said(command: str, tmp_path: Path) -> None:
    result = run(command, "--config", tmp_path / "missing.yaml")
    assert result.exit_code == 2
    assert "missing.yaml" in result.stderr


def test_the_configuration_names_the_directory(tmp_path: Path) -> None:
    config = tmp_path / "querygate.yaml"
    config.write_text("data_dir: ./data\nlisteners: {postgres: '127.0.0.1:6432'}\nresources: []\n")
    asyncio.run(open_log(tmp_path / "data" / "audit").close())
    result = run("verify", "--config", config)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", ["tail", "verify"])
def test_help_has_examples(command: str) -> None:
    result = run(command, "--help")
    assert (
        f"querygate audit {command} --config querygate.yaml" in " ".join(result.stdout.split())
        or "-c querygate.yaml" in result.stdout
    )


def test_following_shows_what_comes_and_ends_quietly(data_dir: Path) -> None:
    code = "from gateway.audit.cli import audit_app; audit_app()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "tail", "--data-dir", data_dir, "-f", "-n", "1", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": "."},
    ) as process:
        try:
            assert process.stdout is not None
            assert b"audit.closed" in process.stdout.readline()
            log = open_log(data_dir / "audit")
            log.record(statement(100), CONTEXT)
            assert b"audit.started" in process.stdout.readline()
            assert b'"s-1.100"' in process.stdout.readline()
            asyncio.run(log.close())
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=50)
        finally:
            process.kill()
    assert b"Traceback" not in errors
