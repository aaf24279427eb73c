"""``querygate policy replay`` over what a real gateway recorded of real statements."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from gateway.testing.shop import Shop
from tests.fixtures.gateway import ANALYST, RunningGateway, StartGateway, gateway_config


def replay(folder: Path, *arguments: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "policy", "replay", "--json", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 2), done.stderr
    return done.returncode, json.loads(done.stdout)


def candidate(gateway: RunningGateway, shop: Shop, *more: dict[str, Any]) -> str:
    config = gateway_config(shop, port=gateway.port, tls=False)
    config["policies"] += list(more)
    path = gateway.folder / "candidate.yaml"
    path.write_text(json.dumps(config))
    return str(path)


def test_tells_what_a_new_policy_would_have_refused(start_gateway: StartGateway, shop_database: Shop) -> None:
    gateway = start_gateway(shop_database)
    with psycopg.connect(gateway.conninfo(ANALYST), autocommit=True) as connection:
        connection.execute("SELECT id FROM customers LIMIT 1")
        for number in range(3):
            connection.execute(f"SELECT email FROM customers WHERE id = {number}")
    assert gateway.process.stop() == 0  # so that the log is whole
    status, same = replay(gateway.folder, "--config", candidate(gateway, shop_database))
    assert (status, same["changed"]) == (0, 0)
    assert same["statements"] >= 4
    new = {"name": "no-emails", "effect": "deny", "match": {"labels": ["pii.email"], "actions": ["read"]}}
    status, found = replay(gateway.folder, "--config", candidate(gateway, shop_database, new))
    assert status == 2
    [difference] = found["differences"]
    assert difference["change"] == "refused"
    assert (difference["principal"], difference["policy"], difference["count"]) == (ANALYST, "no-emails", 3)
    assert "email" in difference["example"]["text"]
    status, _ = replay(gateway.folder, "--config", candidate(gateway, shop_database, {**new, "mode": "draft"}))
    assert status == 0
    status, _ = replay(gateway.folder, "--config", str(gateway.folder / "candidate.yaml"), "--enforce", "no-emails")
    assert status == 2
