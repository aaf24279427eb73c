"""From a table's sample to proposals: name and value evidence combined into one score.

The score of a label is ``1 - (1 - name)(1 - values)``: two pieces of evidence that are independent of each other, where
each piece is what the detector's weight lets it be (see ``gateway.classify.detectors``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.classify.detectors import Detector
from gateway.classify.shapes import shape
from gateway.classify.values import MAX_CHARACTERS
from gateway.domain.statement import ColumnRef
from gateway.protocol.optional import ColumnSort, SampledColumn, SampledTable

LEAST_SHARE: Final = 0.1
"""With a smaller share of fitting values than this, they speak against the name."""
CONTRADICTED: Final = 0.4
"""What is left of a name's weight then."""

# Text in quotes, or between the separators of an array's text form; escapes are taken as they stand.
_QUOTED: Final = re.compile(r'"([^"\\]{1,256})"')
_BARE: Final = re.compile(r'[^{}\[\],"]{1,256}')


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a label on a column. ``fitting`` of ``looked_at`` values fit; ``example`` is the shape of one."""

    label: str
    score: float
    by_name: bool
    fitting: int = 0
    looked_at: int = 0
    example: str = ""

    def describe(self) -> str:
        """In words, without a value."""
        said = ["the name says so"] if self.by_name else []
        if self.fitting:
            said.append(f"{self.fitting} of {self.looked_at} values fit, such as {self.example}")
        elif self.looked_at:
            said.append(f"none of {self.looked_at} values looked at could confirm it")
        else:
            said.append("no value was looked at")
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A label for a column. ``covers`` are other columns with the same data, which get the label with it."""

    column: ColumnRef
    type_name: str
    evidence: Evidence
    covers: tuple[ColumnRef, ...] = ()


def propose(table: SampledTable, detectors: Sequence[Detector], *, min_score: float) -> list[Proposal]:
    """What is proposed for a table's columns: the likeliest label for each, all likely ones for lists and documents."""
    proposals = []
    for column in table.columns:
        found = [item for detector in detectors if (item := weigh(detector, table.name, column)).score >= min_score]
        found.sort(key=lambda item: -item.score)
        several = column.sort in (ColumnSort.LIST, ColumnSort.DOCUMENT)
        reference = ColumnRef(table.schema, table.name, column.name)
        proposals += [Proposal(reference, column.type_name, item) for item in (found if several else found[:1])]
    return proposals


def weigh(detector: Detector, table: str, column: SampledColumn) -> Evidence:
    """What speaks for the detector's label on a column."""
    if column.sort not in detector.sorts:
        return Evidence(detector.label, 0.0, by_name=False)
    said = detector.name(table, column.name)
    name = said * detector.by_name
    if detector.check is None or not column.values:
        return Evidence(detector.label, name, said > 0)
    sure = [max(map(detector.check, parts(value, column.sort)), default=0.0) for value in column.values]
    fitting = [index for index, one in enumerate(sure) if one > 0]
    # One value more than there are, so that few values never make quite sure.
    share = sum(sure) / (len(sure) + 1)
    if share < LEAST_SHARE and detector.decisive:
        name *= CONTRADICTED
    example = ""
    if fitting:
        index = max(fitting, key=lambda index: sure[index])
        example = shape(max(parts(column.values[index], column.sort), key=detector.check))
    score = 1 - (1 - name) * (1 - share * detector.by_values)
    return Evidence(detector.label, score, said > 0, len(fitting), len(sure), example)


def parts(value: str, sort: ColumnSort) -> list[str]:
    """The values within a value: one, but for lists and documents."""
    text = value[:MAX_CHARACTERS]
    match sort:
        case ColumnSort.DOCUMENT:
            return _QUOTED.findall(text)
        case ColumnSort.LIST:
            return _BARE.findall(text)
        case _:
            return [text.strip()]


def fold(proposals: Iterable[Proposal], related: Callable[[ColumnRef], frozenset[ColumnRef]]) -> list[Proposal]:
    """One proposal for columns that hold the same data, such as a parent's and its children's: the first one's.

    ``related`` gives the other columns with the same data (``CatalogView.related_columns``).
    """
    kept: list[Proposal] = []
    for proposal in proposals:
        others = related(proposal.column)
        for index, earlier in enumerate(kept):
            if earlier.column in others and earlier.evidence.label == proposal.evidence.label:
                best = max(earlier.evidence, proposal.evidence, key=lambda evidence: evidence.score)
                kept[index] = replace(earlier, evidence=best, covers=(*earlier.covers, proposal.column))
                break
        else:
            kept.append(proposal)
    return kept
