import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.audit.cli import audit_app
from gateway.audit.notes import Checkpoint, Signer, split_notes
from tests.gateway.audit.builders import CONTEXT, lines_of, open_log, refused, signer, statement


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
    assert "FAILED: 1 problem\n" in result.stderr
    assert "When verify fails" in result.stderr


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


# --- for programs, and for terminals ----------------------------------------------------------------------------------


def test_verify_tells_programs_the_same(data_dir: Path) -> None:
    result = run("verify", "--data-dir", data_dir, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["ok"], told["problems"], told["signed"]["size"]) == (0, True, [], 37)
    path = next((data_dir / "audit").glob("audit-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"DROP TABLE", b"SELECT 1 -"))
    result = run("verify", "--data-dir", data_dir, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["ok"]) == (1, False)
    assert [(item["kind"], item["file"], item["line"]) for item in told["problems"]] == [("altered", path.name, 37)]


def in_terminal(*arguments: str | Path, interrupt: str = "") -> tuple[int, bytes]:
    """The command in a pseudo-terminal: status and all that it shows; Ctrl-C once ``interrupt`` is to be seen."""
    command = [sys.executable, "-m", "gateway.cli", "audit", *(str(argument) for argument in arguments)]
    primary, secondary = pty.openpty()
    wide = os.environ | {"COLUMNS": "400", "TERM": "xterm"}
    process = subprocess.Popen(
        command, stdin=secondary, stdout=secondary, stderr=secondary, start_new_session=True, env=wide
    )
    os.close(secondary)
    shown = b""
    try:
        while chunk := os.read(primary, 65536):
            shown += chunk
            if interrupt and interrupt.encode() in shown:
                process.send_signal(signal.SIGINT)
                interrupt = ""
    except OSError:
        pass  # the other side is closed
    finally:
        os.close(primary)
    return process.wait(60), shown


STEERS = "\x1b]0;title\x07 \x1b[5A \x9b31m \u202e \x7f"
SPOOF = f"SELECT 1 -- {STEERS}\nDROP TABLE customers"


def steers(shown: bytes) -> set[str]:
    """Characters of a stranger that reached a terminal; what the command itself draws with is left out."""
    text = re.sub(r"\x1b\[(\?25[lh]|2K|1A|[0-9;]*m)|\r", "", shown.decode())
    return set(re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text))


def test_nothing_that_is_recorded_steers_a_terminal(tmp_path: Path) -> None:
    log = open_log(tmp_path / "audit")
    log.record(statement(1, text=SPOOF, id=f"s-{STEERS}-1"), CONTEXT)
    asyncio.run(log.close())
    status, shown = in_terminal("tail", "--data-dir", tmp_path)
    assert (status, steers(shown)) == (0, set())
    assert b"DROP TABLE customers" in shown
    status, shown = in_terminal("tail", "--data-dir", tmp_path, "--json")
    assert (status, steers(shown)) == (0, set())
    told = [json.loads(line) for line in shown.splitlines()]
    assert SPOOF in [event.get("query_info", {}).get("query_string") for event in told], "it says the same"


def test_no_file_of_a_stranger_steers_a_terminal(data_dir: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    audit = tmp_path / "strange" / "audit"
    audit.mkdir(parents=True)
    signer = Signer("x\x1b]0;title\x07/1", bytes(32))
    (audit / "key.pub").write_text(f"{signer.key}\n")
    forged = {"damaged_lines": 1, "damaged_file": STEERS}
    event = {"metadata": {"uid": "audit.recovered.0", "event_code": "audit.recovered"}, "unmapped": forged}
    line = json.dumps({"seq": 0, "event": event}, separators=(",", ":"), ensure_ascii=False).encode()
    (audit / f"audit-{0:020}.jsonl").write_bytes(line + b"\n")
    for more in ((), ("--json",)):
        status, shown = in_terminal("verify", "--data-dir", tmp_path / "strange", *more)
        assert (status, steers(shown)) == (1, set())
        assert b"damaged lines were set aside" in shown
    made = json.loads(run("prove", "s-1.30", "--data-dir", data_dir).stdout)
    made["lines"][0]["line"] += STEERS
    (tmp_path / "proof").write_text(json.dumps(made))
    key.write_text((data_dir / "audit" / "key.pub").read_text())
    status, shown = in_terminal("check-proof", tmp_path / "proof", "--key", key)
    assert (status, steers(shown)) == (1, set())


def test_a_long_check_shows_how_far_it_is_and_may_be_interrupted(tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    audit.mkdir()
    (audit / "key.pub").write_text(f"{signer().key}\n")
    with (audit / f"audit-{0:020}.jsonl").open("wb") as file:
        for number in range(4_000_000):
            file.write(b'{"seq":%d,"define":"x","body":{}}\n' % number)
    status, shown = in_terminal("verify", "--data-dir", tmp_path, interrupt="MB")
    assert b"verifying" in shown
    assert b"Traceback" not in shown
    assert status == 130, "not 1, which says that the log does not verify"


def test_a_proof_does_not_show_somebody_elses_session_as_the_events(data_dir: Path, tmp_path: Path) -> None:
    made = json.loads(run("prove", "s-1.30", "--data-dir", data_dir).stdout)
    other = json.loads(run("prove", "s-1.3", "--data-dir", data_dir).stdout)
    for lines in (made["lines"][:1], [made["lines"][0], *other["lines"][1:]], [*made["lines"], other["lines"][0]]):
        (tmp_path / "proof").write_text(json.dumps(made | {"lines": lines}))
        result = run("check-proof", tmp_path / "proof")
        assert result.exit_code == 1
        assert "are not those that it refers to" in result.stderr


def test_a_witness_may_keep_other_logs_too_but_not_them_alone(data_dir: Path, tmp_path: Path) -> None:
    place = tmp_path / "witness"
    place.mkdir()
    (place / "other").write_text(signer().sign(Checkpoint("querygate.audit/gw-1/1", 99, bytes(32))))
    result = run("verify", "--data-dir", data_dir, "--witness", place)
    assert result.exit_code == 2
    assert "holds no checkpoint of querygate.audit/gw-1/" in result.stderr
    notes = split_notes((data_dir / "audit" / "checkpoints").read_text())
    (place / "ours").write_text(notes[0])
    assert run("verify", "--data-dir", data_dir, "--witness", place).exit_code == 0
