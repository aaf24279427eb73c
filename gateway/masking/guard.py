"""The guard for principals under a mask: which statements a masked principal may not run at all.

A mask on results is worth nothing if a statement can carry the value out some other way: by storing it in a place
without labels, by a text that nobody can analyse, by renaming the column that has the label. What cannot be masked is
refused. The table ``RULES`` below is the whole of it, in order; the first rule that applies is the reason given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.domain.statement import Action, Analysis, ColumnRef, ObjectRef, StatementFacts

LabelsOf = Callable[[ColumnRef], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Situation:
    """A statement under masks, as the rules see it."""

    facts: StatementFacts
    reads_masked: bool
    """It reads a masked column, or may read columns that its facts do not name."""
    filters_masked: bool
    writes_masked: bool
    alters_masked: bool
    """It changes an object that has, or may have, masked columns."""
    inference: bool

    @property
    def forgets(self) -> bool:
        """Whether it only closes cursors or drops prepared statements."""
        return self.facts.kind.lower() in _FORGETTING and self.facts.actions <= {Action.PREPARE, Action.CURSOR}

    @property
    def follows_a_cursor(self) -> bool:
        """Whether it makes a cursor, or moves or reads one, and it is known of which query."""
        facts = self.facts
        return (
            (facts.kind == "move" or (facts.kind in _CURSORS and facts.outputs is not None))
            and facts.actions <= {Action.READ, Action.CURSOR, Action.LOCK}
            and not facts.opaque
            and not facts.reads_everything
        )

    @property
    def writes_code(self) -> bool:
        """Whether it makes or changes an object that may hold code."""
        return any(target.kind.lower().replace("_", " ") not in _DATA_KINDS for target in self.facts.objects_written)

    def does(self, *actions: Action) -> bool:
        """Whether it does one of these."""
        return not self.facts.actions.isdisjoint(actions)


@dataclass(frozen=True, slots=True)
class Rule:
    """Refuses where ``applies``; ``reason`` is for the log and the audit and holds nothing of a policy or a value."""

    name: str
    reason: str
    applies: Callable[[Situation], bool]


_UNMASKABLE: Final = (
    Action.UNKNOWN,
    Action.CALL,
    Action.PREPARE,
    Action.CURSOR,
    Action.FUNCTION_CALL,
    Action.REPLICATE,
)
_FORGETTING: Final = frozenset({"close", "deallocate", "discard"})
"""Kinds of PREPARE and CURSOR statements that only end something; drivers send them when they reset a session."""
_CURSORS: Final = frozenset({"declare", "declare_hold", "fetch"})
_OPAQUE_BUT_HARMLESS: Final = frozenset({Action.NOTIFY, Action.DROP})
"""What shows nothing, whatever it is done to."""
_DATA_KINDS: Final = frozenset(
    {
        *("table", "view", "materialized view", "index", "sequence", "schema", "database", "type", "domain"),
        *("column", "constraint", "collation", "role", "tablespace", "publication", "statistics"),
    }
)
"""Kinds of objects that hold no code. All others run later, when nobody looks at what they read."""

RULES: Final = (
    Rule(
        "nothing-known",
        "nothing is known of what the statement does",
        lambda s: not s.facts.actions,
    ),
    Rule(
        "unmaskable-action",
        "the results of this kind of statement cannot be masked",
        lambda s: s.does(*_UNMASKABLE) and not s.forgets and not s.follows_a_cursor,
    ),
    Rule(
        "opaque",
        "the statement cannot be analysed completely",
        lambda s: bool(s.facts.opaque) and not s.facts.actions <= _OPAQUE_BUT_HARMLESS,
    ),
    Rule(
        "code",
        "code that is stored in the database cannot be analysed when it runs",
        lambda s: s.does(Action.CREATE, Action.ALTER) and s.writes_code,
    ),
    Rule(
        "copy-out",
        "COPY would carry masked columns out unmasked",
        # One whose query and spelling are known is run as that query, its rows masked and then spelt as COPY does.
        lambda s: s.does(Action.COPY_OUT) and s.reads_masked and s.facts.copied is None,
    ),
    Rule(
        "laundering",
        "the statement would store masked values where they are not masked",
        lambda s: s.facts.copies_data and s.reads_masked,
    ),
    Rule(
        "explain",
        "a plan over masked columns can show what is in them",
        lambda s: s.does(Action.EXPLAIN) and (s.reads_masked or s.filters_masked),
    ),
    Rule(
        "definition",
        "an object defined over masked columns would show them under another name",
        lambda s: s.does(Action.CREATE) and (s.reads_masked or s.filters_masked),
    ),
    Rule(
        "relabel",
        "labels go by name, so objects that hold masked columns, or may, cannot be altered",
        # An alteration that copies is one that moves or attaches what is there, under names that need not be its own;
        # CREATE OR REPLACE only copies what its query reads.
        lambda s: (
            s.does(Action.ALTER)
            and (
                s.alters_masked
                or s.writes_masked
                or s.reads_masked
                or (s.facts.copies_data and not s.does(Action.CREATE))
            )
        ),
    ),
    Rule(
        "inference",
        "masked columns may not be used to filter, join, order or group",
        lambda s: not s.inference and s.filters_masked,
    ),
)


def copies_masked(analysis: Analysis, labels_of: LabelsOf, masked: frozenset[str]) -> bool:
    """Whether a COPY sends what is masked, so that it may run as its query only."""
    return Action.COPY_OUT in analysis.actions and any(
        facts.reads_everything or any(not masked.isdisjoint(labels_of(column)) for column in facts.columns_read)
        for facts in analysis.statements
        if Action.COPY_OUT in facts.actions
    )


def guard(
    facts: StatementFacts,
    *,
    labels_of: LabelsOf,
    masked: frozenset[str],
    inference: bool,
    has_masked_columns: Callable[[ObjectRef], bool] | None = None,
) -> str | None:
    """Why a principal who sees the labels ``masked`` only under a mask may not run the statement; None if it may.

    ``inference`` False means that masked columns may not be used in predicates, joins, order and groups.
    ``has_masked_columns`` says whether an object has columns with such labels; left out, every object might.
    """
    if not masked:
        return None

    def any_masked(columns: frozenset[ColumnRef]) -> bool:
        return any(not masked.isdisjoint(labels_of(column)) for column in columns)

    situation = Situation(
        facts=facts,
        reads_masked=facts.reads_everything or any_masked(facts.columns_read),
        filters_masked=any_masked(facts.columns_filtered),
        writes_masked=any_masked(facts.columns_written),
        alters_masked=any(has_masked_columns is None or has_masked_columns(o) for o in facts.objects_written),
        inference=inference,
    )
    return next((rule.reason for rule in RULES if rule.applies(situation)), None)
