"""Accounts of what people have had: one for each budget and owner, shared by all their sessions on this gateway.

A window slides: it is cut into ``SLOTS`` parts, and what was spent in a part is given back when all of it is older than
the window, so never too early. Accounts survive a restart in a file that is written every ``SAVE_INTERVAL`` seconds; a
crash forgets at most what was spent since. Several gateways keep an account each.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import structlog

from gateway.domain.budget import Budget, CellMeter, Weight
from gateway.domain.masking import MaskingPlan, ResultColumn
from gateway.domain.statement import ColumnRef
from gateway.errors import BudgetExceeded, ConfigurationError
from gateway.masking.plan import PathsOf, bare_source, reachable
from gateway.policy.paths import Steps, remaining

_log = structlog.get_logger("querygate.budgets")

SLOTS: Final = 60
SAVE_INTERVAL: Final = 5.0
"""Seconds between two looks at whether the file has to be written."""
FILE: Final = "budgets.json"

_STATEMENTS, _ROWS, _CELLS = range(3)
_NAMES: Final = ("statements", "rows", "labelled cells")

LabelsOf = Callable[[ColumnRef], frozenset[str]]


class _Saved(msgspec.Struct, array_like=True):
    policy: str
    owner: str
    window: float
    slots: list[tuple[int, int, int, int]]


class Account:
    """What one owner has spent of one budget. ``spent`` holds statements, rows and cells within the window."""

    __slots__ = ("_slots", "_span", "spent")

    def __init__(self, window: float, slots: Iterable[tuple[int, int, int, int]] = ()) -> None:
        self._span = window / SLOTS
        self._slots = deque(list(slot) for slot in slots)
        self.spent = [sum(slot[kind + 1] for slot in self._slots) for kind in range(3)]

    def look(self, now: float) -> list[int]:
        """``spent`` after giving back what is too old. ``now`` is in Unix seconds."""
        slots, oldest = self._slots, int(now / self._span) - SLOTS
        while slots and slots[0][0] < oldest:
            for kind, amount in enumerate(slots.popleft()[1:]):
                self.spent[kind] -= amount
        return self.spent

    def spend(self, now: float, kind: int, amount: int) -> None:
        """Count; a clock that was set back gives nothing back."""
        slots, current = self._slots, int(now / self._span)
        if not slots or slots[-1][0] < current:
            slots.append([current, 0, 0, 0])
        slots[-1][kind + 1] += amount
        self.spent[kind] += amount

    def relief(self, now: float) -> float:
        """Seconds until something is given back."""
        return max(0.0, (self._slots[0][0] + SLOTS + 1) * self._span - now) if self._slots else 0.0

    def saved(self) -> list[tuple[int, int, int, int]]:
        """The slots, for the file."""
        return [(slot[0], slot[1], slot[2], slot[3]) for slot in self._slots]


class Budgets:
    """All accounts. ``clock`` gives Unix seconds; ``path`` None keeps the accounts in memory only."""

    def __init__(self, clock: Callable[[], float], path: Path | None = None) -> None:
        self.clock = clock
        self._path = path
        self._accounts: dict[tuple[str, str, float], Account] = {}
        self.dirty = False
        """Whether something was spent since the accounts were saved."""
        if path is not None:
            self._load(path)

    def account(self, budget: Budget) -> Account:
        """The account of a budget's owner."""
        key = (budget.policy, budget.owner, budget.window)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(budget.window)
        return account

    def allowance(self, budgets: Iterable[Budget]) -> Tab | None:
        """What statements under these budgets may spend of statements and rows; None where nothing is counted."""
        counted = [budget for budget in budgets if budget.statements is not None or budget.rows is not None]
        return Tab(self, counted) if counted else None

    def metered(
        self,
        plan: MaskingPlan,
        budgets: Iterable[Budget],
        columns: Sequence[ResultColumn],
        labels_of: LabelsOf,
        paths_of: PathsOf,
    ) -> MaskingPlan:
        """The plan with meters for the cells that it lets through in the clear."""
        meters: list[CellMeter] = []
        for budget in budgets:
            if budget.cells is None:
                continue
            weights = bytes(
                Weight.NONE if mask is not None else _weight(column, budget.labels, labels_of)
                for mask, column in zip(plan.columns, columns, strict=True)
            )
            below = tuple(_labelled(column, budget.labels, paths_of) for column in columns)
            if any(weights) or any(below):
                meters.append(Meter(self, budget, weights, below))
        return replace(plan, meters=tuple(meters)) if meters else plan

    def refusal(self, budget: Budget, kind: int, now: float) -> BudgetExceeded:
        """Says that nothing is left, and when there will be."""
        wait = self.account(budget).relief(now)
        hint = f"Something of it is free again in about {_spoken(wait)}." if wait else None
        return BudgetExceeded(
            f"{_NAMES[kind]} of the budget of {budget.owner} by {budget.policy} are used up", hint=hint
        )

    # --- the file -------------------------------------------------------------------------------------------------

    def _load(self, path: Path) -> None:
        try:
            saved = msgspec.json.decode(path.read_bytes(), type=list[_Saved])
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigurationError(
                f"{path}: what was spent of the budgets cannot be read ({error}); "
                "repair it, or delete it to begin with untouched budgets"
            ) from error
        for entry in saved:
            self._accounts[entry.policy, entry.owner, entry.window] = Account(entry.window, entry.slots)

    def _entries(self) -> list[_Saved]:
        now = self.clock()
        entries: list[_Saved] = []
        for key, account in list(self._accounts.items()):
            account.look(now)
            if slots := account.saved():
                entries.append(_Saved(*key, slots))
            # Rulings may hold an empty account, so it stays.
        return entries

    async def save(self) -> None:
        """Write the accounts if they have changed. Raises ``OSError``; the file is whole at any time."""
        if self._path is None or not self.dirty:
            return
        self.dirty = False
        try:
            await asyncio.to_thread(_write, self._path, self._entries())
        except OSError:
            self.dirty = True
            raise

    async def save_for_ever(self) -> None:
        """Write them again and again. What cannot be written is logged and tried again."""
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            await self.try_save()

    async def try_save(self) -> None:
        """Write them; a failure is logged. Counting goes on in memory."""
        try:
            await self.save()
        except OSError as error:
            _log.error("what was spent of budgets could not be written", error=str(error))


