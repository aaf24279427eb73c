"""A gateway whose control plane is gone, and one that never had any."""

from __future__ import annotations

import psycopg
import pytest

from tests.fixtures.control_plane import ControlPlane, StartLinked, refused
from tests.fixtures.waiting import eventually

READ = "SELECT id FROM orders LIMIT 1"


def test_a_gateway_without_a_snapshot_lets_nobody_in(control_plane: ControlPlane, start_linked: StartLinked) -> None:
    stranger = start_linked(control_plane, "stranger", credential="qgw_unknown_unknown", ready=False)
    eventually(lambda: "unreachable" in stranger.health()["detail"] or "no snapshot" in stranger.health()["detail"])
    assert stranger.health()["status"] == "unavailable"
    with pytest.raises(psycopg.OperationalError, match="has not got its policies yet"):
        psycopg.connect(control_plane.conninfo(port=stranger.port))


def test_a_gateway_survives_the_control_planes_absence(control_plane: ControlPlane, start_linked: StartLinked) -> None:
    linked = start_linked(control_plane, "survivor")
    info = control_plane.conninfo(port=linked.port)
    with psycopg.connect(info, autocommit=True) as before:
        control_plane.process.kill()
        eventually(lambda: "control plane unreachable" in linked.health()["detail"])
        assert linked.health()["status"] == "ok", "clients are welcome"
        assert not refused(before, READ)
        with psycopg.connect(info) as new:
            new.execute(READ)
    # A restart without a control plane begins with the last good snapshot.
    credential = "qgw_unknown_unknown"
    linked.process.stop()
    again = start_linked(control_plane, "survivor", credential=credential)
    with psycopg.connect(control_plane.conninfo(port=again.port)) as new:
        new.execute(READ)
