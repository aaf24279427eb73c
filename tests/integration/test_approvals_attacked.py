"""Getting another statement through than the one that was approved: with PostgreSQL's own means, by real clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from gateway.domain.approval import ApprovalState, GrantScope
from gateway.testing.shop import Shop
from tests.fixtures.gateway import Config
from tests.integration.approvals import DORA, DeskBed, desk_bed

TABLES = ("tuned", "wide", "scratch")


def policies(config: Config) -> None:
    def held(table: str, **more: Any) -> Config:
        return {
            "name": f"ask-{table}",
            "effect": "require_approval",
            "match": {"objects": [f"*.{table}"], "actions": ["write", "ddl"]},
            "approval": {"approvers": ["dba"], "timeout": "30s"} | more,
        }

    config["policies"] = [
        {"name": "all", "effect": "allow", "match": {"actions": ["*"]}},
        held("tuned", hold=False),
        held("wide", hold=False, scopes=["once", "window"]),
    ]


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory, shop_database: Shop) -> Iterator[DeskBed]:
    for table in TABLES:
        shop_database.server.psql(
            f"CREATE TABLE public.{table} (id int, at timestamptz DEFAULT now()); "
            f"GRANT ALL ON public.{table} TO PUBLIC;",
            database=shop_database.database,
        )
    shop_database.server.psql("CREATE ROLE approved; GRANT approved TO gateway;", database=shop_database.database)
    with desk_bed(tmp_path_factory.mktemp("approvals"), shop_database, policies) as bed:
        yield bed


@pytest.fixture(autouse=True)
def nothing_waits(bed: DeskBed) -> Iterator[None]:
    yield
    for request in bed.requests(ApprovalState.PENDING):
        bed.decide(request, approve=False)


def refused(connection: psycopg.Connection[Any], text: str) -> bool:
    try:
        connection.execute(text)
    except psycopg.errors.InsufficientPrivilege as error:
        if "needs an approval" not in str(error):
            raise
        return True
    return False


def in_one_go(connection: psycopg.Connection[Any], *texts: str) -> None:
    with connection.pipeline():
        for text in texts:
            connection.execute(text)


def count(connection: psycopg.Connection[Any]) -> int:
    (number,) = connection.execute("SELECT count(*) FROM tuned").fetchone() or (-1,)
    return int(number)


def approve(bed: DeskBed, connection: psycopg.Connection[Any], text: str, **more: Any) -> None:
    assert refused(connection, text)
    bed.decide(bed.pending(), **more)


SETTINGS = {
    "a time zone": ("SET TimeZone = 'Pacific/Kiritimati'", "DELETE FROM tuned WHERE at < '2026-01-01'"),
    "the order of a date's parts": ("SET DateStyle = 'SQL, DMY'", "DELETE FROM tuned WHERE at < '02/03/2026'"),
    "what = NULL means": ("SET transform_null_equals = on", "DELETE FROM tuned WHERE id = NULL"),
    "a setting of one's own": ("SET my.id = '2'", "DELETE FROM tuned WHERE id = current_setting('my.id', true)::int"),
    "the same by a function": (
        "SELECT set_config('my.id', '2', false)",
        "DELETE FROM tuned WHERE id = current_setting('my.id', true)::int",
    ),
    "a search path by a function": ("SELECT set_config('search_path', 'pg_temp, public', false)", "DELETE FROM tuned"),
    "a table of the session's own": ("CREATE TEMP TABLE scratch (id int)", "INSERT INTO tuned SELECT id FROM scratch"),
    "a role": ("SET ROLE approved", "INSERT INTO tuned VALUES (3)"),
    "an authorisation": ("SET SESSION AUTHORIZATION DEFAULT", "INSERT INTO tuned VALUES (4)"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_was_approved_before_a_setting_is_not_approved_after_it(bed: DeskBed, name: str) -> None:
    setting, text = SETTINGS[name]
    with bed.connect("sam@example.com") as connection:
        approve(bed, connection, text)
        connection.execute(setting)
        assert refused(connection, text)
    with bed.connect("sam@example.com") as connection:
        assert not refused(connection, text), "as it was asked for"


@pytest.mark.parametrize(
    "options", [{"options": "-c TimeZone=Pacific/Kiritimati"}, {"client_encoding": "latin1"}], ids=str
)
def test_what_was_set_with_the_connection_counts(bed: DeskBed, options: dict[str, str]) -> None:
    text = "DELETE FROM tuned WHERE at < '2026-01-01'"
    with bed.connect("sam@example.com") as connection:
        approve(bed, connection, text)
    with bed.connect("sam@example.com", **options) as connection:
        assert refused(connection, text)
    with bed.connect("sam@example.com", application_name="another") as connection:
        assert not refused(connection, text)


@pytest.mark.parametrize("pipelined", [False, True], ids=["one after the other", "in one go"])
def test_a_setting_that_was_sent_just_ahead_counts(bed: DeskBed, pipelined: bool) -> None:
    text = "DELETE FROM tuned WHERE id = current_setting('my.id', true)::int"
    with bed.connect("sam@example.com") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            in_one_go(connection, "SET my.id = '1'", text)
        bed.decide(bed.pending())
        ahead = ["SET my.id = '2'"]
        if not pipelined:
            in_one_go(connection, ahead.pop())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            in_one_go(connection, *ahead, text)
        in_one_go(connection, "SET my.id = '1'", text)


def test_settings_that_end_with_a_transaction_do_not_carry_an_approval_into_it(bed: DeskBed) -> None:
    text = "DELETE FROM tuned WHERE at < '2026-01-01'"
    with bed.connect("sam@example.com") as connection:
        approve(bed, connection, text)
        connection.execute("BEGIN")
        connection.execute("SET LOCAL TimeZone = 'Pacific/Kiritimati'")
        assert refused(connection, text)
        connection.execute("ROLLBACK")


def test_what_tools_say_at_each_turn_costs_no_approval(bed: DeskBed) -> None:
    text = "INSERT INTO tuned VALUES (11)"

    def turn(connection: psycopg.Connection[Any], number: int) -> None:
        connection.execute(f"SET application_name = 'worker {number}'")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SELECT 'a@b', now()")

    with bed.connect("sam@example.com") as connection:
        turn(connection, 1)
        approve(bed, connection, text)
        turn(connection, 2)
        turn(connection, 3)
        assert not refused(connection, text)


@pytest.mark.parametrize(
    "other",
    [
        "DELETE FROM wide WHERE id = id",
        "DELETE FROM wide",
        "DELETE FROM wide WHERE id = 1 OR true",
        "DELETE FROM wide WHERE id >= 1",
        "DELETE FROM wide WHERE id = (SELECT 1)",
        "DELETE FROM wide WHERE id IN (SELECT id FROM scratch)",
        "DELETE FROM wide WHERE id = -id",
        "DELETE FROM wide WHERE NOT id = 1",
        "DELETE FROM public.scratch WHERE id = 1",
    ],
)
def test_a_window_is_no_wider_than_the_shape_that_was_approved(bed: DeskBed, other: str) -> None:
    with bed.connect("sam@example.com") as connection:
        approve(bed, connection, "DELETE FROM wide WHERE id = 1", scope=GrantScope.WINDOW)
        assert not refused(connection, "DELETE FROM wide WHERE id = 2")
        if "scratch WHERE" in other:
            assert not refused(connection, other), "no policy asks for it"
        else:
            assert refused(connection, other)
    for request in bed.requests(ApprovalState.APPROVED):
        bed.call(bed.assembly.desk.revoke(request.id, DORA))


def test_what_is_sent_behind_a_statement_that_was_approved_is_asked_for_itself(bed: DeskBed) -> None:
    text = "INSERT INTO tuned VALUES (21)"
    with bed.connect("sam@example.com") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            in_one_go(connection, text)
        bed.decide(bed.pending())
        before = count(connection)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            in_one_go(connection, text, "INSERT INTO tuned VALUES (22)", text)
        assert count(connection) == before, "a pipeline is one transaction"
        assert refused(connection, f"{text}; INSERT INTO tuned VALUES (23)")
        assert refused(connection, "COPY tuned (id) FROM STDIN")