class Tab:
    """Implements ``gateway.domain.budget.Allowance``."""

    __slots__ = ("_budgets", "_counts_rows", "_entries")

    def __init__(self, budgets: Budgets, counted: Sequence[Budget]) -> None:
        self._budgets = budgets
        self._entries = tuple((budget, budgets.account(budget)) for budget in counted)
        self._counts_rows = any(budget.rows is not None for budget in counted)

    def begin(self, statements: int = 1) -> BudgetExceeded | None:
        """Count an execution, unless something is used up."""
        now = self._budgets.clock()
        for budget, account in self._entries:
            spent = account.look(now)
            if budget.statements is not None and spent[_STATEMENTS] + statements > budget.statements:
                return self._budgets.refusal(budget, _STATEMENTS, now)
            if budget.rows is not None and spent[_ROWS] >= budget.rows:
                return self._budgets.refusal(budget, _ROWS, now)
        for _, account in self._entries:
            account.spend(now, _STATEMENTS, statements)
        self._budgets.dirty = True
        return None

    def rows_left(self) -> int | None:
        """Rows that may still go out."""
        if not self._counts_rows:
            return None
        now = self._budgets.clock()
        return min(
            max(0, budget.rows - account.look(now)[_ROWS])
            for budget, account in self._entries
            if budget.rows is not None
        )

    def spend_rows(self, rows: int) -> None:
        """That many rows have gone out."""
        now = self._budgets.clock()
        for _, account in self._entries:
            account.spend(now, _ROWS, rows)
        self._budgets.dirty = True

    def exhausted(self) -> BudgetExceeded:
        """The budget of rows that has least left."""
        now = self._budgets.clock()
        budget, _ = min(
            ((budget, account) for budget, account in self._entries if budget.rows is not None),
            key=lambda entry: (entry[0].rows or 0) - entry[1].look(now)[_ROWS],
        )
        return self._budgets.refusal(budget, _ROWS, now)


class Meter:
    """Implements ``gateway.domain.budget.CellMeter``."""

    __slots__ = ("_account", "_budget", "_budgets", "below", "columns")

    def __init__(
        self, budgets: Budgets, budget: Budget, columns: bytes, below: tuple[frozenset[Steps] | None, ...]
    ) -> None:
        self._budgets = budgets
        self._budget = budget
        self._account = budgets.account(budget)
        self.columns = columns
        self.below = below

    def left(self) -> int:
        """Cells that may still go out."""
        return max(0, (self._budget.cells or 0) - self._account.look(self._budgets.clock())[_CELLS])

    def spend(self, cells: int) -> None:
        """That many have gone out."""
        self._account.spend(self._budgets.clock(), _CELLS, cells)
        self._budgets.dirty = True

    def exhausted(self) -> BudgetExceeded:
        """What to tell the client."""
        return self._budgets.refusal(self._budget, _CELLS, self._budgets.clock())


def _write(path: Path, entries: list[_Saved]) -> None:
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(entries))
        file.flush()
        os.fdatasync(file.fileno())
    draft.replace(path)


def _weight(column: ResultColumn, labels: frozenset[str], labels_of: LabelsOf) -> Weight:
    sources = reachable(column)
    if sources is not None and labels.isdisjoint(frozenset[str]().union(*map(labels_of, sources))):
        return Weight.NONE
    return Weight.COMPUTED if bare_source(column) is None else Weight.CELL


def _labelled(column: ResultColumn, labels: frozenset[str], paths_of: PathsOf) -> frozenset[Steps] | None:
    """The labelled paths in a document that is stored as it is; None for anything else."""
    source = bare_source(column) if column.document else None
    if source is None:
        return None
    paths = (path for path in paths_of(source.schema, source.table) if path.label in labels)
    return frozenset[Steps]().union(*(remaining(path.steps, source.column) for path in paths))


def _spoken(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{max(1, round(seconds))} seconds"
