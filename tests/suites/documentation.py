"""The part of docs/compatibility.md that is made from the list of exclusions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.suites.comparison import Exclusion

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"
_BEGIN = "<!-- exclusions: made by `python -m tests.suites --document` -->"
_END = "<!-- end of exclusions -->"


def exclusion_table(exclusions: Iterable[Exclusion]) -> str:
    """A Markdown table."""
    lines = ["| suite | tests | why |", "| --- | --- | --- |"]
    for entry in exclusions:
        tests = "<br>".join(f"`{test}`" for test in entry.tests)
        lines.append(f"| `{entry.suites}` | {tests} | {entry.reason} |")
    return "\n".join(lines)


def with_table(document: str, table: str) -> str:
    """The document with this table between its markers. Raises ``ValueError`` if they are not there."""
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError("the document has no place for the exclusions")
    return f"{before}{_BEGIN}\n{table}\n{_END}{after}"
