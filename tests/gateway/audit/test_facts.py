from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.event import Product, encode_ruling
from gateway.audit.execution import Execution
from gateway.audit.expand import expand_execution
from gateway.audit.facts import analysis_from_line
from gateway.domain.statement import (
    Action,
    Analysis,
    ColumnRef,
    ObjectRef,
    OutputColumn,
    Predicate,
    SessionEffect,
    StatementFacts,
)
from tests.gateway.audit.builders import ANALYSIS, CONTEXT, DECISION, FACTS, RULING

names = st.text(st.sampled_from('ab.:"é (\n\\'), max_size=6)
objects = st.frozensets(
    st.builds(ObjectRef, names, names, st.sampled_from(["table", "view", "function", "a:b"])), max_size=4
)
columns = st.frozensets(st.builds(ColumnRef, names, names, names), max_size=4)
all_facts = st.builds(
    StatementFacts,
    kind=names,
    actions=st.frozensets(st.sampled_from(Action)),
    objects_read=objects,
    objects_written=objects,
    functions=objects,
    columns_read=columns,
    columns_written=columns,
    columns_filtered=columns,
    predicate=st.sampled_from(Predicate),
    reads_everything=st.booleans(),
    copies_data=st.booleans(),
    opaque=st.lists(names).map(tuple),
    session_effects=st.frozensets(st.sampled_from(SessionEffect)),
    detail=names,
)


def recorded(analysis: Analysis) -> bytes:
    """The line that a statement with these facts leaves in the log."""
    ruling = replace(RULING, analysis=analysis, audit=encode_ruling(analysis, DECISION))
    execution = Execution(3, "s-1.0", 0, 0, 1, 2, "SELECT")
    return expand_execution(execution, "SELECT", None, CONTEXT.body, ruling.audit.body, Product())


@given(st.lists(all_facts, max_size=3).map(tuple))
def test_policies_can_be_asked_again_about_a_recorded_statement(facts: tuple[StatementFacts, ...]) -> None:
    found = analysis_from_line(recorded(Analysis(facts, fingerprint="ab12")))
    assert found.statements == facts
    assert found.fingerprint == "ab12"


def test_lineage_of_results_is_the_one_thing_left_out() -> None:
    facts = replace(FACTS, outputs=(OutputColumn("id"),))
    assert analysis_from_line(recorded(Analysis((facts,)))).statements == (replace(FACTS, outputs=None),)


def test_facts_read_well() -> None:
    line = recorded(
        replace(ANALYSIS, statements=(replace(FACTS, objects_written=frozenset({ObjectRef("", "v", "view")})),))
    )
    assert b'"reads":["public.customers"]' in line
    assert b'"columns_read":{"public.customers":["email","id"]}' in line
    assert b'"writes":["view:\\"\\".v"]' in line


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"query_info":{},"unmapped":{"statements":[{"kind":1}]}}'])
def test_what_is_no_statement_is_said(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a recorded statement"):
        analysis_from_line(line)


@pytest.mark.parametrize("name", ["", "a", "a.b.c", "a..b", 'a."b', "a.b.", ".a"])
def test_a_name_without_one_reading_is_refused(name: str) -> None:
    line = recorded(ANALYSIS).replace(
        b'"reads":["public.customers"]', b'"reads":["' + name.encode().replace(b'"', b'\\"') + b'"]'
    )
    with pytest.raises(ValueError, match="not a recorded"):
        analysis_from_line(line)
