"""Requests for approval as people read them in a terminal, with nothing in them that could steer it.

Whoever asks chooses the statement, the reason and the application's name: none of them may move the cursor, hide a part
of the text from the one who decides, or look like a line of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.policy.units import format_duration
from gateway.terminal import harmless, one_line

_WIDTH_OF_PIPES: Final = 100_000
"""Cells of a line where nobody looks: a request stays on its line."""
_LEAST: Final = 20
"""Cells of a statement, however wide the rest is."""
_GAP: Final = 2
_HEADINGS: Final = ("ID", "STATE", "LEFT", "WHO", "RESOURCE", "WAITS FOR", "WHAT")
_WHOLE: Final = frozenset({"ID", "STATE", "LEFT", "WHAT"})
_INDENT: Final = "    "
_BOUNDS: Final = {
    "absent": "nothing, there is no predicate",
    "constant": "nothing, its predicate looks at no row",
    "present": "a predicate",
}
_FRACTION: Final = re.compile(r"(?<=:\d\d)\.\d+")


def print_table(requests: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """One request a line; on a terminal the statement gets what room there is, elsewhere all that it needs."""
    console = Console(highlight=False, markup=False, emoji=False)
    rows = [_row(request, now) for request in requests]
    if console.is_terminal:
        *others, _ = zip(_HEADINGS, *rows, strict=True)
        room = max(_LEAST, console.width - sum(max(map(cell_len, column)) + _GAP for column in others))
    else:
        room = _WIDTH_OF_PIPES
        console = Console(highlight=False, markup=False, emoji=False, width=2 * _WIDTH_OF_PIPES)
    table = Table(box=None, pad_edge=False)
    for heading in _HEADINGS:
        # An id is for copying: it is never cut.
        table.add_column(heading, no_wrap=heading in _WHOLE, overflow="fold")
    for *row, statement in rows:
        text = Text(statement, no_wrap=True)
        text.truncate(room, overflow="ellipsis")
        table.add_row(*row, text)
    console.print(table)


def _row(request: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    groups = sorted({group for rule in request["rules"] for group in rule["approvers"]})
    return (
        one_line(request["id"]),
        one_line(request["state"]),
        _left(request, now),
        who(request),
        one_line(request["resource"]),
        one_line(", ".join(groups)),
        what(request),
    )


def line(request: Mapping[str, Any], moment: datetime) -> str:
    """A request on one line, as ``watch`` shows a change."""
    left = request["approvals_missing"]
    state = str(request["state"])
    if state == "pending" and request["verdicts"]:
        state = f"pending, {left} more"
    where = f"{who(request)} on {one_line(request['resource'])}"
    by = ", ".join(one_line(verdict["approver"]) for verdict in request["verdicts"])
    decided = f" (decided by {by})" if by else ""
    return f"{moment:%H:%M:%S}  {one_line(request['id'])}  {one_line(state):9}  {where}: {what(request)}{decided}"


def describe(request: Mapping[str, Any]) -> str:
    """All of a request that an approver should know."""
    lines = [_line("request", request["id"], request["state"], request["note"])]
    source = request["client_address"] and f"from {request['client_address']}"
    lines.append(_line("who", who(request), request["principal_kind"], source, request["application"]))
    through = f"through {request['gateway']}" if request.get("gateway") else ""
    lines.append(_line("where", request["resource"], request["environment"], request["database"], through))
    until = request["valid_until"] or request["expires_at"]
    lines.append(
        _line("asked", to_the_second(request["created_at"]), f"good until {to_the_second(until)}", extent(request))
    )
    if request["reason"]:
        lines.append(_line("why", request["reason"]))
    if request["group"]:
        lines.append(_line("wants", what(request)))
    statement = request["statement"]
    if statement:
        lines += _facts(statement)
    for rule in request["rules"]:
        wanted = f"{rule['count']} of {', '.join(rule['approvers'])}"
        lines.append(_line("policy", rule["policy"], wanted, f"may grant {', '.join(rule['scopes'])}"))
    for verdict in request["verdicts"]:
        word = "approved" if verdict["approve"] else "rejected"
        loud = "BREAK GLASS" if verdict["break_glass"] else "does not count any more" if verdict["lapsed"] else ""
        lines.append(_line("decided", f"{word} by {verdict['approver']}", loud, verdict["reason"]))
    if statement and statement["before"]:
        lines += ["", "what the session ran before:", *(_INDENT + one_line(text) for text in statement["before"])]
    if statement:
        # Set in, so that no line of it looks like one of ours.
        lines += ["", "the statement:", *(_INDENT + text for text in harmless(statement["text"]).split("\n"))]
        if statement.get("parameters"):
            numbered = enumerate(statement["parameters"], 1)
            lines += ["", "its parameters:", *(f"{_INDENT}{number}: {one_line(text)}" for number, text in numbered)]
    return "\n".join(lines)


def extent(request: Mapping[str, Any]) -> str:
    """What was granted where it is more than one run; nothing for a single use."""
    if request.get("valid_until") is None:
        return ""
    scopes = {"window": "for statements of the same shape", "session": "for the rest of the session"}
    return scopes.get(request["scope"], "")


def to_the_second(moment: str) -> str:
    """A time of the API without its fraction, which tells people nothing."""
    return _FRACTION.sub("", moment)


def who(request: Mapping[str, Any]) -> str:
    """Who asks, and for whom."""
    acts_for = request["acts_for"]
    return one_line(request["principal"]) + (f" (for {one_line(', '.join(acts_for))})" if acts_for else "")


def what(request: Mapping[str, Any]) -> str:
    """What is asked for, on one line."""
    if request["group"]:
        return f"group {one_line(request['group'])} for {format_duration(request['duration_seconds'])}"
    return one_line(request["statement"]["text"])


def _left(request: Mapping[str, Any], now: datetime) -> str:
    """How long it can still be decided, or used."""
    if request["state"] not in ("pending", "approved"):
        return "-"
    until = datetime.fromisoformat(request["valid_until"] or request["expires_at"])
    seconds = max(0, int((until - now).total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _facts(statement: Mapping[str, Any]) -> list[str]:
    lines = [_line("does", ", ".join(statement["actions"]) or "nothing known")]
    lines += [_line(word, ", ".join(statement[word])) for word in ("reads", "writes", "labels") if statement[word]]
    if statement["predicate"] in _BOUNDS:
        lines.append(_line("bounded by", _BOUNDS[statement["predicate"]]))
    if statement["estimated_rows"] is not None:
        lines.append(_line("rows", f"about {statement['estimated_rows']:,}"))
    if statement["opaque"]:
        lines.append(_line("not proven", "; ".join(statement["opaque"])))
    return lines


def _line(heading: str, *parts: str) -> str:
    return f"{heading:11} " + ", ".join(one_line(part) for part in parts if part)
