"""A held statement, decided from a terminal: a real psql-like client, a real control plane, the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.control_plane import PASSWORD, ControlPlane
from tests.fixtures.gateway import ADMIN, SUPPORT
from tests.fixtures.waiting import eventually
from tests.integration.control_plane.test_cli import querygate


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, control_plane: ControlPlane) -> Iterator[Path]:
    """An approver's home, logged in; deletions wait for the admins meanwhile."""
    policy = {
        "name": "deletions-wait",
        "effect": "require_approval",
        "match": {"groups": ["support"], "actions": ["delete"]},
        "approval": {"approvers": ["admins"], "timeout": "90s"},
    }
    control_plane.ask("POST", "/v1/policies", policy, 201)
    folder = tmp_path_factory.mktemp("approver")
    (folder / "password").write_text(PASSWORD + "\n")
    done = querygate(folder, "login", control_plane.url, "--name", ADMIN, "--password-file", "password")
    assert done.returncode == 0, done.stderr
    yield folder
    control_plane.ask("DELETE", "/v1/policies/deletions-wait", status=204, **{"If-Match": "*"})


@pytest.mark.timeout(240)
def test_looking_and_deciding_from_a_terminal(control_plane: ControlPlane, home: Path) -> None:
    def delete() -> str:
        with psycopg.connect(control_plane.conninfo(SUPPORT), autocommit=True) as session:
            return session.execute("DELETE FROM orders WHERE id = -1").statusmessage or ""

    def pending() -> str:
        found = control_plane.ask("GET", "/v1/approvals?state=pending")["items"]
        return str(found[0]["id"]) if found else ""

    with ThreadPoolExecutor(2) as threads:
        statement: Future[str] = threads.submit(delete)
        request = eventually(pending, within=60)
        listed = querygate(home, "approvals", "list")
        assert request in listed.stdout
        assert SUPPORT in listed.stdout
        shown = querygate(home, "approvals", "show", request)
        assert "predicate present" in shown.stdout, shown.stderr
        assert "DELETE FROM orders WHERE id = -1" in shown.stdout
        done = querygate(home, "approvals", "approve", request, "--reason", "nothing is deleted")
        assert done.stdout.strip().startswith(f"request {request} is approved"), done.stderr
        assert statement.result(30) == "DELETE 0"
        late = querygate(home, "approvals", "reject", request)
        assert late.returncode == 2
        assert "nothing is left to decide" in late.stderr

        statement = threads.submit(delete)
        request = eventually(pending, within=60)
        rejected = querygate(home, "approvals", "reject", request, "--reason", "not today")
        assert rejected.returncode == 0, rejected.stderr
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="not today"):
            statement.result(30)
    everything = json.loads(querygate(home, "approvals", "list", "--state", "all", "--json").stdout)
    assert {item["state"] for item in everything} == {"used", "rejected"}
