"""The lineage of a result whose width the server tells."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.statement import OutputColumn, StatementFacts


def lineage(facts: StatementFacts | None, names: Sequence[str]) -> Sequence[OutputColumn | None]:
    """For each result column what the statement's text says of it; None where it says nothing.

    ``names`` are those of the server's description. A lineage of another width is of another result. Where a statement
    is proven to look at no stored column at all, so is each of its result columns, however many there are.
    """
    if facts is not None:
        if facts.outputs is not None and len(facts.outputs) == len(names):
            return facts.outputs
        if facts.outputs is None and not (facts.columns_read or facts.reads_everything or facts.opaque):
            return [OutputColumn(name, proven=True) for name in names]
    return [None] * len(names)
