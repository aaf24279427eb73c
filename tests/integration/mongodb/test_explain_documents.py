"""``policy explain`` and ``classify`` on the shop as documents."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli import app
from gateway.testing.shop_documents import DocumentShop
from tests.fixtures.mongodb import ANALYST, RESOURCE, mongo_config


@pytest.fixture
def configuration(tmp_path: Path, mongo_shop: DocumentShop) -> dict[str, Any]:
    return mongo_config(mongo_shop, port=6597, tls=False)


def run(folder: Path, shop: DocumentShop, config: dict[str, Any], *arguments: str) -> Any:
    path = folder / "querygate.yaml"
    path.write_text(json.dumps(config))
    environment = {"SHOP_PASSWORD": shop.password, "TEST_TOKEN": secrets.token_urlsafe(32)}
    return CliRunner().invoke(app, [*arguments, "--config", str(path)], env=environment)


def explained(folder: Path, shop: DocumentShop, config: dict[str, Any], command: dict[str, Any]) -> dict[str, Any]:
    question = ("policy", "explain", "--as", ANALYST, "--resource", RESOURCE, "--database", shop.database, "--json")
    result = run(folder, shop, config, *question, json.dumps(command))
    found: dict[str, Any] = json.loads(result.output)
    return found


def test_a_command_is_explained_with_the_paths_that_are_masked(
    tmp_path: Path, mongo_shop: DocumentShop, configuration: dict[str, Any]
) -> None:
    found = explained(tmp_path, mongo_shop, configuration, {"find": "customers", "filter": {"name": "x"}})
    assert found["allowed"]
    (statement,) = found["statements"]
    masks = {column["name"]: column["mask"] for column in statement["columns"]}
    assert masks["contact.email"]["function"] == "redact"
    assert masks["*"] is None
    assert statement["predicate"] == "present"


def test_what_would_be_refused_is_said(tmp_path: Path, mongo_shop: DocumentShop, configuration: dict[str, Any]) -> None:
    rename = {"update": "customers", "updates": [{"q": {}, "u": {"$rename": {"tax_number": "open"}}}]}
    found = explained(tmp_path, mongo_shop, configuration, rename)
    assert not found["allowed"]
    assert found["refused_by"] == "masking guard"


def test_paths_are_proposed(tmp_path: Path, mongo_shop: DocumentShop, configuration: dict[str, Any]) -> None:
    configuration["classifications"] = []
    configuration["policies"] = [policy for policy in configuration["policies"] if policy["effect"] != "mask"]
    result = run(tmp_path, mongo_shop, configuration, "classify", RESOURCE, "--database", mongo_shop.database)
    assert result.exit_code == 0, result.output
    document = result.output[result.output.index("# Labels proposed") :]
    found = {item["label"]: set(item["paths"]) for item in yaml.safe_load(document)["classifications"]}
    assert "shop.customers.contact.email" in found["pii.email"]
    assert "shop.customers.contact.phones.number" in found["pii.phone"]
