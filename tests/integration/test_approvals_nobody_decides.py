"""A gateway with a configuration file alone refuses at once what needs an approval."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from gateway.testing.shop import Shop
from tests.fixtures.gateway import StartGateway

Config = dict[str, Any]


def ask_for_writes(config: Config) -> None:
    config["approvals"] = {"url": "https://querygate.example/approvals"}
    for hold in (True, False):
        config["policies"].append(
            {
                "name": f"ask-{hold}",
                "effect": "require_approval",
                "match": {"objects": ["public.products" if hold else "public.orders"], "actions": ["write"]},
                "approval": {"approvers": ["dba"], "timeout": "10m", "hold": hold},
                **({"message": "writes need a colleague"} if hold else {}),
            }
        )


def test_the_refusal_comes_at_once_and_says_what_is_missing(start_gateway: StartGateway, shop_database: Shop) -> None:
    gateway = start_gateway(shop_database, change=ask_for_writes)
    with psycopg.connect(gateway.conninfo(), autocommit=True) as connection:
        for table, message in (("products", "writes need a colleague; "), ("orders", "")):
            began = time.monotonic()
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
                connection.execute(f"DELETE FROM {table} WHERE id = -1")
            assert time.monotonic() - began < 60, "nobody waits for the time to be over, which is ten minutes"
            told = refused.value.diag.message_primary or ""
            assert f"{message}this statement needs an approval, and nobody can decide about it here" in told
            assert "control_plane" in told
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
