"""A replay's outcome for people and for programs."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.policy.replay import Change, Difference, Replay

_COLOURS = {
    Change.ALLOWED: "red",
    Change.UNMASKED: "red",
    Change.REFUSED: "yellow",
    Change.HELD: "yellow",
    Change.MASKED: "cyan",
    Change.MASKED_OTHERWISE: "cyan",
    Change.LIMITED: "cyan",
}
_EXAMPLE = 72


def print_replay(replay: Replay, console: Console, *, limit: int = 50) -> None:
    """A table of differences, the gravest first, and a summary."""
    if replay.differences:
        table = Table(box=None, pad_edge=False)
        for name in ("CHANGE", "PRINCIPAL", "RESOURCE", "POLICY", "COUNT", "WAS", "WOULD BE", "EXAMPLE"):
            table.add_column(name, justify="right" if name == "COUNT" else "left", overflow="fold")
        for item in replay.differences[:limit]:
            colour = _COLOURS[item.change]
            table.add_row(
                f"[{colour}]{item.change.value}[/]",
                escape(item.principal),
                escape(item.resource),
                escape(item.policy),
                str(item.count),
                item.before,
                item.after,
                escape(_example(item)),
            )
        console.print(table)
        if len(replay.differences) > limit:
            console.print(f"… and {len(replay.differences) - limit} more kinds; --json has all")
    people = len(replay.principals)
    console.print(
        f"{replay.statements} statements of {people} principal{'' if people == 1 else 's'}: "
        f"{replay.changed} would be decided differently, {replay.unchanged} the same"
    )
    if replay.not_comparable:
        console.print(f"{replay.not_comparable} were refused for other reasons than policies, and are left out")
    if replay.unreadable:
        console.print(f"[yellow]{replay.unreadable} events could not be read[/]")


def replay_document(replay: Replay) -> dict[str, object]:
    """The same as one JSON document."""
    return {
        "statements": replay.statements,
        "unchanged": replay.unchanged,
        "changed": replay.changed,
        "not_comparable": replay.not_comparable,
        "unreadable": replay.unreadable,
        "principals": sorted(replay.principals),
        "differences": [_document(item) for item in replay.differences],
    }


def _document(item: Difference) -> dict[str, object]:
    example = item.example
    return {
        "change": item.change.name.lower(),
        "principal": item.principal,
        "resource": item.resource,
        "policy": item.policy,
        "before": item.before,
        "after": item.after,
        "count": item.count,
        "distinct_statements": len(item.fingerprints),
        "example": None
        if example is None
        else {
            "id": example.id,
            "time": example.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "text": example.text,
            "outcome": example.outcome,
            "fingerprint": example.analysis.fingerprint,
        },
    }


def _example(item: Difference) -> str:
    text = "" if item.example is None else " ".join(item.example.text.split())
    return text if len(text) <= _EXAMPLE else text[: _EXAMPLE - 1] + "…"
