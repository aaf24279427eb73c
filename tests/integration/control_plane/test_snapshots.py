"""Changes in the store reach gateways: the one beside the API within a second, others within three."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx2
import psycopg
import pytest

from gateway.testing.shop import Shop
from tests.fixtures.control_plane import ControlPlane, LinkedGateway, StartLinked, refused
from tests.fixtures.gateway import ANALYST
from tests.fixtures.waiting import eventually, seconds_until

DENY = {"name": "no-orders", "effect": "deny", "match": {"objects": ["public.orders"], "groups": ["analysts"]}}
READ = "SELECT id FROM orders LIMIT 1"

LOCALLY = 1.0
"""Seconds that a change may take on one machine."""
REMOTELY = 3.0


def connect(plane: ControlPlane, port: int | None = None) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(plane.conninfo(port=port), autocommit=True)


@pytest.fixture(scope="module")
def linked(control_plane: ControlPlane, start_linked: StartLinked) -> LinkedGateway:
    return start_linked(control_plane)


def test_a_policy_counts_for_running_sessions_on_every_gateway(
    control_plane: ControlPlane, linked: LinkedGateway, record_property: Callable[[str, object], None]
) -> None:
    with connect(control_plane) as here, connect(control_plane, linked.port) as there:
        assert not refused(here, READ)
        assert not refused(there, READ)
        control_plane.ask("POST", "/v1/policies", DENY, 201)
        locally = seconds_until(lambda: refused(here, READ))
        remotely = locally + seconds_until(lambda: refused(there, READ))
        record_property("locally", locally)
        record_property("remotely", remotely)
        assert locally <= LOCALLY
        assert remotely <= REMOTELY
    control_plane.ask("DELETE", "/v1/policies/no-orders", None, 204, **{"If-Match": "*"})


def test_masks_hold_there_and_the_password_travels_sealed(
    control_plane: ControlPlane, linked: LinkedGateway, shop_database: Shop
) -> None:
    with connect(control_plane, linked.port) as there:
        [(email,)] = there.execute("SELECT email FROM customers LIMIT 1").fetchall()
        assert "@" not in str(email)
    kept = b"".join(path.read_bytes() for path in (linked.folder / "data").glob("*") if path.is_file())
    assert b"no-delete-without-where" in kept, "the snapshot is kept"
    assert shop_database.password.encode() not in kept
    shown = json.dumps(control_plane.ask("GET", "/v1/export"))
    assert shop_database.password not in shown


def test_sessions_are_seen_and_ended_everywhere(control_plane: ControlPlane, linked: LinkedGateway) -> None:
    with connect(control_plane) as here, connect(control_plane, linked.port) as there:
        there.execute(READ)
        eventually(lambda: len(control_plane.ask("GET", f"/v1/sessions?principal={ANALYST}")["items"]) == 2)
        eventually(lambda: any(item["statements"] for item in _sessions(control_plane, gateway="gw-1")))
        [remote] = _sessions(control_plane, gateway="gw-1")
        assert (remote["principal"], remote["resource"], remote["protocol"]) == (ANALYST, "shop-prod", "postgres")
        assert remote["token"].startswith("tok-")
        assert remote["fingerprint"]
        control_plane.ask("POST", "/v1/sessions/terminate", {"session": remote["id"], "reason": "go home"})
        took = seconds_until(lambda: refused(there, "SELECT 1"))
        assert took <= REMOTELY
        assert not refused(here, "SELECT 1"), "only that one was meant"
        control_plane.ask("POST", "/v1/sessions/terminate", {"principal": ANALYST})
        assert seconds_until(lambda: refused(here, "SELECT 1")) <= LOCALLY


def _sessions(plane: ControlPlane, gateway: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = plane.ask("GET", f"/v1/sessions?gateway={gateway}&state=idle")["items"]
    return found


def test_a_revoked_token_ends_its_sessions_everywhere(control_plane: ControlPlane, linked: LinkedGateway) -> None:
    issued = control_plane.ask("POST", "/v1/tokens", {"principal": ANALYST}, 201)
    other = control_plane.token(ANALYST)
    assert other != issued["token"]
    info = control_plane.conninfo(password=issued["token"])
    eventually(lambda: linked.health()["snapshot"] == control_plane.api.get("/health").json()["snapshot"])
    with (
        psycopg.connect(info, autocommit=True) as here,
        psycopg.connect(control_plane.conninfo(port=linked.port, password=issued["token"]), autocommit=True) as there,
        connect(control_plane, linked.port) as innocent,
    ):
        control_plane.ask("POST", f"/v1/tokens/{issued['id']}/revoke")
        locally = seconds_until(lambda: refused(here, "SELECT 1"))
        remotely = locally + seconds_until(lambda: refused(there, "SELECT 1"))
        assert locally <= LOCALLY
        assert remotely <= REMOTELY
        assert not refused(innocent, "SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(control_plane.conninfo(port=linked.port, password=issued["token"]))
    tokens = control_plane.ask("GET", f"/v1/tokens?principal={ANALYST}&state=revoked")["items"]
    assert tokens[0]["id"] == issued["id"]


def test_a_foreign_control_plane_is_not_obeyed(control_plane: ControlPlane, start_linked: StartLinked) -> None:
    other = "ed25519:" + "A" * 43 + "="
    linked = start_linked(control_plane, "pinned", trust=other, ready=False)
    eventually(lambda: "this gateway trusts" in linked.health()["detail"] or "unreachable" in linked.health()["detail"])
    time.sleep(1)
    assert linked.health()["status"] == "unavailable"
    key = control_plane.ask("GET", "/v1/snapshots/signing-key")["key"]
    assert start_linked(control_plane, "good", trust=key).health()["status"] == "ok"


def test_gateways_are_seen_as_they_are(control_plane: ControlPlane, linked: LinkedGateway) -> None:
    def shown() -> dict[str, object]:
        found: dict[str, object] = control_plane.ask("GET", "/v1/gateways/gw-1")
        return found

    eventually(lambda: shown()["state"] == "serving")
    eventually(lambda: shown()["up_to_date"])
    newest = control_plane.ask("GET", "/v1/snapshots")["items"][0]
    assert newest["current"]
    assert "gw-1" in newest["gateways"]


def test_the_link_needs_a_credential(control_plane: ControlPlane) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer qgw_x_y"},
        {"Authorization": control_plane.api.headers["authorization"]},
    ):
        answer = httpx2.get(f"{control_plane.url}/link/changes", headers=headers)
        assert answer.status_code == 401, headers
