"""Settings in a startup packet are decided like SET."""

from __future__ import annotations

import psycopg
import pytest

from gateway.domain.statement import Action
from gateway_postgres import settings
from tests.fixtures.gateway import ANALYST, RunningGateway


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("", ()),
        ("-c role=admin", ("role",)),
        ("-crole=admin -c search_path=a,b", ("role", "search_path")),
        ("--session-replication-role=replica", ("session_replication_role",)),
        ("-c ROLE=x", ("role",)),
        (r"-c search_path=a\ b -c role=c", ("search_path", "role")),
        ("-c geqo=off -c geqo=on", ("geqo",)),
        ("-c statement_timeout", ("",)),
        ("-B 100", ("",)),
        ("-c", ("",)),
        ("-c TimeZone=UTC -c datestyle=ISO", ()),
    ],
)
def test_options_are_read_as_the_server_reads_them(options: str, found: tuple[str, ...]) -> None:
    assert settings.names({"options": options}) == found


def test_what_drivers_send_with_every_connection_is_not_asked_about() -> None:
    sent = {"application_name": "x", "client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "UTC"}
    assert settings.names(sent) == ()
    assert settings.names(sent | {"search_path": "x", "Role": "y"}) == ("search_path", "role")


def test_a_switch_that_is_no_setting_is_not_trusted() -> None:
    (facts,) = settings.facts(("",))
    assert facts.actions == {Action.SET}
    assert facts.opaque


def test_a_setting_that_set_would_be_refused_is_refused_at_the_start(start_gateway, shop_database) -> None:
    def forbid(config) -> None:
        config["policies"].append(
            {
                "name": "no-role",
                "effect": "deny",
                "match": {"actions": ["set"], "settings": ["role"]},
                "message": "stay",
            }
        )

    gateway: RunningGateway = start_gateway(shop_database, change=forbid)
    with psycopg.connect(gateway.conninfo(ANALYST, options="-c search_path=public")) as session:
        assert session.execute("SHOW search_path").fetchone() == ("public",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="stay"):
            session.execute("SET role postgres")
    with pytest.raises(psycopg.OperationalError, match="stay"):
        psycopg.connect(gateway.conninfo(ANALYST, options="-c role=postgres"))
