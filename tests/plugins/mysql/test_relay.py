"""One session's state machine as dialogues of bytes: however they are cut, the same comes out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.decision import Obligations
from gateway.domain.statement import Action, ObjectRef, StatementFacts
from gateway.errors import GatewayShutdown
from gateway.protocol.effects import AskLogin
from gateway.sql.catalog import CatalogContents, Relation
from gateway.sql.mysql.views import MySqlDefinitions
from gateway.sql.views import build
from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.commands import Command
from gateway_mysql.wire.handshake import ChangeUser
from gateway_mysql.wire.messages import Err, Ok, PrepareOk, Status
from gateway_mysql.wire.packets import FULL, packet
from gateway_mysql.wire.scramble import CACHING_SHA2
from tests.plugins.mysql.kit import Bed, column, query

STEPS = pytest.mark.parametrize("step", [0, 1, 3, 7])
EOFS = pytest.mark.parametrize("deprecate_eof", [False, True])
COLUMNS = [column("id", 3), column("email")]
ROWS: list[list[bytes | None]] = [[b"1", b"a@b.c"], [b"2", None], [b"3", b"longer@example.com"]]
SHOWN: list[list[bytes | None]] = [[b"1", b"<5>"], [b"2", None], [b"3", b"<18>"]]


@STEPS
@EOFS
def test_a_result_passes_byte_for_byte(step: int, deprecate_eof: bool) -> None:
    bed = Bed(deprecate_eof=deprecate_eof)
    bed.log_in(step=step)
    answer = bed.rows(COLUMNS, ROWS)
    bed.client(query("SELECT 1"), step=step)
    assert bed.up == query("SELECT 1")
    bed.server(answer, step=step)
    assert bed.down == answer
    assert bed.outcomes() == ["success"]
    assert bed.records[0].record.rows == 3
    assert bed.relay.idle


@STEPS
@EOFS
def test_masked_rows_keep_their_frame(step: int, deprecate_eof: bool) -> None:
    bed = Bed(masked=True, deprecate_eof=deprecate_eof)
    bed.log_in(step=step)
    bed.client(query("SELECT 1"), step=step)
    bed.server(bed.rows(COLUMNS, ROWS), step=step)
    assert bed.down == bed.rows(COLUMNS, SHOWN)
    assert bed.records[0].record.masked_cells == 2


@STEPS
@EOFS
def test_several_results(step: int, deprecate_eof: bool) -> None:
    bed = Bed(masked=True, deprecate_eof=deprecate_eof)
    bed.log_in()
    bed.client(query("SELECT 1; SELECT 2"))
    first = bed.rows(COLUMNS, ROWS, status=2 | Status.MORE_RESULTS)
    following = 7 if deprecate_eof else 8
    bed.server(first + bed.rows(COLUMNS, ROWS, sequence=following), step=step)
    expected = bed.rows(COLUMNS, SHOWN, status=2 | Status.MORE_RESULTS)
    assert bed.down == expected + bed.rows(COLUMNS, SHOWN, sequence=following)
    assert bed.outcomes() == ["success"]


@STEPS
def test_a_refusal_is_answered_here_and_the_next_command_runs(step: int) -> None:
    bed = Bed()
    bed.log_in()
    bed.client(query("denied"), step=step)
    assert bed.up == b""
    assert bed.down == packet(Err(1142, b"42000", b"not that [reference s-1]").encode(), 1)
    bed.client(query("SELECT 1"), step=step)
    assert bed.up == query("SELECT 1")
    assert bed.outcomes() == ["refused"]


def test_the_next_command_waits_for_the_answer() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(query("SELECT 1") + query("SELECT 2"))
    assert bed.up == query("SELECT 1")
    bed.server(packet(Ok().encode(), 1))
    assert bed.up == query("SELECT 1") + query("SELECT 2")


def test_a_transaction_stays_open_over_a_refusal() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(query("BEGIN"))
    bed.server(packet(Ok(status=3).encode(), 1))
    assert not bed.relay.idle
    bed.client(query("denied"))
    assert not bed.relay.idle


@STEPS
def test_a_row_limit_cuts_with_an_error_in_the_right_place(step: int) -> None:
    bed = Bed(obligations=Obligations(row_limit=2))
    bed.log_in()
    bed.client(query("SELECT 1"))
    whole = bed.rows(COLUMNS, ROWS)
    bed.server(whole, step=step)
    two = bed.rows(COLUMNS, ROWS[:2])[: -len(packet(b"\xfe\0\0\2\0", 0))]
    assert bed.down.startswith(two)
    rest = bed.down[len(two) :]
    assert rest[3] == 7
    assert Err.decode(rest[4:]).code == 1226
    assert bed.outcomes() == ["limited"]
    bed.client(query("SELECT 2"))
    assert bed.up.endswith(query("SELECT 2"))


@pytest.mark.parametrize("masked", [False, True])
def test_exactly_the_limit_is_no_reason_to_cut(masked: bool) -> None:
    bed = Bed(masked=masked, obligations=Obligations(row_limit=3))
    bed.log_in()
    bed.client(query("SELECT 1"))
    bed.server(bed.rows(COLUMNS, ROWS))
    assert bed.down == bed.rows(COLUMNS, SHOWN if masked else ROWS)
    assert bed.outcomes() == ["success"]


@STEPS
def test_a_result_without_a_plan_is_refused_before_anything_of_it_is_seen(step: int) -> None:
    bed = Bed(masked=True)
    bed.no_plan = True
    bed.log_in()
    bed.client(query("SELECT 1"))
    bed.server(bed.rows(COLUMNS, ROWS), step=step)
    assert bed.down[3] == 1
    assert Err.decode(bed.down[4:]).code == 1142
    assert b"a@b.c" not in bed.down
    bed.client(query("SELECT 2"))
    assert bed.up.endswith(query("SELECT 2"))


def test_a_mask_that_fails_cuts_the_result_off() -> None:
    bed = Bed(masked=True)
    bed.log_in()
    bed.client(query("SELECT 1"))
    bed.server(bed.rows(COLUMNS, [[b"1", b"fine"], [b"2", b"broken"], [b"3", b"never"]]))
    assert b"broken" not in bed.down
    assert b"never" not in bed.down
    assert b"secret" not in bed.down
    assert bed.outcomes() == ["limited"]


@STEPS
def test_a_mask_may_make_a_row_longer_than_a_packet(step: int) -> None:
    bed = Bed(masked=True)
    bed.log_in()
    bed.client(query("SELECT 1"))
    bed.server(bed.rows(COLUMNS, [[b"1", b"long"], [b"2", b"a"]]), step=step)
    expected = bed.rows(COLUMNS, [[b"1", b"*" * (17 << 20)], [b"2", b"<1>"]])
    # The large row takes two packets, so what follows is numbered one higher.
    small, eof = expected[-19:-9], expected[-9:]
    assert bed.down[: len(expected) - 19] == expected[:-19]
    assert (small[3], bed.down[-16]) == (6, 7)
    assert (eof[3], bed.down[-6]) == (7, 8)


def test_a_row_that_came_in_two_packets_may_leave_in_one() -> None:
    bed = Bed(masked=True)
    bed.log_in()
    bed.client(query("SELECT 1"))
    long = b"x" * (FULL + 3)
    whole = bed.rows(COLUMNS, [[b"1", long]])
    # ``rows`` numbers packets as if each row took one.
    eof = whole[-9:]
    bed.server(whole[:-9] + eof[:3] + bytes((eof[3] + 1,)) + eof[4:])
    assert bed.down == bed.rows(COLUMNS, [[b"1", b"<%d>" % len(long)]])


@STEPS
def test_an_error_of_the_server_is_reduced_for_people_under_masks(step: int) -> None:
    for masked in (False, True):
        bed = Bed(masked=masked)
        bed.log_in()
        bed.client(query("SELECT 1"))
        bed.server(packet(Err(1292, b"22007", b"Incorrect value: 'a@b.c'").encode(), 1), step=step)
        error = Err.decode(bed.down[4:])
        assert (error.code, error.state) == (1292, b"22007")
        assert (b"a@b.c" in error.message) is not masked
        assert bed.records[0].record.code == "1292"


def test_an_intent_goes_before_the_statement_and_a_broken_audit_stops_it() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(query("SELECT intent"))
    assert bed.up == query("SELECT intent")
    bed.server(packet(Ok().encode(), 1))
    bed.audit_broken = True
    bed.down = bed.up = b""
    bed.client(query("SELECT intent"))
    assert bed.up == b""
    assert Err.decode(bed.down[4:]).code == 1105


# --- prepared statements --------------------------------------------------------------------------------------------

PREPARE = packet(bytes((Command.STMT_PREPARE,)) + b"SELECT email FROM c WHERE id = ?", 0)
EXECUTE = packet(b"\x17\5\0\0\0\0\1\0\0\0\0\1\3\0\7\0\0\0", 0)


def prepare(bed: Bed, *, step: int = 0) -> None:
    bed.client(PREPARE, step=step)
    deprecate_eof = bool(bed.flags & (1 << 24))
    eof = [] if deprecate_eof else [b"\xfe\0\0\2\0"]
    payloads = [PrepareOk(5, 1, 1).encode(), column("?").encode(), *eof, column("email").encode(), *eof]
    answer = b"".join(packet(payload, 1 + index) for index, payload in enumerate(payloads))
    bed.server(answer, step=step)
    assert bed.down == answer
    bed.down = bed.up = b""


def binary_result(bed: Bed, values: list[bytes], *, status: int = 2) -> bytes:
    text = bed.rows([column("email")], [[value] for value in values], status=status)
    # A text row of one short cell becomes a binary one by a header and a bitmap before it.
    packets, output, position = [], b"", 0
    while position < len(text):
        size = int.from_bytes(text[position : position + 3], "little")
        packets.append(text[position + 4 : position + 4 + size])
        position += 4 + size
    skipped = 2 if bed.flags & (1 << 24) else 3
    for index, payload in enumerate(packets):
        row = skipped <= index < skipped + len(values)
        output += packet((b"\0\0" if row else b"") + payload, 1 + index)
    return output


@STEPS
@EOFS
def test_prepared_statements_are_masked_in_binary(step: int, deprecate_eof: bool) -> None:
    bed = Bed(masked=True, deprecate_eof=deprecate_eof)
    bed.log_in()
    prepare(bed, step=step)
    bed.client(EXECUTE, step=step)
    assert bed.up == EXECUTE
    bed.server(binary_result(bed, [b"a@b.c", b"xy"]), step=step)
    assert bed.down == binary_result(bed, [b"<5>", b"<2>"])
    record = bed.records[0].record
    assert record.parameters == 1
    assert record.bound is not None
    assert record.bound.values() == [7]


@STEPS
@EOFS
def test_cursors_keep_their_mask(step: int, deprecate_eof: bool) -> None:
    bed = Bed(masked=True, deprecate_eof=deprecate_eof)
    bed.log_in()
    prepare(bed)
    bed.client(EXECUTE)
    status = 2 | Status.CURSOR_EXISTS
    opened = binary_result(bed, [], status=status)
    if not deprecate_eof:
        # The end of the definitions tells of the cursor, and nothing follows.
        opened = opened[:-18] + packet(b"\xfe\0\0" + int(status).to_bytes(2, "little"), 3)
    bed.server(opened, step=step)
    assert bed.down == opened
    bed.down = bed.up = b""
    fetch = packet(b"\x1c\5\0\0\0\2\0\0\0", 0)
    bed.client(fetch)
    assert bed.up == fetch
    end = Ok(status=status).encode(0xFE) if deprecate_eof else b"\xfe\0\0" + int(status).to_bytes(2, "little")
    bed.server(packet(b"\0\0\5a@b.c", 1) + packet(b"\0\0\2xy", 2) + packet(end, 3), step=step)
    assert bed.down == packet(b"\0\0\3<5>", 1) + packet(b"\0\0\3<2>", 2) + packet(end, 3)
    assert bed.outcomes() == ["success", "success"]


def test_statements_that_are_not_there_are_told_as_the_server_would() -> None:
    bed = Bed()
    bed.log_in()
    for command in (EXECUTE, packet(b"\x1c\5\0\0\0\2\0\0\0", 0), packet(b"\x1a\5\0\0\0", 0)):
        bed.down = b""
        bed.client(command)
        assert Err.decode(bed.down[4:]).code == 1243
    bed.client(packet(b"\x19\5\0\0\0", 0))  # CLOSE has no answer
    assert bed.up == b""


@pytest.mark.parametrize(
    "command",
    [
        b"\x17\5\0\0\0",
        b"\x17\5\0\0\0\0\1\0\0\0",
        b"\x17\5\0\0\0\0\1\0\0\0\0\1\3\0\7\0",
        b"\x17\5\0\0\0\0\1\0\0\0\0\1\x0c\0\3abc",
    ],
)
def test_parameters_that_do_not_fit_are_told_as_the_server_would(command: bytes) -> None:
    """Clients send too few of them, and go on with the session."""
    bed = Bed()
    bed.log_in()
    prepare(bed)
    bed.client(packet(command, 0))
    answer = Err.decode(bed.down[4:])
    assert (answer.code, answer.state) == (1210, b"HY000")
    assert bed.up == b""
    assert bed.outcomes() == ["refused"]
    bed.client(EXECUTE)
    assert bed.up == EXECUTE


def test_long_data_and_close_have_no_answer() -> None:
    bed = Bed()
    bed.log_in()
    prepare(bed)
    long_data, close = packet(b"\x18\5\0\0\0\0\0abc", 0), packet(b"\x19\5\0\0\0", 0)
    bed.client(long_data + close + query("SELECT 1"))
    assert bed.up == long_data + close + query("SELECT 1")
    assert bed.down == b""


def test_what_is_not_run_is_recorded_with_its_parameters() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(packet(bytes((Command.STMT_PREPARE,)) + b"SELECT intent FROM c WHERE id = ?", 0))
    prepared = [PrepareOk(5, 0, 1).encode(), column("?").encode(), b"\xfe\0\0\2\0"]
    bed.server(b"".join(packet(payload, 1 + index) for index, payload in enumerate(prepared)))
    bed.audit_broken = True
    bed.client(EXECUTE)
    record = bed.records[-1].record
    assert record.parameters == 1
    assert record.bound is not None
    assert record.bound.values() == [7]


def test_values_sent_ahead_are_forgotten_with_a_refused_execution() -> None:
    bed = Bed()
    bed.log_in()
    prepare(bed)
    long_data, reset = packet(b"\x18\5\0\0\0\0\0abc", 0), packet(b"\x1a\5\0\0\0", 0)
    bed.book.epoch = object()  # policies have changed
    bed.denied = "SELECT"
    bed.client(long_data + EXECUTE)
    assert bed.up == long_data + reset
    answer = bed.down
    assert Err.decode(answer[4:]).code == 1142
    bed.client(query("COMMIT"))
    bed.server(packet(Ok().encode(), 1))
    assert bed.down == answer
    assert bed.up == long_data + reset + query("COMMIT")


# --- the rest -------------------------------------------------------------------------------------------------------


def test_a_state_that_may_have_changed_is_asked_for_first() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(packet(bytes((Command.INIT_DB,)) + b"other", 0))
    bed.server(packet(Ok().encode(), 1))
    bed.down = bed.up = b""
    bed.client(query("SELECT 1"))
    assert b"sql_mode" in bed.up
    bed.probe()
    assert bed.down == b""
    assert bed.up.endswith(query("SELECT 1"))


def test_warnings_are_asked_for_without_anything_in_between() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(packet(bytes((Command.INIT_DB,)) + b"other", 0))
    bed.server(packet(Ok().encode(), 1))
    bed.up = b""
    bed.client(query("SHOW WARNINGS"))
    assert bed.up == query("SHOW WARNINGS")


def test_kill_never_reaches_the_server() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(query("KILL QUERY 99"))
    assert bed.down == packet(Ok().encode(), 1)
    bed.found = False
    bed.client(packet(b"\x0c\x63\0\0\0", 0))
    assert Err.decode(bed.down[-60:].partition(b"\xff")[1] + bed.down[-60:].partition(b"\xff")[2]).code == 1094
    bed.client(query("KILL /* x */ 99"))
    assert bed.up == b""


def test_a_limit_of_changes_refuses_what_changes() -> None:
    bed = Bed(obligations=Obligations(changes=10))
    bed.facts = StatementFacts(kind="UPDATE", actions=frozenset({Action.UPDATE}))
    bed.log_in()
    bed.client(query("UPDATE t SET a = 1"))
    assert bed.up == b""
    assert Err.decode(bed.down[4:]).code == 1226


def test_the_end_of_a_session_is_told() -> None:
    bed = Bed()
    bed.log_in()
    bed.run(bed.relay.terminate(GatewayShutdown("it is time")))
    assert bed.closed
    assert bed.down[3] == 0
    assert Err.decode(bed.down[4:]).code == 1053


def test_a_client_that_leaves_ends_what_it_started() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(query("SELECT SLEEP(100)"))
    bed.run(bed.relay.eof_downstream())
    assert bed.outcomes() == []
    bed.server(packet(Err(1317, b"70100", b"interrupted").encode(), 1))
    assert bed.closed
    assert bed.outcomes() == ["failure"]


@pytest.mark.parametrize("masked", [False, True])
@STEPS
@EOFS
def test_the_end_is_told_where_the_next_packet_would_be(step: int, deprecate_eof: bool, masked: bool) -> None:
    """Clients take no packet that is numbered otherwise, and none in the middle of another."""
    whole = Bed(masked=masked, deprecate_eof=deprecate_eof)
    whole.log_in()
    second = whole.rows(COLUMNS, ROWS, sequence=8 if deprecate_eof else 9)
    answer = whole.rows(COLUMNS, ROWS, status=int(Status.MORE_RESULTS)) + second
    for cut in range(len(answer)):
        bed = Bed(masked=masked, deprecate_eof=deprecate_eof)
        bed.log_in()
        bed.client(query("SELECT 1; SELECT 2"))
        bed.server(answer[:cut], step=step)
        bed.run(bed.relay.eof_upstream())
        assert bed.closed
        assert bed.outcomes() == ["lost"]
        found, rest = [], bed.down
        while len(rest) >= 4 and len(rest) - 4 >= int.from_bytes(rest[:3], "little"):
            stop = 4 + int.from_bytes(rest[:3], "little")
            found.append((rest[3], rest[4]))
            rest = rest[stop:]
        assert [number for number, _ in found] == list(range(1, len(found) + 1))
        assert (found[-1:] and found[-1][1] == 0xFF) is not bool(rest), (cut, found, rest)


def test_a_server_that_leaves_in_the_middle_is_told() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(query("SELECT 1"))
    bed.run(bed.relay.eof_upstream())
    assert bed.closed
    assert Err.decode(bed.down[4:]).code == 1053
    assert bed.outcomes() == ["lost"]


@pytest.mark.parametrize(
    "data",
    [
        packet(b"", 0),
        packet(b"\x03SELECT 1", 5),
        (50 << 20).to_bytes(4, "little")[:3] + b"\0",
        packet(b"\x17\5", 0),
        packet(b"\x18\5", 0),
    ],
)
def test_broken_packets_end_the_session_with_an_error(data: bytes) -> None:
    bed = Bed()
    bed.log_in()
    bed.client(data + b"\0" * 10)
    if bed.down:
        assert bed.closed
        assert Err.decode(bed.down[4:]).code in (1153, 1243, 1835)


def test_a_file_is_never_asked_for() -> None:
    bed = Bed()
    bed.log_in()
    bed.client(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"))
    bed.server(packet(b"\xfb/etc/passwd", 1))
    assert bed.closed
    assert b"/etc/passwd" not in bed.down


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_nothing_that_either_side_sends_breaks_the_relay(data: bytes, masked: bool, from_server: bool) -> None:
    bed = Bed(masked=masked)
    bed.log_in()
    if from_server:
        bed.client(query("SELECT 1"))
        bed.server(data)
    else:
        bed.client(data)


@given(st.data())
def test_masked_values_never_pass_whatever_is_cut_or_changed(data: st.DataObject) -> None:
    bed = Bed(masked=True)
    bed.log_in()
    bed.client(query("SELECT 1"))
    secret = b"do-not-tell@example.com"
    whole = bytearray(bed.rows([column("id", 3), column("email")], [[b"1", secret]] * 3))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        if secret[0] not in whole[place : place + 1]:
            whole[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    # A changed definition is another result, whose name may no longer be that of a masked column.
    before = bytes(whole).find(b"email", whole.find(b"email") + 1) >= 0
    bed.server(bytes(whole[:cut]))
    bed.server(bytes(whole[cut:]))
    if (
        before
        and whole[: bytes(whole).find(secret)]
        == bed.rows([column("id", 3), column("email")], [[b"1", secret]] * 3)[: bytes(whole).find(secret)]
    ):
        assert secret not in bed.down


@STEPS
def test_another_login_ends_the_session_and_begins_one(step: int) -> None:
    bed = Bed()
    bed.log_in()
    word = ChangeUser(b"eve@example.com", b"x" * 20, b"shop-prod", 45, CACHING_SHA2)
    command = packet(bytes((Command.CHANGE_USER,)) + word.encode(bed.flags), 0)
    bed.client(command + query("ahead")[:7], step=step)
    assert bed.up == packet(bytes((Command.QUIT,)), 0)
    assert bed.down == b""
    (again,) = bed.again
    successor = again.make("another")
    assert not bed.relay.receive_upstream(b"late"), "nothing is heard of the old connection"
    (ask,) = successor.receive_downstream(b"")
    assert isinstance(ask, AskLogin)
    assert (ask.session.id, ask.session.user, ask.session.resource) == ("another", "eve@example.com", "shop-prod")


# --- limits on changes ------------------------------------------------------------------------------------------------


def limited_bed(
    *, deprecate_eof: bool = False, masked: bool = False, actions: frozenset[Action] = frozenset({Action.INSERT})
) -> Bed:
    bed = Bed(masked=masked, deprecate_eof=deprecate_eof, obligations=Obligations(changes=2))
    bed.facts = StatementFacts(kind="insert", actions=actions, objects_written=frozenset({ObjectRef("shop", "t")}))
    bed.catalog = build(
        CatalogContents(
            (Relation("shop", "t", 1, "r", ()), Relation("shop", "stone", 2, "r", (), transactional=False))
        ),
        MySqlDefinitions(),
    )
    bed.log_in()
    return bed


@STEPS
@pytest.mark.parametrize("changed", [2, 3])
def test_a_change_is_settled_before_it_is_answered(step: int, changed: int) -> None:
    bed = limited_bed()
    bed.client(query("INSERT"), step=step)
    assert bed.up == query("START TRANSACTION")
    bed.server(packet(Ok(status=3).encode(), 1), step=step)
    assert bed.up == query("START TRANSACTION") + query("INSERT")
    bed.up = b""
    bed.server(packet(Ok(changed, 7, status=3, warnings=1).encode(), 1), step=step)
    assert bed.up == query(f"{'COMMIT' if changed == 2 else 'ROLLBACK'} AND NO CHAIN NO RELEASE")
    assert bed.down == b""
    bed.server(packet(Ok(status=2).encode(), 1), step=step)
    if changed == 2:
        assert bed.down == packet(Ok(2, 7, status=2, warnings=1).encode(), 1)
    else:
        assert Err.decode(bed.down[4:]).code == 1226
    assert bed.outcomes() == ["success" if changed == 2 else "limited"]
    assert bed.relay.idle


@STEPS
@EOFS
@pytest.mark.parametrize("masked", [False, True])
def test_the_count_of_a_settled_change_is_told_by_its_own_name(step: int, deprecate_eof: bool, masked: bool) -> None:
    bed = limited_bed(deprecate_eof=deprecate_eof, masked=masked)
    bed.client(query("INSERT"))
    for answer in (Ok(status=3), Ok(2, status=3), Ok(status=2)):
        bed.server(packet(answer.encode(), 1))
    bed.facts, bed.obligations = StatementFacts(kind="SELECT", actions=frozenset({Action.READ})), Obligations()
    bed.up = bed.down = b""
    bed.client(query("SELECT ROW_COUNT(), email"), step=step)
    assert bed.up == query("SELECT GREATEST(ROW_COUNT(),2), email")
    told, shown = (
        [replace(column(name, 8), org_name=b""), column("email")] for name in ("GREATEST(ROW_COUNT(),2)", "ROW_COUNT()")
    )
    bed.server(bed.rows(told, [[b"2", b"a@b.c"]]), step=step)
    assert bed.down == bed.rows(shown, [[b"2", b"<5>" if masked else b"a@b.c"]])
    assert bed.records[-1].record.text == "SELECT ROW_COUNT(), email"
    bed.up = b""
    bed.client(query("SELECT ROW_COUNT()"), step=step)
    assert bed.up == query("SELECT ROW_COUNT()"), "now it is the client's own last statement that counts"


@STEPS
@EOFS
@pytest.mark.parametrize("number", [2, 3])
def test_rows_of_returning_are_counted(step: int, deprecate_eof: bool, number: int) -> None:
    bed = limited_bed(deprecate_eof=deprecate_eof)
    bed.client(query("INSERT"))
    bed.server(packet(Ok(status=3).encode(), 1))
    rows = bed.rows(COLUMNS, ROWS[:number], status=3)
    bed.server(rows, step=step)
    bed.server(packet(Ok(status=2).encode(), 1))
    if number == 2:
        assert bed.down == bed.rows(COLUMNS, ROWS[:2], status=2)
    else:
        before_end = bed.rows(COLUMNS, ROWS, status=2)[: -len(packet(Ok().encode() if deprecate_eof else bytes(5), 0))]
        assert bed.down.startswith(before_end)
        assert Err.decode(bed.down[len(before_end) + 4 :]).code == 1226
        assert bed.down[len(before_end) + 3] == (7 if deprecate_eof else 8)


def test_a_savepoint_without_a_transaction_is_not_believed_in() -> None:
    bed = limited_bed()
    bed.facts = StatementFacts(kind="select", actions=frozenset({Action.READ}))
    bed.client(query("SELECT 1"))
    bed.server(packet(Err(1050, b"42S01", b"it ended the transaction").encode(), 1))
    bed.facts = limited_bed().facts
    bed.up = bed.down = b""
    bed.client(query("INSERT"))
    assert bed.up[4:].startswith(b"\x03SAVEPOINT querygate_")
    bed.up = b""
    bed.server(packet(Ok(status=2).encode(), 1))
    assert bed.up == query("START TRANSACTION")


def test_an_undo_that_fails_ends_the_session() -> None:
    bed = limited_bed()
    bed.client(query("INSERT"))
    bed.server(packet(Ok(status=3).encode(), 1))
    bed.server(packet(Ok(3, status=3).encode(), 1))
    bed.server(packet(Err(1317, b"70100", b"interrupted").encode(), 1))
    assert bed.closed
    assert bed.outcomes() == ["lost"]


def test_a_commit_that_fails_leaves_no_transaction_open() -> None:
    bed = limited_bed()
    bed.client(query("INSERT"))
    bed.server(packet(Ok(status=3).encode(), 1))
    bed.server(packet(Ok(1, status=3).encode(), 1))
    bed.up = b""
    failure = packet(Err(1180, b"HY000", b"no room").encode(), 1)
    bed.server(failure)
    assert (bed.up, bed.down) == (query("ROLLBACK AND NO CHAIN NO RELEASE"), b"")
    bed.server(packet(Ok(status=2).encode(), 1))
    assert bed.down == failure
    assert bed.outcomes() == ["failure"]


@pytest.mark.parametrize("unfit", ["stone", "unknown", "no catalog"])
def test_what_cannot_be_rolled_back_is_refused(unfit: str) -> None:
    bed = limited_bed()
    target = frozenset({ObjectRef("shop", unfit)})
    bed.facts = StatementFacts(kind="insert", actions=frozenset({Action.INSERT}), objects_written=target)
    if unfit == "no catalog":
        bed.facts = limited_bed().facts
        bed.catalog = None
    bed.client(query("INSERT"))
    assert bed.up == b""
    assert bed.outcomes() == ["refused"]


def test_a_client_that_leaves_before_its_change_ran() -> None:
    bed = limited_bed()
    bed.client(query("INSERT"))
    bed.run(bed.relay.eof_downstream())
    bed.server(packet(Ok(status=3).encode(), 1))
    assert query("INSERT") not in bed.up
    assert bed.outcomes() == ["skipped"]
    assert bed.closed


def test_the_gateways_own_texts_come_with_no_query_attributes() -> None:
    """Where a server expects their number before the text, it is there."""
    bed = Bed(more=Capability.QUERY_ATTRIBUTES)
    bed.log_in()
    bed.client(packet(bytes((Command.RESET_CONNECTION,)), 0))
    bed.server(packet(Ok().encode(), 1))
    bed.up = b""
    bed.client(packet(b"\x03\0\1SELECT 1", 0))
    assert bed.up[4:].startswith(b"\x03\0\1SELECT HEX("), "the question for the session's state"
