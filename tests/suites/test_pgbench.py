"""pgbench through the gateway: its own initialisation, and its transactions in all three query modes."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.suites.endpoints import Endpoint

CLIENTS = 4
TRANSACTIONS = 75

PIPELINE = """
\\set id random(1, 100000)
\\startpipeline
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :id;
SELECT abalance FROM pgbench_accounts WHERE aid = :id;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :id, 1, now());
COMMIT;
\\endpipeline
"""


def _pgbench(endpoint: Endpoint, database: str, *arguments: str) -> str:
    done = subprocess.run(
        [endpoint.program("pgbench"), *arguments],
        env={**endpoint.variables(database), "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def database(through_gateway: Endpoint) -> Iterator[str]:
    """Tables made by ``pgbench -i`` through the gateway: COPY, then VACUUM and indexes."""
    server = through_gateway.postgres
    server.create_database("bench")
    _pgbench(through_gateway, "bench", "--initialize", "--quiet")
    assert server.psql("SELECT count(*) FROM pgbench_accounts", database="bench").strip() == "100000"
    yield "bench"
    server.drop_database("bench")


@pytest.fixture
def transactions(through_gateway: Endpoint, database: str) -> Iterator[int]:
    """How many transactions the test is to run; afterwards exactly these are in the database."""
    server, expected = through_gateway.postgres, CLIENTS * TRANSACTIONS
    server.psql("TRUNCATE pgbench_history; UPDATE pgbench_accounts SET abalance = 0", database=database)
    yield expected
    counted, moved, held = (
        server.psql(f"SELECT {what}", database=database).strip()
        for what in (
            "count(*) FROM pgbench_history",
            "sum(delta) FROM pgbench_history",
            "sum(abalance) FROM pgbench_accounts",
        )
    )
    assert int(counted) == expected
    assert moved == held


def _load(mode: str) -> tuple[str, ...]:
    return (f"--protocol={mode}", f"--client={CLIENTS}", "--jobs=2", f"--transactions={TRANSACTIONS}", "--no-vacuum")


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_transactions(through_gateway: Endpoint, database: str, transactions: int, mode: str) -> None:
    printed = _pgbench(through_gateway, database, *_load(mode))
    assert f"number of transactions actually processed: {transactions}/{transactions}" in printed
    assert "number of failed transactions: 0 " in printed


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_select_only(through_gateway: Endpoint, database: str, mode: str) -> None:
    expected = CLIENTS * TRANSACTIONS
    printed = _pgbench(through_gateway, database, "--select-only", *_load(mode))
    assert f"number of transactions actually processed: {expected}/{expected}" in printed


@pytest.mark.parametrize("mode", ["extended", "prepared"])
def test_pipelines(through_gateway: Endpoint, database: str, transactions: int, tmp_path: Path, mode: str) -> None:
    script = tmp_path / "pipeline.sql"
    script.write_text(PIPELINE)
    printed = _pgbench(through_gateway, database, f"--file={script}", *_load(mode))
    assert f"number of transactions actually processed: {transactions}/{transactions}" in printed


def test_a_connection_for_each_transaction(through_gateway: Endpoint, database: str) -> None:
    arguments = ("--connect", "--select-only", "--client=2", "--transactions=10", "--no-vacuum")
    assert "actually processed: 20/20" in _pgbench(through_gateway, database, *arguments)


def test_what_pgbench_counts_is_equal_directly(direct: Endpoint, through_gateway: Endpoint, database: str) -> None:
    def result(endpoint: Endpoint) -> list[str]:
        printed = _pgbench(endpoint, database, "--random-seed=7", *_load("prepared"))
        return list(itertools.takewhile(lambda line: not line.startswith("latency"), printed.splitlines()))

    assert result(through_gateway) == result(direct)
