"""Whatever a server sends about a result under a mask, no value of it gets to the client."""

from __future__ import annotations

import random
import struct

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.masking import ColumnMask, MaskingPlan, MaskSpec
from gateway.protocol.effects import Ask, AskPlan
from gateway_postgres.wire import backend
from gateway_postgres.wire.codec import frame
from tests.plugins.postgres.transcripts.kit import Host, Stage, built

CANARY = b"CANARY-4711"
TYPES = [16, 17, 20, 21, 23, 25, 114, 700, 701, 1042, 1043, 1082, 1114, 1184, 1700, 2950, 3802, 1009, 600, 0, 16_400]
TEXT = "select email from customers"
CLIENT = [
    f"Query('{TEXT}')",
    f"Query('{TEXT}; {TEXT}')",
    "Query('copy (select 1) to stdout')",
    f"Parse('', '{TEXT}')",
    f"Parse('s', '{TEXT}')",
    "Bind()",
    "Bind('', 's', 1)",
    "Bind('c', 's')",
    "Describe('P')",
    "Describe('S', 's')",
    "Describe('P', 'c')",
    "Execute()",
    "Execute('c', 2)",
    "Execute('unknown')",
    "Close('S', 's')",
    "Sync()",
    "Flush()",
    "FunctionCall(1)",
]


class MaskingHost(Host):
    """Masks every column."""

    def answer(self, ask: Ask) -> object:
        if isinstance(ask, AskPlan):
            mask = ColumnMask(MaskSpec("redact"), frozenset({"pii.email"}))
            return MaskingPlan(tuple(mask for _ in ask.columns))
        return super().answer(ask)


@st.composite
def descriptions(draw: st.DrawFn) -> bytes:
    columns = draw(
        st.lists(
            st.builds(
                backend.FieldDescription,
                name=st.sampled_from([b"a", b"email", b""]),
                table_oid=st.sampled_from([0, 1259, 16_400]),
                attnum=st.integers(-3, 5),
                type_oid=st.sampled_from(TYPES),
                typlen=st.sampled_from([-1, 4, 8]),
                typmod=st.just(-1),
                format=st.sampled_from([0, 1, 2]),
            ),
            max_size=4,
        )
    )
    return backend.RowDescription(tuple(columns)).encode()


values = st.one_of(st.none(), st.just(CANARY), st.binary(max_size=6).map(lambda noise: noise + CANARY + noise))
rows = st.lists(values, max_size=4).map(lambda cells: backend.DataRow(tuple(cells)).encode())
broken_rows = st.tuples(st.integers(0, 5), st.integers(-3, 60)).map(
    lambda odd: frame(ord("D"), struct.pack("!Hi", odd[0], odd[1]), CANARY)
)
told = CANARY.decode()
others = st.sampled_from(
    [
        built(text)
        for text in (
            "ParseComplete()",
            "BindComplete()",
            "CloseComplete()",
            "NoData()",
            "ParameterDescription()",
            "PortalSuspended()",
            "EmptyQuery()",
            "CommandComplete('SELECT 1')",
            "Ready('I')",
            "Ready('T')",
            "Ready('E')",
            "CopyOut()",
            "CopyIn()",
            "CopyBoth()",
            f"CopyData('{told}')",
            "CopyDone()",
            f"Error('22P02', '{told}', D='{told}', H='{told}', W='{told}', n='{told}')",
            f"Fatal('XX000', '{told}')",
            f"Notice('{told}')",
            f"Notification(1, 'ch', '{told}')",
            f"FunctionResult('{told}')",
        )
    ]
)
messages = st.one_of(descriptions(), rows, rows, broken_rows, others)
answers = st.lists(messages, max_size=6).map(b"".join)


@given(
    st.lists(st.tuples(st.lists(st.sampled_from(CLIENT), max_size=6), answers), max_size=5),
    st.randoms(use_true_random=False),
)
def test_no_value_gets_out(talk: list[tuple[list[str], bytes]], chance: random.Random) -> None:
    host = MaskingHost()
    host.given(["masked"])
    host.given(["redacted"])
    host.holds.add("bypass")
    stage = Stage(host)
    stage.open()
    for asked, answer in talk:
        for message in asked:
            stage.client(built(message))
        at = chance.randrange(len(answer) + 1)
        stage.server(answer[:at])
        stage.server(answer[at:])
    assert CANARY not in stage._client


@given(descriptions(), st.lists(st.one_of(rows, broken_rows), max_size=6), st.booleans())
def test_no_value_of_an_orderly_result_gets_out(description: bytes, result: list[bytes], extended: bool) -> None:
    host = MaskingHost()
    host.given(["masked"])
    stage = Stage(host)
    stage.open()
    if extended:
        stage.client(built(f"Parse('', '{TEXT}') + Bind() + Describe('P') + Execute() + Sync()"))
        stage.server(built("ParseComplete() + BindComplete()") + description)
    else:
        stage.client(built(f"Query('{TEXT}')"))
        stage.server(description)
    for row in result:
        stage.server(row)
    stage.server(built("CommandComplete('SELECT 1') + Ready('I')"))
    assert CANARY not in stage._client
