"""What a statement does, normalised over all databases.

``StatementFacts`` is what policies, masking and audit speak of. Everything in it is a claim about the statement's
text; ``opaque`` says where the analysis could not prove a claim. Not proven is never the same as harmless.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from typing_extensions import override

from gateway.domain.copying import CopySpelling


class Action(StrEnum):
    """What a statement does to the database. Policies name these, or the groups of ``ACTION_GROUPS``."""

    READ = "read"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    TRUNCATE = "truncate"
    CREATE = "create"
    ALTER = "alter"
    DROP = "drop"
    GRANT = "grant"
    REVOKE = "revoke"
    CALL = "call"
    COPY_IN = "copy_in"
    COPY_OUT = "copy_out"
    EXPLAIN = "explain"
    SET = "set"
    SHOW = "show"
    TRANSACTION = "transaction"
    PREPARE = "prepare"
    CURSOR = "cursor"
    LOCK = "lock"
    NOTIFY = "notify"
    MAINTAIN = "maintain"
    """VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT, COMMENT, REFRESH … ."""
    FUNCTION_CALL = "function_call"
    """The PostgreSQL FunctionCall message, which carries an OID instead of a text."""
    REPLICATE = "replicate"
    """A replication session or command."""
    UNKNOWN = "unknown"
    """Could be anything; every deny applies."""


ACTION_GROUPS: dict[str, frozenset[Action]] = {
    "ddl": frozenset({Action.CREATE, Action.ALTER, Action.DROP, Action.TRUNCATE}),
    "write": frozenset({Action.INSERT, Action.UPDATE, Action.DELETE, Action.MERGE, Action.TRUNCATE, Action.COPY_IN}),
    "privileges": frozenset({Action.GRANT, Action.REVOKE}),
    "session": frozenset({Action.SET, Action.SHOW, Action.TRANSACTION, Action.PREPARE, Action.CURSOR}),
    # Replication and the function-call message bypass statement analysis, so "everything" does not include them:
    # a policy has to name them.
    "*": frozenset(set(Action) - {Action.FUNCTION_CALL, Action.REPLICATE}),
}
"""Names that stand for several actions in a policy."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """A table, view, collection, function … that a statement names. ``schema`` "" means: could not be resolved."""

    schema: str
    name: str
    kind: str = "table"

    @override
    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True, order=True)
class ColumnRef:
    """One column (or document path) of a stored object."""

    schema: str
    table: str
    column: str

    @override
    def __str__(self) -> str:
        return f"{self.schema}.{self.table}.{self.column}"


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """Where one result column comes from, by lineage.

    ``proven`` False means that ``sources`` may be incomplete: the column may carry anything the statement can reach.
    ``bare`` True means that the value is exactly one stored column's value, unchanged (so a partial mask makes sense).
    """

    name: str
    sources: frozenset[ColumnRef] = frozenset()
    proven: bool = False
    bare: bool = False
    document: bool = False
    """Whether the value may be a document, so that labels below its one source hold for what is in it."""


class Predicate(StrEnum):
    """What restricts the rows that an UPDATE, DELETE, MERGE or SELECT touches."""

    NOT_APPLICABLE = "not_applicable"
    ABSENT = "absent"
    CONSTANT = "constant"
    """There is one, but it cannot exclude a row: ``WHERE 1=1``, ``WHERE id = id``, ``… OR true``."""
    PRESENT = "present"


class SessionEffect(StrEnum):
    """What a statement may do to the session such that facts of later statements depend on it."""

    NAME_RESOLUTION = "name_resolution"
    """search_path, role, session authorisation, or anything that could set them."""
    LANGUAGE = "language"
    """Settings that change how text is read, such as standard_conforming_strings."""
    PREPARED_STATEMENTS = "prepared_statements"
    """SQL-level PREPARE, DEALLOCATE or DISCARD."""
    CURSORS = "cursors"
    """SQL's DECLARE or CLOSE: what FETCH means."""
    TEMPORARY_OBJECTS = "temporary_objects"
    CATALOG = "catalog"
    """Schema change: the catalog that facts are resolved against is out of date afterwards."""


@dataclass(frozen=True, slots=True)
class StatementFacts:
    """What one statement does.

    ``outputs`` is None where the statement returns no rows or where nothing about its result is known; the server's
    result description then decides alone, and unknown columns count as carrying every reachable label.
    ``columns_read`` holds every column whose value the statement looks at anywhere; ``columns_filtered`` those used in
    predicates, joins, ordering and grouping (through which values can be inferred).
    ``reads_everything`` True means that the statement may reach columns that ``columns_read`` does not name.
    """

    kind: str
    actions: frozenset[Action]
    objects_read: frozenset[ObjectRef] = frozenset()
    objects_written: frozenset[ObjectRef] = frozenset()
    functions: frozenset[ObjectRef] = frozenset()
    columns_read: frozenset[ColumnRef] = frozenset()
    columns_written: frozenset[ColumnRef] = frozenset()
    columns_filtered: frozenset[ColumnRef] = frozenset()
    predicate: Predicate = Predicate.NOT_APPLICABLE
    outputs: tuple[OutputColumn, ...] | None = None
    reads_everything: bool = False
    copies_data: bool = False
    """Stores values that it read (INSERT … SELECT, CREATE TABLE AS, UPDATE … FROM, view creation, COPY FROM query)."""
    opaque: tuple[str, ...] = ()
    """Why the analysis is not sure, a short reason each; empty means that every claim above is proven."""
    session_effects: frozenset[SessionEffect] = frozenset()
    changes_inside: bool = False
    """Changes rows in a part of it whose number the database does not report, such as a DELETE inside WITH."""
    texts: frozenset[str] = field(default=frozenset(), compare=False)
    """The string constants of a statement that writes: one of them may be stored."""
    copied: CopySpelling | None = None
    """For COPY TO STDOUT: the query for its rows and how they are spelt; None where that is not certain."""
    detail: str = ""
    """One word of the statement that its handling depends on: the name in ``DEALLOCATE name``, the setting in SET."""

    @property
    def has_predicate(self) -> bool:
        """Whether a predicate that can exclude rows is there; what CEL sees as ``statement.has_predicate``."""
        return self.predicate not in (Predicate.ABSENT, Predicate.CONSTANT)


@dataclass(frozen=True, slots=True)
class Analysis:
    """The facts of all statements in one text, in order, and how the text may be cached.

    ``literals_matter`` False is a promise: the same text with other literals in the same places has the same facts.
    """

    statements: tuple[StatementFacts, ...]
    literals_matter: bool = True
    fingerprint: str = ""
    """Hex digest of the text with literals, comments and spacing normalised; equal for alike statements."""
    normalised: str = ""
    """The text with literals replaced by ``?``, for logs that must not hold values."""
    credentials_left_out: bool = False
    """A promise: the text that the audit is given holds no password or key, its protocol has left them out."""

    actions: frozenset[Action] = field(init=False)
    session_effects: frozenset[SessionEffect] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "actions", frozenset[Action]().union(*(s.actions for s in self.statements)))
        effects = frozenset[SessionEffect]().union(*(s.session_effects for s in self.statements))
        object.__setattr__(self, "session_effects", effects)


def opaque_analysis(kind: str, action: Action, reason: str) -> Analysis:
    """Facts of an operation that has no text to analyse: it may read everything and change any state."""
    facts = StatementFacts(
        kind=kind,
        actions=frozenset({action}),
        predicate=Predicate.NOT_APPLICABLE,
        reads_everything=True,
        opaque=(reason,),
        session_effects=frozenset({SessionEffect.NAME_RESOLUTION}),
    )
    return Analysis((facts,))
