import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.audit.cli import audit_app
from gateway.audit.notes import split_notes
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
        == 34
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
    assert "lines 0 to 36" in result.stdout
    assert "OK: unchanged and complete; 37 lines are signed" in result.stdout


def test_verify_fails_with_file_and_line(data_dir: Path) -> None:
    path = next((data_dir / "audit").glob("audit-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"DROP TABLE", b"SELECT 1 -"))
    result = run("verify", "--data-dir", data_dir)
    assert result.exit_code == 1
    assert f"{path.name}:37: altered: lines 1 to 36 are not those that were signed" in result.stderr
    assert "FAILED: 1 problems" in result.stderr


def test_verify_where_the_oldest_segments_are_archived(data_dir: Path) -> None:
    asyncio.run(open_log(data_dir / "audit").close())
    sorted((data_dir / "audit").glob("audit-*.jsonl"))[0].unlink()
    assert run("verify", "--data-dir", data_dir).exit_code == 1
    assert run("verify", "--data-dir", data_dir, "--from", "37").exit_code == 0


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


@pytest.mark.parametrize("command", ["tail", "verify", "prove", "consistency"])
def test_help_has_examples(command: str) -> None:
    result = run(command, "--help")
    assert f"querygate audit {command}" in " ".join(result.stdout.split())
    assert re.search(r"(-c|--config) querygate.yaml", " ".join(result.stdout.split()))


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
            assert b"audit.checkpoint" in process.stdout.readline()
            assert b'"s-1.100"' in process.stdout.readline()
            asyncio.run(log.close())
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=50)
        finally:
            process.kill()
    assert b"Traceback" not in errors


def test_a_proof_convinces_somebody_who_has_only_the_key(data_dir: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    result = run("prove", "s-1.30", "--data-dir", data_dir, "-o", proof)
    assert result.exit_code == 0, result.output
    key = (data_dir / "audit" / "key.pub").read_text()
    (tmp_path / "kept.pub").write_text(key)
    for given in (key.strip(), str(tmp_path / "kept.pub")):
        result = run("check-proof", proof, "--key", given)
        assert result.exit_code == 0, result.output
        assert "OK: line 35 is among the 37 lines of querygate.audit/gw-1/" in result.stdout
        assert "DROP TABLE customers" in result.stdout
    assert "note: signed by the key in the proof itself" in run("check-proof", proof).stdout
    proof.write_text(proof.read_text().replace("DROP TABLE", "SELECT 1 -"))
    result = run("check-proof", proof, "--key", key.strip())
    assert result.exit_code == 1
    assert "FAILED: line 35 is not in the log" in result.stderr


def test_what_cannot_be_proven_is_said(data_dir: Path, tmp_path: Path) -> None:
    assert "there is no event s-1.99" in run("prove", "s-1.99", "--data-dir", data_dir).stderr
    assert run("check-proof", tmp_path / "none").exit_code == 2
    (tmp_path / "garbage").write_text("{}")
    assert run("check-proof", tmp_path / "garbage").exit_code == 2
    assert "--key nonsense" in run("verify", "--data-dir", data_dir, "--key", "nonsense").stderr


def test_consistency_of_two_checkpoints(data_dir: Path, tmp_path: Path) -> None:
    notes = split_notes((data_dir / "audit" / "checkpoints").read_text())
    (tmp_path / "old").write_text(notes[0])
    for old in ("1", tmp_path / "old"):
        result = run("consistency", old, "latest", "--data-dir", data_dir)
        assert result.exit_code == 0, result.output
        assert "OK: the log of 37 lines begins with that of 1" in result.stderr
        assert len(result.stdout.splitlines()) >= 5
    path = next((data_dir / "audit").glob("audit-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"DROP TABLE", b"SELECT 1 -"))
    result = run("consistency", "1", "--data-dir", data_dir)
    assert result.exit_code == 1
    assert "FAILED" in result.stderr
    assert "no checkpoint of 12 lines" in run("consistency", "12", "--data-dir", data_dir).stderr


def test_verify_compares_with_what_a_witness_kept(data_dir: Path, tmp_path: Path) -> None:
    place = tmp_path / "witness"
    place.mkdir()
    notes = split_notes((data_dir / "audit" / "checkpoints").read_text())
    (place / "1").write_text(notes[-1])
    assert run("verify", "--data-dir", data_dir, "--witness", place).exit_code == 0
    path = next((data_dir / "audit").glob("audit-*.jsonl"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:20]))
    (data_dir / "audit" / "checkpoints").write_text(notes[0] + "\n")
    assert run("verify", "--data-dir", data_dir).exit_code == 0
    result = run("verify", "--data-dir", data_dir, "--witness", place)
    assert result.exit_code == 1
    assert "but 37 lines were signed" in result.stderr
