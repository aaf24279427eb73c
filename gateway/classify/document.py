"""Proposals as a YAML document in the configuration's own form, for a person to review; never applied by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

from gateway.classify.propose import Proposal
from gateway.domain.statement import ColumnRef

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def render(
    proposals: Sequence[Proposal],
    *,
    resource: str,
    database: str,
    today: date,
    notes: Sequence[str],
    paths: bool = False,
) -> str:
    """The document. ``notes`` are put into its head; ``paths`` True: the columns are paths of documents."""
    head = [
        f"Labels proposed for resource {resource}, database {database}, on {today.isoformat()}.",
        "Nothing of this is in force. Review it, and move what is right to `classifications` in the configuration.",
        "A score says how sure the guess is (0 to 1); examples show the shape of a value only.",
        *notes,
    ]
    lines = [f"# {_comment(line)}" for line in head]
    key = "paths" if paths else "columns"
    by_label: dict[str, list[Proposal]] = {}
    for proposal in proposals:
        by_label.setdefault(proposal.evidence.label, []).append(proposal)
    lines.append("classifications:" if by_label else "classifications: []")
    for label in sorted(by_label):
        lines += [f"  - resource: {_scalar(resource)}", f"    label: {_scalar(label)}", f"    {key}:"]
        for proposal in sorted(by_label[label], key=lambda item: (-item.evidence.score, item.column)):
            evidence = proposal.evidence
            described = _comment(f"{proposal.type_name}; {evidence.describe()}")
            lines.append(f"      # {evidence.score:.2f}: {described}")
            if proposal.covers:
                covered = ", ".join(map(str, proposal.covers))
                lines.append(f"      # holds for the same data in {_comment(covered)}")
            lines.append(f"      - {_scalar(pattern(proposal.column, path=paths))}")
    return "\n".join(lines) + "\n"


def pattern(column: ColumnRef, *, path: bool = False) -> str:
    """The column in the form that ``classifications`` has; a dot inside a name is written as a wildcard."""
    names = [part.replace(".", "?") for part in (column.schema, column.table)]
    return ".".join([*names, column.column if path else column.column.replace(".", "?")])


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def _escaped(char: str) -> str:
    """A character inside double quotes (YAML 1.2, 5.7)."""
    if char in '"\\':
        return "\\" + char
    return char if char.isprintable() else f"\\U{ord(char):08x}"


def _comment(text: str) -> str:
    """Names come from the database, and a line break in one would end the comment."""
    return "".join(char if char.isprintable() else "?" for char in text)
