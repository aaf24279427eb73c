"""``policy explain`` and ``classify`` on the shop: what they say is what is so."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli import app
from gateway.config import load_config
from gateway.testing.shop import SENSITIVE_COLUMNS, Shop
from tests.fixtures.gateway import ADMIN, ANALYST, RESOURCE, SUPPORT, RunningGateway, StartGateway, gateway_config


@dataclass(frozen=True, slots=True)
class Setting:
    """A configuration on disk, and what its secrets are."""

    path: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, *arguments: str) -> Any:
        """The command's result; it must not end with an exception that nobody expected."""
        return CliRunner().invoke(app, [*arguments, "--config", str(self.path)], env=self.environment)


def written(folder: Path, config: dict[str, Any], shop: Shop) -> Setting:
    path = folder / "querygate.yaml"
    path.write_text(json.dumps(config))
    return Setting(path, {"SHOP_PASSWORD": shop.password, "TEST_TOKEN": secrets.token_urlsafe(32)})


@pytest.fixture
def unlabelled(tmp_path: Path, shop_database: Shop) -> Setting:
    """A gateway's configuration before anybody has classified anything."""
    config = gateway_config(shop_database, port=6432, tls=False)
    config["classifications"] = []
    config["policies"] = [policy for policy in config["policies"] if policy["effect"] != "mask"]
    return written(tmp_path, config, shop_database)


# --- classify -------------------------------------------------------------------------------------------------------


def proposed(document: str) -> dict[str, set[str]]:
    """Columns by label."""
    found = yaml.safe_load(document)["classifications"]
    return {item["label"]: set(item["columns"]) for item in found}


def test_classify_finds_what_is_sensitive_and_nothing_among_ids(unlabelled: Setting) -> None:
    result = unlabelled.run("classify", RESOURCE)
    assert result.exit_code == 0, result.output
    labels = proposed(result.stdout)
    for label, columns in SENSITIVE_COLUMNS.items():
        assert labels[label] >= set(columns), label
    everything = set[str]().union(*labels.values())
    assert not {column for column in everything if column.startswith("public.orders")}, everything
    assert not {column for column in everything if column.startswith(("public.products", "public.order_items"))}
    assert "public.customers.id" not in everything
    # Views are not classified (lineage sees through them), partitions and children follow their parent.
    assert not {column for column in everything if "customer_contacts" in column or "contractors" in column}
    assert "public.contractors.home_email" in result.stdout
