"""A statement that waits for a human on a live PostgreSQL session, with real clients and a real server."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.domain.approval import (
    ApprovalRequest,
    ApprovalRule,
    ApprovalState,
    Approver,
    GrantScope,
    RequestKind,
    StatementSummary,
    Subject,
)
from gateway.testing.shop import Shop
from tests.fixtures.gateway import Config
from tests.fixtures.waiting import eventually
from tests.integration.approvals import DAVE, DORA, DeskBed, desk_bed

RULE = {"approvers": ["dba"], "timeout": "30s"}


def policies(config: Config) -> None:
    config["approvals"] = {"url": "https://querygate.example/approvals"}
    for principal in config["principals"]:
        if principal["name"] == "ana@example.com":
            principal["groups"] = ["dba", "staff"]
    config["principals"].append(
        {"name": "copilot", "kind": "agent", "acts_for": "ana@example.com", "token": {"env": "TEST_TOKEN"}}
    )

    def held(table: str, **more: Any) -> Config:
        return {
            "name": f"ask-{table}",
            "effect": "require_approval",
            "match": {"objects": [f"public.{table}"], "actions": ["write", "ddl"]},
            "approval": RULE | more,
        }

    config["policies"] = [
        {"name": "all", "effect": "allow", "match": {"actions": ["*"]}},
        {
            "name": "fence",
            "effect": "deny",
            "match": {"objects": ["public.fenced"], "except_groups": ["fenced-readers"]},
        },
        held("held"),
        held("twice", count=2),
        held("later", hold=False),
        held("anywhere", hold=False) | {"match": {"objects": ["*.anywhere"], "actions": ["write"]}},
        held("why", reason=True),
        held("windowed", scopes=["once", "window", "session"]),
        held("brief", timeout="300ms"),
        held("glass", break_glass=["staff"]),
    ]


TABLES = ("held", "twice", "later", "anywhere", "why", "windowed", "brief", "glass", "fenced")


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory, shop_database: Shop) -> Iterator[DeskBed]:
    for table in TABLES:
        shop_database.server.psql(
            f"CREATE TABLE IF NOT EXISTS public.{table} (id int); GRANT ALL ON public.{table} TO PUBLIC;",
            database=shop_database.database,
        )
    shop_database.server.psql(
        "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.anywhere (id int); "
        "GRANT ALL ON SCHEMA elsewhere TO PUBLIC; GRANT ALL ON elsewhere.anywhere TO PUBLIC;",
        database=shop_database.database,
    )
    shop_database.server.psql(
        "CREATE FUNCTION pick(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';"
        "CREATE VIEW picked AS SELECT id FROM products WHERE id = pick(3); GRANT SELECT ON picked TO PUBLIC;",
        database=shop_database.database,
    )
    with desk_bed(tmp_path_factory.mktemp("approvals"), shop_database, policies) as bed:
        yield bed


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def count(bed: DeskBed, table: str) -> int:
    with bed.connect("sam@example.com") as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM public.{table}").fetchone() or (-1,)
        return int(number)


def run(connection: psycopg.Connection[Any], text: str, *parameters: object) -> str:
    return connection.execute(text, parameters or None).statusmessage or ""


def hold(
    bed: DeskBed, threads: ThreadPoolExecutor, text: str, *parameters: object, user: str = "sam@example.com"
) -> tuple[psycopg.Connection[Any], Future[str], list[str]]:
    connection = bed.connect(user)
    notices: list[str] = []
    connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary or ""))
    return connection, threads.submit(run, connection, text, *parameters), notices


def read_by_the_approver(bed: DeskBed, threads: ThreadPoolExecutor, text: str, *parameters: object) -> StatementSummary:
    """What an approver sees of a statement, who then rejects it."""
    connection, statement, _ = hold(bed, threads, text, *parameters)
    request = bed.pending()
    assert request.statement is not None
    bed.decide(request, approve=False)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        statement.result(10)
    connection.close()
    return request.statement


def test_it_waits_tells_the_client_and_goes_on_when_approved(bed, threads):
    before = count(bed, "held")
    connection, statement, notices = hold(bed, threads, "INSERT INTO held SELECT generate_series(1, 5)")
    request = bed.pending()
    assert not statement.done()
    assert count(bed, "held") == before
    assert request.subject.principal == "sam@example.com"
    assert request.statement is not None
    assert request.statement.writes == ("public.held",)
    assert request.statement.actions == ("insert", "read")[:1] or "insert" in request.statement.actions
    bed.decide(request)
    assert statement.result(10) == "INSERT 0 5"
    assert any(f"https://querygate.example/approvals/{request.id}" in notice for notice in notices)
    assert run(connection, "SELECT 1") == "SELECT 1"
    connection.close()
    assert count(bed, "held") == before + 5


def test_a_rejection_is_a_native_error_and_the_session_goes_on(bed, threads):
    connection, statement, _ = hold(bed, threads, "DROP TABLE held")
    bed.decide(bed.pending(), approve=False, reason="we still need it")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="we still need it"):
        statement.result(10)
    assert run(connection, "SELECT 1") == "SELECT 1"
    connection.close()


def test_in_a_transaction_a_rejection_aborts_it_as_any_error(bed, threads):
    connection = bed.connect("sam@example.com")
    connection.autocommit = False
    run(connection, "SELECT 1")
    statement = threads.submit(run, connection, "INSERT INTO held VALUES (1)")
    bed.decide(bed.pending(), approve=False)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        statement.result(10)
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        run(connection, "SELECT 1")
    connection.rollback()
    connection.close()


def test_the_client_can_cancel_while_it_waits(bed, threads):
    connection, statement, _ = hold(bed, threads, "INSERT INTO held VALUES (1)")
    request = bed.pending()
    connection.cancel_safe()
    with pytest.raises(psycopg.errors.QueryCanceled):
        statement.result(10)
    assert bed.call(bed.assembly.desk.get(request.id)).state is ApprovalState.WITHDRAWN
    assert run(connection, "SELECT 1") == "SELECT 1"
    connection.close()


def test_nobody_decides_in_time(bed, threads):
    connection, statement, _ = hold(bed, threads, "INSERT INTO brief VALUES (1)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="in time"):
        statement.result(10)
    connection.close()
    assert count(bed, "brief") == 0


def test_a_client_that_leaves_withdraws_its_request(bed, threads):
    connection, statement, _ = hold(bed, threads, "INSERT INTO held VALUES (1)")
    request = bed.pending()
    # The socket's end and not ``finish()``: libpq must not be closed under the thread that uses it.
    with socket.socket(fileno=os.dup(connection.fileno())) as connected:
        connected.shutdown(socket.SHUT_RDWR)
    eventually(lambda: bed.call(bed.assembly.desk.get(request.id)).state is ApprovalState.WITHDRAWN)
    with pytest.raises(psycopg.Error):
        statement.result(10)


def test_other_sessions_go_on_meanwhile(bed, threads):
    connection, statement, _ = hold(bed, threads, "INSERT INTO held VALUES (1)")
    request = bed.pending()
    started = time.monotonic()
    with bed.connect("sam@example.com") as other:
        for _ in range(20):
            run(other, "SELECT 1")
    assert time.monotonic() - started < 10
    assert not statement.done()
    bed.decide(request)
    statement.result(10)
    connection.close()


def test_the_agent_of_a_person_is_not_approved_by_that_person(bed, threads):
    connection, statement, _ = hold(bed, threads, "INSERT INTO held VALUES (1)", user="copilot")
    request = bed.pending()
    assert request.subject.acts_for == ("ana@example.com",)
    from gateway.approvals.errors import NotEligible

    with pytest.raises(NotEligible):
        bed.decide(request, Approver("ana@example.com", frozenset({"dba"})))
    bed.decide(request)
    statement.result(10)
    connection.close()


def test_two_approvals(bed, threads):
    connection, statement, _ = hold(bed, threads, "INSERT INTO twice VALUES (1)")
    request = bed.pending()
    bed.decide(request, DORA)
    time.sleep(0.1)
    assert not statement.done()
    bed.decide(request, DAVE)
    statement.result(10)
    connection.close()


def test_without_waiting_the_same_statement_passes_once_after_the_approval(bed):
    with bed.connect("sam@example.com") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            run(connection, "INSERT INTO later VALUES (%s)", 7)
        request = bed.pending()
        assert request.id in str(refused.value)
        bed.decide(request)
    with bed.connect("sam@example.com") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(connection, "INSERT INTO later VALUES (%s)", 8)
        assert run(connection, "INSERT INTO later VALUES (%s)", 7) == "INSERT 0 1"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(connection, "INSERT INTO later VALUES (%s)", 7)
    for request in bed.requests(ApprovalState.PENDING):
        bed.decide(request, approve=False)


def test_it_is_for_what_the_text_meant_where_it_was_asked_for(bed):
    text = "INSERT INTO anywhere VALUES (1)"
    with bed.connect("sam@example.com") as asked, bed.connect("sam@example.com") as moved:
        moved.execute("SET search_path = elsewhere")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(asked, text)
        bed.decide(bed.pending())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs an approval"):
            run(moved, text)
        (number,) = moved.execute("SELECT count(*) FROM elsewhere.anywhere").fetchone() or (-1,)
        assert number == 0
        moved.execute("SET search_path = public")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="needs an approval"):
            run(moved, text)
        asked.execute("CREATE TEMPORARY TABLE anywhere (id int)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(asked, text)
    with bed.connect("sam@example.com") as again:
        assert run(again, text) == "INSERT 0 1"
    for request in bed.requests(ApprovalState.PENDING):
        bed.decide(request, approve=False)


def test_a_number_is_not_the_text_that_looks_like_it(bed):
    integer, text = 23, 25
    command = b"INSERT INTO later SELECT length($1::text)"

    def status(connection: psycopg.Connection[Any], type_: int) -> int:
        return connection.pgconn.exec_params(command, [b"1"], [type_]).status

    with bed.connect("sam@example.com") as connection:
        assert status(connection, integer) == psycopg.pq.ExecStatus.FATAL_ERROR
        bed.decide(bed.pending())
        assert status(connection, text) == psycopg.pq.ExecStatus.FATAL_ERROR
        assert status(connection, integer) == psycopg.pq.ExecStatus.COMMAND_OK
    for request in bed.requests(ApprovalState.PENDING):
        bed.decide(request, approve=False)


def test_a_text_of_several_statements_is_approved_as_a_whole(bed):
    text = "INSERT INTO later VALUES (41); INSERT INTO later VALUES (42)"
    with bed.connect("sam@example.com") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(text)
        bed.decide(bed.pending())
        for other in ("INSERT INTO later VALUES (41)", f"{text}; INSERT INTO later VALUES (43)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(other)
        connection.execute(text)
        found = connection.execute("SELECT id FROM later WHERE id IN (41, 42, 43) ORDER BY id").fetchall()
        assert found == [(41,), (42,)]
    for request in bed.requests(ApprovalState.PENDING):
        bed.decide(request, approve=False)


def test_another_statement_under_the_same_name_is_not_approved(bed):
    integer = 23
    with bed.connect("sam@example.com") as connection:
        server = connection.pgconn

        def prepare(text: str) -> None:
            assert server.exec_(b"DEALLOCATE ALL").status == psycopg.pq.ExecStatus.COMMAND_OK
            assert server.prepare(b"s", text.encode(), [integer]).status == psycopg.pq.ExecStatus.COMMAND_OK

        def runs() -> bool:
            return bool(server.exec_prepared(b"s", [b"1"]).status == psycopg.pq.ExecStatus.COMMAND_OK)

        asked, other = "INSERT INTO later VALUES ($1 + 50)", "INSERT INTO later VALUES ($1 + 60)"
        prepare(asked)
        assert not runs()
        bed.decide(bed.pending())
        prepare(other)
        assert not runs()
        prepare(asked)
        assert runs()
        assert connection.execute("SELECT id FROM later WHERE id IN (51, 61)").fetchall() == [(51,)]
    for request in bed.requests(ApprovalState.PENDING):
        bed.decide(request, approve=False)


def test_a_reason_must_be_given_where_the_policy_asks_for_it(bed, threads):
    connection = bed.connect("sam@example.com")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="reason:"):
        run(connection, "INSERT INTO why VALUES (1)")
    statement = threads.submit(run, connection, "/* reason: INC-42 */ INSERT INTO why VALUES (1)")
    request = bed.pending()
    assert request.reason == "INC-42"
    bed.decide(request)
    statement.result(10)
    connection.close()


def test_a_window_covers_statements_of_the_same_shape(bed, threads):
    connection, statement, _ = hold(bed, threads, "INSERT INTO windowed VALUES (1)")
    bed.decide(bed.pending(), scope=GrantScope.WINDOW, window=60.0)
    statement.result(10)
    assert run(connection, "INSERT INTO windowed VALUES (2)") == "INSERT 0 1"
    other = threads.submit(run, connection, "DELETE FROM windowed WHERE id = 1")
    bed.decide(bed.pending(), approve=False)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        other.result(10)
    connection.close()


def test_break_glass(bed, threads):

    connection, statement, _ = hold(bed, threads, "INSERT INTO glass VALUES (1)", user="ana@example.com")
    ana = Approver("ana@example.com", frozenset({"dba", "staff"}))
    bed.decide(bed.pending(), ana, reason="the site is down")
    statement.result(10)
    connection.close()
    assert "BREAK GLASS" in audit_text(bed)


def test_bound_parameters_are_part_of_what_is_approved_in_the_extended_protocol(bed, threads):
    connection = bed.connect("sam@example.com", prepare_threshold=0)
    statement = threads.submit(run, connection, "INSERT INTO held SELECT %s::int", 41)
    first = bed.pending()
    bed.decide(first)
    statement.result(10)
    statement = threads.submit(run, connection, "INSERT INTO held SELECT %s::int", 42)
    second = bed.pending()
    assert first.binding != second.binding
    bed.decide(second, approve=False)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        statement.result(10)
    connection.close()


def test_the_approver_sees_rows_predicate_and_what_went_before(bed, threads):
    connection = bed.connect("sam@example.com")
    run(connection, "SELECT 'before'")
    statement = threads.submit(run, connection, "DELETE FROM held")
    request = bed.pending()
    assert request.statement is not None
    assert request.statement.predicate == "absent"
    assert request.statement.estimated_rows is not None
    assert "SELECT 'before'" in request.statement.before
    bed.decide(request, approve=False)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        statement.result(10)
    connection.close()


def test_a_decision_reaches_the_session_at_once(bed, threads):
    delays = []
    for number in range(20):
        connection, statement, _ = hold(bed, threads, f"INSERT INTO held VALUES ({number})")
        request = bed.pending()
        bed.decide(request)
        decided = time.monotonic()
        statement.result(10)
        delays.append(time.monotonic() - decided)
        connection.close()
    # A bound against hanging; what is measured on a quiet machine stands in docs/performance.md.
    assert sorted(delays)[len(delays) // 2] < 1.0


def test_a_gateway_restart_withdraws_what_is_held(tmp_path: Path, shop_database: Shop, threads: ThreadPoolExecutor):
    with desk_bed(tmp_path, shop_database, policies) as first:
        connection, statement, _ = hold(first, threads, "INSERT INTO held VALUES (99)")
        request = first.pending()
    with pytest.raises(psycopg.Error):
        statement.result(10)
    connection.close()
    with desk_bed(tmp_path, shop_database, policies) as second:
        again = second.call(second.assembly.desk.get(request.id))
        assert again.state is ApprovalState.WITHDRAWN
        assert second.requests(ApprovalState.PENDING) == []


def test_access_for_some_time_holds_for_new_sessions_and_ends_them(bed):
    desk = bed.assembly.desk
    now = time.time()
    with bed.connect("sam@example.com") as connection:
        assert run(connection, "SELECT 1") == "SELECT 1"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(connection, "SELECT * FROM fenced")
    wish = ApprovalRequest(
        id=desk.new_id(),
        kind=RequestKind.ACCESS,
        state=ApprovalState.PENDING,
        created=now,
        expires=now + 60,
        subject=Subject("sam@example.com", "human"),
        resource="shop-prod",
        environment="",
        protocol="",
        database="",
        rules=(ApprovalRule("access", frozenset({"dba"}), hold=False),),
        binding="access",
        snapshot="",
        group="fenced-readers",
        duration=5.0,
    )
    bed.call(desk.submit(wish))
    bed.decide(wish)
    connection = bed.connect("sam@example.com")
    run(connection, "BEGIN")
    run(connection, "DECLARE open CURSOR FOR SELECT * FROM fenced")
    assert run(connection, "FETCH ALL FROM open") == "FETCH 0"

    def ended() -> bool:
        try:
            run(connection, "FETCH ALL FROM open")
        except psycopg.OperationalError:
            return True
        return False

    eventually(ended)
    connection.close()
    with bed.connect("sam@example.com") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(connection, "SELECT * FROM fenced")


def audit_text(bed: DeskBed) -> str:
    bed.call(bed.assembly.audit.commit())
    return "".join(
        path.read_text(errors="replace") for path in (bed.folder / "data" / "audit").rglob("*") if path.is_file()
    )


Change = Callable[[Config], None]


def test_the_approver_reads_the_parameters(bed, threads, shop_database):
    text = "INSERT INTO held SELECT id FROM (VALUES (%s::int)) AS v (id) WHERE %s::text <> %s::text OR %s::text IS NULL"
    shown = read_by_the_approver(bed, threads, text, 77, "it's\x1b[2J", "x" * 3000, None)
    number, word, long, nothing = shown.parameters
    assert (number, word, nothing) == ("77", '"it\'s\\u001b[2J"', "NULL")
    assert "cut, 3002 characters in all" in long
    assert shown.estimated_rows == 1
    assert "EXPLAIN (FORMAT JSON) INSERT INTO held SELECT id FROM" not in shop_database.server.log(), "no error"


@pytest.mark.parametrize("binary", [False, True])
def test_the_planner_is_asked_about_the_parameters(bed, threads, binary):
    text = f"INSERT INTO held SELECT generate_series(1, {'%b' if binary else '%t'})"
    assert read_by_the_approver(bed, threads, text, 7700).estimated_rows == 7700


@pytest.mark.parametrize(
    "query",
    ["SELECT id FROM picked", "SELECT 1 WHERE EXISTS (SELECT FROM picked)", "SELECT length(repeat('x', 900000000))"],
)
def test_what_planning_could_run_is_not_planned(bed, threads, query):
    shown = read_by_the_approver(bed, threads, f"INSERT INTO held {query}")
    assert (shown.opaque, shown.estimated_rows) == ((), None)


@pytest.mark.parametrize(("kind", "expected"), [("int4", 7700), ("odd", None)])
def test_a_value_of_a_type_that_somebody_made_is_not_read_for_an_estimate(bed, threads, shop_database, kind, expected):
    """To read it may be to run the code of a domain's CHECK."""
    shop_database.server.psql(
        "DROP DOMAIN IF EXISTS odd; CREATE DOMAIN odd AS int4 CHECK (VALUE > 0)", database=shop_database.database
    )
    oid = int(shop_database.server.psql(f"SELECT '{kind}'::regtype::oid", database=shop_database.database))
    connection = bed.connect("sam@example.com")

    def ask():
        text = b"INSERT INTO held SELECT generate_series(1, $1)"
        return connection.pgconn.exec_params(text, [b"7700"], param_types=[oid])

    statement = threads.submit(ask)
    request = bed.pending()
    assert request.statement is not None
    assert request.statement.estimated_rows == expected
    bed.decide(request, approve=False)
    assert b"42501" in (statement.result(10).error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"")
    connection.close()


