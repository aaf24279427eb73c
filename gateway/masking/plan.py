"""The built-in masking plan: which column of a result gets which mask.

Two witnesses say where a result column comes from: the server's origin and the lineage over the statement's text
(``ResultColumn``). Neither is trusted further than it goes:

========================================  ===========================  ==================================
the server's origin                       lineage proven               lineage not proven
========================================  ===========================  ==================================
object or column unknown to the catalog   every masked label           every masked label
exact: a table's column, plain SELECT     labels of both               labels of the origin
a view's column, RETURNING …              labels of both               every masked label
none: an expression                       labels of the sources        every masked label
========================================  ===========================  ==================================

"Every masked label" means the strictest mask that the principal is under on this resource at all. A mask that leaves
something of the value to be recognised is only for a bare column, whose value nothing has been done to; anything else
is redacted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway import hookimpl
from gateway.domain.decision import AccessRequest
from gateway.domain.masking import ColumnMask, MaskingFunction, MaskingPlan, MaskSpec, PathMask, ResultColumn
from gateway.domain.resource import Resource
from gateway.domain.statement import ColumnRef
from gateway.masking.functions import strictest
from gateway.policy.paths import LabelledPath, remaining

REDACT = MaskSpec("redact")

LabelsOf = Callable[[ColumnRef], frozenset[str]]
PathsOf = Callable[[str, str], Sequence[LabelledPath]]
"""Takes a database and a collection."""


@dataclass(frozen=True, slots=True)
class MaskPlanner:
    """The plugin that plans masks. ``labels_of`` gives a stored column's labels, ``function`` makes specs ready,
    ``paths_of`` gives the labelled paths of a collection (resource, database, collection)."""

    labels_of: Callable[[Resource, ColumnRef], frozenset[str]]
    function: Callable[[MaskSpec], MaskingFunction]
    paths_of: Callable[[Resource, str, str], Sequence[LabelledPath]] | None = None

    @hookimpl
    def plan_masking(
        self, request: AccessRequest, columns: Sequence[ResultColumn], masks: Mapping[str, frozenset[MaskSpec]]
    ) -> MaskingPlan:
        """A mask, or None, for each result column."""

        def labels_of(column: ColumnRef) -> frozenset[str]:
            return self.labels_of(request.resource, column)

        ask = self.paths_of
        paths_of = None if ask is None else lambda schema, table: ask(request.resource, schema, table)
        return plan(columns, masks, labels_of=labels_of, function=self.function, paths_of=paths_of)


def plan(
    columns: Sequence[ResultColumn],
    masks: Mapping[str, frozenset[MaskSpec]],
    *,
    labels_of: LabelsOf,
    function: Callable[[MaskSpec], MaskingFunction],
    paths_of: PathsOf | None = None,
) -> MaskingPlan:
    """The masks for a result. ``masks`` maps each label that the principal sees masked to the functions asked for.

    Without ``paths_of`` a document is masked whole where anything in it has a masked label.
    """
    planned: list[ColumnMask | None] = []
    below: list[tuple[PathMask, ...]] = []
    for column in columns:
        source = bare_source(column) if column.document and paths_of is not None else None
        if source is None or paths_of is None:
            planned.append(_plan_column(column, masks, labels_of, function))
            below.append(())
        else:
            found = _plan_document(source, masks, paths_of(source.schema, source.table), function)
            planned.append(next((item.mask for item in found if not item.steps), None))
            below.append(tuple(item for item in found if item.steps))
    return MaskingPlan(tuple(planned), tuple(below) if any(below) else ())


def _plan_document(
    source: ColumnRef,
    masks: Mapping[str, frozenset[MaskSpec]],
    labelled: Sequence[LabelledPath],
    function: Callable[[MaskSpec], MaskingFunction],
) -> list[PathMask]:
    """The masks in a document that is what is stored at ``source``, one for each labelled path in it."""
    by_steps: dict[tuple[str, ...], set[str]] = {}
    for path in labelled:
        if path.label in masks:
            for steps in remaining(path.steps, source.column):
                by_steps.setdefault(steps, set()).add(path.label)
    found = []
    for steps, labels in by_steps.items():
        specs = frozenset[MaskSpec]().union(*(masks[label] or {REDACT} for label in labels))
        found.append(PathMask(steps, ColumnMask(strictest([function(spec) for spec in specs]).spec, frozenset(labels))))
    return found


def _plan_column(
    column: ResultColumn,
    masks: Mapping[str, frozenset[MaskSpec]],
    labels_of: LabelsOf,
    function: Callable[[MaskSpec], MaskingFunction],
) -> ColumnMask | None:
    sources = reachable(column)
    found = masks.keys() if sources is None else frozenset[str]().union(*map(labels_of, sources))
    labels = frozenset(found & masks.keys())
    if not labels:
        return None
    # A label without a function would be a mask that masks nothing.
    specs = frozenset[MaskSpec]().union(*(masks[label] or {REDACT} for label in labels))
    chosen = strictest([function(spec) for spec in specs])
    if chosen.partial:
        source = bare_source(column)
        if source is None or not labels <= labels_of(source):
            return ColumnMask(REDACT, labels)
    return ColumnMask(chosen.spec, labels)


def reachable(column: ResultColumn) -> frozenset[ColumnRef] | None:
    """The stored columns that may be behind a result column; None where it could be any."""
    if not column.origin_known:
        return None
    if column.lineage is not None and column.lineage.proven:
        return column.origins | column.lineage.sources
    if column.origin_exact and column.origins:
        return column.origins
    return None


def bare_source(column: ResultColumn) -> ColumnRef | None:
    """The stored column whose bare value the result column is, unless a witness knows nothing or contradicts."""
    if not column.origin_known:
        return None
    lineage = column.lineage if column.lineage is not None and column.lineage.proven else None
    if column.origin_exact and len(column.origins) == 1:
        (origin,) = column.origins
        return origin if lineage is None or origin in lineage.sources else None
    if lineage is None or not lineage.bare or len(lineage.sources) != 1:
        return None
    (source,) = lineage.sources
    return source if not column.origins or source in column.origins else None
