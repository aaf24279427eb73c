"""Approvers who leave while a statement waits, and grants that are taken back: beside the control plane, and linked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from gateway.testing.shop import Shop
from tests.fixtures.control_plane import (
    PASSWORD,
    ControlPlane,
    LinkedGateway,
    StartLinked,
    refused,
    start_control_plane,
)
from tests.fixtures.gateway import ADMIN, SUPPORT
from tests.fixtures.waiting import eventually
from tests.integration.control_plane.test_cli import querygate
from tests.integration.control_plane.test_linked_approvals import client, held, pending, plane_gateway, rows, state

POLICIES = [
    {"name": "everything-else", "effect": "allow", "match": {"actions": ["*"]}},
    held("two", "left_two", approvers=["dba"], count=2),
    held("later", "left_later", approvers=["dba"], hold=False),
    held("wide", "left_wide", approvers=["dba"], scopes=["once", "window", "session"]),
    {
        "name": "fence",
        "effect": "deny",
        "match": {"objects": ["public.left_fenced"], "except_groups": ["fenced-readers"]},
    },
]
TABLES = ("left_two", "left_later", "left_wide", "left_fenced")
_numbers = itertools.count(1)
ACCESS = {"group": "fenced-readers", "groups": ["admins"], "approvers": ["dba"], "max_duration": "1h"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, shop_database: Shop, control_stack: ExitStack) -> ControlPlane:
    for table in TABLES:
        shop_database.server.psql(
            f"CREATE TABLE IF NOT EXISTS public.{table} (id int); GRANT ALL ON public.{table} TO PUBLIC;",
            database=shop_database.database,
        )
    folder = tmp_path_factory.mktemp("plane") / "control"
    plane = start_control_plane(folder, shop_database, control_stack, approvals={"access": [ACCESS]})
    for policy in POLICIES:
        plane.ask("POST", "/v1/policies", policy, 201)
    for user in (ADMIN, SUPPORT):
        plane.token(user)
    return plane


@pytest.fixture(scope="module", params=["beside", "linked"])
def where(request: pytest.FixtureRequest, plane: ControlPlane, start_linked: StartLinked) -> LinkedGateway:
    """The gateway that has the sessions: the one beside the control plane, or one that is linked to it."""
    return plane_gateway(plane) if request.param == "beside" else start_linked(plane, "gw-leaving")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Dba:
    """An administrator who belongs to the approvers, until they leave."""

    def __init__(self, plane: ControlPlane, name: str) -> None:
        self.plane, self.name = plane, name
        wanted = {"name": name, "password": PASSWORD, "roles": ["approver"], "groups": ["dba"]}
        self.path = f"/v1/admins/{plane.ask('POST', '/v1/admins', wanted, 201)['id']}"
        answer = httpx2.post(f"{plane.url}/v1/auth/login", json={"name": name, "password": PASSWORD})
        self.token = answer.json()["access_token"]

    def approves(self, request: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self._say(request, "decision", {"decision": "approve", **more})

    def revokes(self, request: dict[str, Any], reason: str) -> dict[str, Any]:
        return self._say(request, "revocation", {"reason": reason})

    def becomes(self, **what: Any) -> None:
        self.plane.ask("PATCH", self.path, what, 200, **{"If-Match": "*"})

    def _say(self, request: dict[str, Any], what: str, content: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        return dict(self.plane.ask("POST", f"/v1/approvals/{request['id']}/{what}", content, 200, **headers))


@pytest.fixture
def dbas(plane: ControlPlane) -> Iterator[list[Dba]]:
    number = next(_numbers)
    found = [Dba(plane, f"{name}-{number}@example.com") for name in ("daphne", "dave", "dina")]
    yield found
    for dba in found:
        plane.ask("DELETE", dba.path, status=204, **{"If-Match": "*"})


def recorded(plane: ControlPlane, request: dict[str, Any]) -> list[str]:
    """What the audit tells of a request, in order."""
    found = plane.ask("GET", "/v1/audit-events?kind=admin.approval&limit=100")["items"]
    events = [event for event in found if event["unmapped"]["change"]["name"] == request["id"]]
    return [str(event["metadata"]["event_code"]).rpartition(".")[2] for event in reversed(events)]


@pytest.mark.parametrize("change", [{"groups": ["sales"]}, {"disabled": True}], ids=["left", "disabled"])
def test_a_session_goes_on_when_those_who_still_may_are_enough(
    plane: ControlPlane,
    where: LinkedGateway,
    threads: ThreadPoolExecutor,
    dbas: list[Dba],
    shop_database: Shop,
    change: dict[str, Any],
) -> None:
    daphne, dave, dina = dbas
    before = rows(shop_database, "left_two")
    with client(plane, where) as session:
        statement = threads.submit(session.run, "INSERT INTO left_two VALUES (1)")
        request = pending(plane)
        assert daphne.approves(request)["approvals_missing"] == 1
        daphne.becomes(**change)
        after = dave.approves(request)
        assert (after["state"], after["approvals_missing"]) == ("pending", 1)
        assert not statement.done()
        assert rows(shop_database, "left_two") == before
        dina.approves(request)
        assert statement.result(20) == "INSERT 0 1"
    assert recorded(plane, request) == ["requested", "approved_in_part", "approved_in_part", "approved", "used"]


def test_what_was_approved_by_who_has_left_is_asked_for_anew(
    plane: ControlPlane, where: LinkedGateway, dbas: list[Dba]
) -> None:
    daphne, dave, _ = dbas
    text = "INSERT INTO left_later VALUES (1)"
    with client(plane, where) as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs an approval"):
            session.run(text)
        daphne.approves(first := pending(plane))
        daphne.becomes(roles=["viewer"])
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs an approval"):
            session.run(text)
        assert state(plane, first) == "revoked"
        assert recorded(plane, first) == ["requested", "approved", "revoked"]
        dave.approves(pending(plane))
        assert session.run(text) == "INSERT 0 1"


@pytest.mark.timeout(240)
def test_a_window_stays_when_its_approver_leaves_until_it_is_revoked(
    plane: ControlPlane, where: LinkedGateway, threads: ThreadPoolExecutor, dbas: list[Dba], tmp_path: Path
) -> None:
    daphne, dave, dina = dbas
    with client(plane, where) as session:
        for scope, revoke in (("window", dave), ("session", None)):
            statement = threads.submit(session.run, "INSERT INTO left_wide VALUES (1)")
            dba = daphne if scope == "window" else dina
            dba.approves(request := pending(plane), scope=scope)
            statement.result(20)
            dba.becomes(groups=["sales"])
            assert session.run("INSERT INTO left_wide VALUES (2)") == "INSERT 0 1"
            if revoke is not None:
                revoke.revokes(request, "daphne has left")
            else:
                (tmp_path / "password").write_text(PASSWORD + "\n")
                querygate(tmp_path, "login", plane.url, "--name", dave.name, "--password-file", "password")
                done = querygate(tmp_path, "approvals", "revoke", request["id"], "--reason", "dina has left")
                assert done.stdout == f"request {request['id']} is revoked\n", done.stderr
                shown = querygate(tmp_path, "approvals", "show", request["id"]).stdout
                assert f"revoked by {dave.name}: dina has left" in shown
                again = querygate(tmp_path, "approvals", "revoke", request["id"])
                assert again.returncode == 2
                assert "nothing is left to revoke" in again.stderr
            statement = threads.submit(session.run, "INSERT INTO left_wide VALUES (3)")
            asked = pending(plane)
            assert asked["id"] != request["id"]
            plane.ask("POST", f"/v1/approvals/{asked['id']}/decision", {"decision": "reject"}, 403)
            session.connection.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled):
                statement.result(20)
            assert recorded(plane, request)[-1] == "revoked"


def test_membership_that_is_revoked_ends_its_sessions(
    plane: ControlPlane, where: LinkedGateway, dbas: list[Dba]
) -> None:
    wish = {"group": "fenced-readers", "resource": "shop-prod", "duration_seconds": 600, "reason": "INC-42"}
    asked = plane.ask("POST", "/v1/access-requests", wish, 201)
    dbas[0].approves(asked)

    def let_in() -> bool:
        with client(plane, where, ADMIN) as session:
            return not refused(session.connection, "SELECT * FROM left_fenced")

    eventually(let_in)
    with client(plane, where, ADMIN) as inside:
        assert not refused(inside.connection, "SELECT * FROM left_fenced")
        dbas[1].revokes(asked, "the incident is over")
        eventually(lambda: refused(inside.connection, "SELECT 1"))
    with client(plane, where, ADMIN) as session:
        assert refused(session.connection, "SELECT * FROM left_fenced")
    assert recorded(plane, asked) == ["requested", "approved", "revoked"]


def test_who_is_locked_out_hears_no_more_of_requests(plane: ControlPlane, dbas: list[Dba]) -> None:
    wish = {"group": "fenced-readers", "resource": "shop-prod", "duration_seconds": 60, "reason": "INC-43"}
    headers = {"Authorization": f"Bearer {dbas[0].token}"}
    with httpx2.stream("GET", f"{plane.url}/v1/approvals/events", headers=headers, timeout=60) as events:
        told = events.iter_lines()
        assert next(told) == ": connected"
        asked = plane.ask("POST", "/v1/access-requests", wish, 201)
        assert any(asked["id"] in line for line in itertools.islice(told, 10))
        dbas[0].becomes(disabled=True)
        dbas[1].approves(asked)
        dbas[1].revokes(asked, "it was for a test")
        assert not any("revoked" in line or "approved" in line for line in told), "and the stream ends"
