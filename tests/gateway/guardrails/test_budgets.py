"""Accounts: sliding windows, what is shared, and what is left after a restart."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.budget import Budget, Weight
from gateway.domain.masking import ColumnMask, MaskingPlan, MaskSpec, ResultColumn
from gateway.domain.statement import ColumnRef, OutputColumn
from gateway.errors import BudgetExceeded, ConfigurationError
from gateway.guardrails.budgets import FILE, SLOTS, Account, Budgets, _spoken
from gateway.policy.paths import LabelledPath

EMAIL = ColumnRef("public", "customers", "email")
CITY = ColumnRef("public", "customers", "city")
STATEMENTS = Budget("few", "sam", 3600, statements=3)
ROWS = Budget("rows", "sam", 3600, rows=10)
CELLS = Budget("cells", "sam", 3600, cells=5, labels=frozenset({"pii"}))


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 9)), max_size=30))
def test_nothing_is_given_back_before_it_is_a_window_old(spent: list[tuple[float, int]]) -> None:
    window, now = 60.0, 1000.0
    account, history = Account(window), []
    for pause, amount in spent:
        now += pause
        account.spend(now, 1, amount)
        history.append((now, amount))
        counted = account.look(now)[1]
        assert counted >= sum(amount for when, amount in history if when > now - window)
        late = window * (1 + 2 / SLOTS)
        assert counted <= sum(amount for when, amount in history if when > now - late)


def test_statements_are_counted_and_come_back() -> None:
    clock = Clock()
    tab = Budgets(clock).allowance([STATEMENTS])
    assert tab is not None
    assert tab.begin(2) is None
    error = tab.begin(2)
    assert isinstance(error, BudgetExceeded)
    assert error.hint == "Something of it is free again in about 60 minutes."
    assert tab.begin() is None
    clock.now += 3600 * (1 + 2 / SLOTS)
    assert tab.begin(3) is None


def test_an_execution_that_one_budget_refuses_costs_the_others_nothing() -> None:
    budgets = Budgets(Clock())
    both = budgets.allowance([STATEMENTS, Budget("none", "sam", 60, statements=0)])
    assert both is not None
    assert both.begin() is not None
    alone = budgets.allowance([STATEMENTS])
    assert alone is not None
    assert alone.begin(3) is None


def test_rows_are_shared_by_all_who_spend_from_the_account() -> None:
    budgets = Budgets(Clock())
    first, second = budgets.allowance([ROWS]), budgets.allowance([ROWS, Budget("rows", "eva", 3600, rows=100)])
    assert first is not None
    assert second is not None
    second.spend_rows(8)
    assert (first.rows_left(), second.rows_left()) == (2, 2)
    first.spend_rows(2)
    assert isinstance(first.begin(), BudgetExceeded)
    assert "budget of sam" in str(second.exhausted())


def test_a_budget_without_rows_counts_none() -> None:
    tab = Budgets(Clock()).allowance([STATEMENTS])
    assert tab is not None
    assert tab.rows_left() is None
    assert Budgets(Clock()).allowance([CELLS]) is None


def no_paths(schema: str, table: str) -> tuple[LabelledPath, ...]:
    return ()


def column(lineage: OutputColumn | None, *origins: ColumnRef) -> ResultColumn:
    return ResultColumn("c", frozenset(origins), origin_known=True, origin_exact=bool(origins), lineage=lineage)


def test_meters_count_what_passes_in_the_clear() -> None:
    labels = {EMAIL: frozenset({"pii"})}
    bare = OutputColumn("e", frozenset({EMAIL}), proven=True, bare=True)
    computed = OutputColumn("e", frozenset({EMAIL}), proven=True)
    columns = [
        column(bare, EMAIL),
        column(computed),
        column(OutputColumn("city", frozenset({CITY}), proven=True, bare=True), CITY),
        column(None),
        column(bare, EMAIL),
    ]
    mask = ColumnMask(MaskSpec("redact"), frozenset({"pii"}))
    plan = MaskingPlan((None, None, None, None, mask))
    budgets = Budgets(Clock())
    (meter,) = budgets.metered(plan, [CELLS], columns, lambda ref: labels.get(ref, frozenset()), no_paths).meters
    assert list(meter.columns) == [Weight.CELL, Weight.COMPUTED, Weight.NONE, Weight.COMPUTED, Weight.NONE]
    meter.spend(4)
    assert meter.left() == 1
    meter.spend(4)
    assert meter.left() == 0
    assert isinstance(meter.exhausted(), BudgetExceeded)
    assert budgets.metered(plan, [STATEMENTS], columns, lambda ref: frozenset(), no_paths) is plan
    assert budgets.metered(plan, [CELLS], columns[2:3] * 5, lambda ref: frozenset(), no_paths).meters == ()


def test_values_in_documents_are_counted_by_the_labels_of_their_paths() -> None:
    whole = ColumnRef("shop", "people", "*")
    document = OutputColumn("*", frozenset({whole}), proven=True, bare=True, document=True)
    made = OutputColumn("n", frozenset({whole}), proven=True)
    columns = [
        ResultColumn("*", frozenset(), origin_known=True, origin_exact=False, lineage=document, document=True),
        column(made),
    ]
    labelled = (LabelledPath(("contact", "email"), "pii"), LabelledPath(("salary",), "finance"))
    (meter,) = (
        Budgets(Clock())
        .metered(MaskingPlan((None, None)), [CELLS], columns, lambda ref: frozenset({"pii"}), lambda *_: labelled)
        .meters
    )
    assert meter.below == (frozenset({("contact", "email")}), None)
    assert list(meter.columns) == [Weight.CELL, Weight.COMPUTED]


def test_accounts_survive_a_restart(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / FILE
    budgets = Budgets(clock, path)
    tab = budgets.allowance([STATEMENTS, ROWS])
    assert tab is not None
    tab.begin(2)
    tab.spend_rows(7)
    asyncio.run(budgets.save())
    assert path.stat().st_mode & 0o777 == 0o600
    clock.now += 60
    again = Budgets(clock, path).allowance([STATEMENTS, ROWS])
    assert again is not None
    assert again.rows_left() == 3
    assert again.begin(2) is not None
    assert again.begin(1) is None


def test_nothing_is_written_when_nothing_was_spent(tmp_path: Path) -> None:
    asyncio.run(Budgets(Clock(), tmp_path / FILE).save())
    assert not (tmp_path / FILE).exists()


def test_what_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    budgets = Budgets(Clock(), tmp_path / "missing" / FILE)
    tab = budgets.allowance([STATEMENTS])
    assert tab is not None
    tab.begin()
    asyncio.run(budgets.try_save())
    assert budgets.dirty
    (tmp_path / "missing").mkdir()
    asyncio.run(budgets.try_save())
    assert (tmp_path / "missing" / FILE).exists()


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('[["few"')
    with pytest.raises(ConfigurationError, match="delete it to begin with untouched budgets"):
        Budgets(Clock(), tmp_path / FILE)


@pytest.mark.parametrize(
    ("seconds", "spoken"), [(0.2, "1 seconds"), (119, "119 seconds"), (7000, "117 minutes"), (86400 * 3, "3 days")]
)
def test_times_are_told_as_people_tell_them(seconds: float, spoken: str) -> None:
    assert _spoken(seconds) == spoken
