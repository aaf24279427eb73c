"""``querygate policy verify`` and ``library``, as somebody at a terminal sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.policy.assumed import assumed_catalog
from gateway.policy.library import library_names

GOOD = """
policies:
  - name: no-blind-deletes
    effect: deny
    match: {actions: [delete], objects: [shop.*], when: "!statement.has_predicate"}
    samples:
      allowed:
        - sql: DELETE FROM shop.orders WHERE id = 7 AND note = 'x'
        - description: another schema
          sql: DELETE FROM public.orders
      refused:
        - sql: DELETE FROM shop.orders
        - sql: DELETE FROM shop.orders WHERE 1 = 1
  - name: readers
    effect: allow
    match: {actions: [read]}
"""


def run(*arguments: str | Path) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["policy", *map(str, arguments)])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def test_right_samples_pass_and_policies_without_any_are_named(good: Path) -> None:
    result = run("verify", good)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:3] for line in lines[:5]] == [
        ["pass", "no-blind-deletes", "allowed[0]"],
        ["pass", "no-blind-deletes", "allowed[1]"],
        ["pass", "no-blind-deletes", "refused[0]"],
        ["pass", "no-blind-deletes", "refused[1]"],
        ["none", "readers:", "no"],
    ]
    assert "(another schema)" in lines[1]
    assert "denied by policy no-blind-deletes" in lines[2]
    assert lines[-1] == "2 policies, 4 samples tried, 0 failed, 1 policies without samples"


def test_a_wrong_sample_fails_the_run(good: Path) -> None:
    good.write_text(GOOD.replace("sql: DELETE FROM public.orders", "sql: DELETE FROM shop.lines"))
    result = run("verify", good)
    assert result.exit_code == 1
    assert "FAIL no-blind-deletes allowed[1]" in result.stdout
    assert "1 failed" in result.stdout


def test_a_sample_that_cannot_be_tried_fails_the_run(good: Path) -> None:
    good.write_text(GOOD.replace("sql: DELETE FROM public.orders", "now: 2026-01-07T12:00:00Z"))
    result = run("verify", good)
    assert result.exit_code == 1
    assert "neither sql nor statement" in result.stdout


def test_the_whole_library_passes() -> None:
    result = run("verify", "--all-library")
    assert result.exit_code == 0, result.output
    assert "0 failed, 0 policies without samples" in result.stdout


def test_a_configuration_is_read_with_its_library_and_without_its_secrets(tmp_path: Path) -> None:
    config = tmp_path / "querygate.yaml"
    config.write_text(
        "resources: [{name: x, protocol: postgres, address: '127.0.0.1:1',"
        " credentials: {username: u, password: {env: NOBODY_SET_THIS}}}]\n"
        f"policy_library: [read-only-agents]\n{GOOD}"
    )
    result = run("verify", "--config", config, "--library", "no-privilege-changes")
    assert result.exit_code == 0, result.output
    for name in ("no-blind-deletes", "read-only-agents", "no-role-changes"):
        assert name in result.stdout
    named = CliRunner(env={"QUERYGATE_CONFIG": str(config)}).invoke(app, ["policy", "verify"])
    assert "no-blind-deletes" in named.stdout


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("policies: [{name: a, efect: deny, match: {}}]", "policies[0].efect: unknown key"),
        ("policies: [{name: a, effect: mask, match: {}}]", "good.yaml:1: policies[0]"),
        ("policy_library: [read-only-agent]", 'did you mean "read-only-agents"?'),
        ("resources: []", "has no policies"),
        ("- 1", "has no policies"),
        ("a: [", "not valid YAML"),
    ],
)
def test_files_that_cannot_be_used_say_why(good: Path, text: str, complaint: str) -> None:
    good.write_text(text)
    assert complaint in str(run("verify", good).exception)


def test_unknown_names_say_so(tmp_path: Path) -> None:
    assert 'no ready policy "nothing"' in str(run("verify", "--library", "nothing").exception)
    assert "cannot be read" in str(run("verify", tmp_path / "missing.yaml").exception)


def test_the_library_is_listed_with_descriptions() -> None:
    result = run("library")
    assert result.exit_code == 0
    for name in library_names():
        assert name in result.stdout
    assert "DROP and TRUNCATE are refused" in result.stdout


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("INSERT INTO a (b) SELECT q FROM s.c", {"public.a": ["b"], "s.c": ["q"]}),
        ("WITH x AS (SELECT a FROM t) SELECT a FROM x", {"public.t": ["a"]}),
        ("UPDATE t SET a = 1 WHERE b = 2", {"public.t": ["a", "b"]}),
        ('SELECT "A", B FROM "T"', {"public.T": ["A", "b"]}),
        ("SELECT o.x FROM o WHERE EXISTS (SELECT 1 FROM c WHERE y = o.z)", {"public.o": ["x", "z"], "public.c": ["y"]}),
        ("SELECT 1", {}),
        ("(((", {}),
    ],
)
def test_what_a_sample_names_is_taken_to_exist(text: str, tables: dict[str, list[str]]) -> None:
    relations = assumed_catalog(text).contents.relations
    assert {f"{r.schema}.{r.name}": sorted(c.name for c in r.columns) for r in relations} == tables
