"""The command line against a control plane: log in, export, plan, apply, tokens, connect."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fixtures.control_plane import PASSWORD, ControlPlane
from tests.fixtures.gateway import ADMIN


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, control_plane: ControlPlane) -> Path:
    """Somebody's home, logged in."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "password").write_text(PASSWORD + "\n")
    done = querygate(folder, "login", control_plane.url, "--name", ADMIN, "--password-file", "password")
    assert done.returncode == 0, done.stderr
    assert "owner" in done.stderr
    return folder


def querygate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QUERYGATE_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        cwd=folder,
        env={**environment, "HOME": str(folder), "XDG_CONFIG_HOME": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_store_goes_to_files_and_comes_back(control_plane: ControlPlane, home: Path) -> None:
    assert querygate(home, "export", "-o", "store").returncode == 0
    same = querygate(home, "plan", "-f", "store", "--json")
    assert same.returncode == 0, same.stdout + same.stderr
    assert json.loads(same.stdout)["changes"] == []
    path = home / "store" / "policies.yaml"
    policies = yaml.safe_load(path.read_text())["policies"]
    policies.append({"name": "new", "effect": "deny", "mode": "draft", "match": {"groups": ["nobody"]}})
    path.write_text(yaml.safe_dump({"policies": policies}))
    planned = querygate(home, "plan", "-f", "store")
    assert planned.returncode == 2
    assert "+ policies new" in planned.stdout
    applied = querygate(home, "apply", "-f", "store", "--yes")
    assert applied.returncode == 2, applied.stderr
    assert control_plane.ask("GET", "/v1/policies/new")["mode"] == "draft"
    assert querygate(home, "apply", "-f", "store", "--yes").returncode == 0, "there is nothing left to do"


def test_a_mistake_is_told_with_its_file(home: Path) -> None:
    (home / "broken.yaml").write_text("policies:\n- {name: x, effect: deny, match: {when: 'nonsense'}}\n")
    done = querygate(home, "plan", "-f", "broken.yaml")
    assert done.returncode == 1
    assert 'broken.yaml: policies "x"' in done.stderr


def test_tokens_and_psql(control_plane: ControlPlane, home: Path) -> None:
    if shutil.which("psql") is None:
        pytest.skip("there is no psql")
    done = querygate(home, "connect", "shop-prod", "--", "-AXtc", "SELECT 6 * 7")
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr
    listed = json.loads(querygate(home, "token", "list", "--json").stdout)
    assert [token["state"] for token in listed if token["principal"] == ADMIN] == ["revoked"]
    assert listed[-1]["used"] is not None
    created = querygate(home, "token", "create", "--resource", "shop-prod", "--ttl", "5m")
    assert created.stdout.startswith("qg_")
    revoked = querygate(home, "token", "revoke", created.stderr.split()[1])
    assert revoked.returncode == 0, revoked.stderr
