"""The health endpoints."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from fastapi.testclient import TestClient

from admin_api.app import create_app
from gateway import __version__
from gateway.control.port import SinkState
from gateway.services import Health

SERVING = Health(ready=True, detail="serving", sessions=3, snapshot="abc", audit="")
FULL = Health(ready=False, detail="no space left", sessions=3, snapshot="abc", audit="no space left")


def test_says_that_it_serves() -> None:
    answer = TestClient(create_app(lambda: SERVING)).get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "detail": "serving",
        "version": __version__,
        "sessions": 3,
        "snapshot": "abc",
        "audit": "",
        "sinks": [],
    }


def test_names_the_sinks_that_are_behind() -> None:
    health = replace(SERVING, sinks=(SinkState("siem", "refused", 12),))
    answer = TestClient(create_app(lambda: health)).get("/health")
    assert answer.status_code == 200, "clients are taken all the same"
    assert answer.json()["sinks"] == [{"name": "siem", "state": "refused", "behind": 12}]


def test_says_why_it_does_not_take_clients() -> None:
    client = TestClient(create_app(lambda: FULL))
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "no space left"
    assert client.get("/health/live").status_code == 200, "the process must not be restarted for a full disk"


def test_a_gateway_without_a_store_loads_nothing_of_it() -> None:
    script = (
        "import sys, admin_api.service, admin_api.cli, admin_api.server, admin_api.app\n"
        "print(sorted({'sqlalchemy', 'sqlmodel', 'alembic', 'argon2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