def test_parameters_of_a_statement_with_a_password_are_not_shown(bed, threads):
    text = "INSERT INTO held SELECT 1 WHERE 'host=there user=bob password=x' <> %s AND %s::int > 0"
    assert read_by_the_approver(bed, threads, text, "open sesame", 5).parameters == ("2 not shown",)


def test_a_parameter_that_is_a_login_is_not_shown(bed, threads):
    text = "INSERT INTO held SELECT 1 WHERE %s::text <> %s::text"
    shown = read_by_the_approver(bed, threads, text, "host=there user=bob password=sesame", "host=there")
    assert shown.parameters == ("?", '"host=there"')


def test_a_text_too_long_to_be_shown_says_so(bed, threads):
    text = f"INSERT INTO held VALUES (1) /* {'x' * 70_000} */"
    assert read_by_the_approver(bed, threads, text).text.endswith(f"cut, {len(text)} characters in all]")


def test_a_transaction_that_waits_longer_than_the_database_lets_it_ends_by_the_databases_word(bed, threads):
    connection = bed.connect("sam@example.com")
    connection.execute("SELECT email FROM customers LIMIT 1")
    connection.execute("SET idle_in_transaction_session_timeout = '1s'")
    connection.execute("BEGIN")
    statement = threads.submit(run, connection, "INSERT INTO held VALUES (1)")
    request = bed.pending()
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout, match="idle-in-transaction timeout"):
        statement.result(20)
    assert eventually(lambda: request.id in {gone.id for gone in bed.requests(ApprovalState.WITHDRAWN)})
    connection.close()
