"""How many documents a change is about: for whoever has to approve it.

MongoDB's planner has no number to give, so the server counts what the filters match. It gets half a second for each, no
JavaScript is run, and of a filter that can hit one document only no more than that is looked for.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from bson import Code, DBRef, json_util

from gateway.domain.statement import StatementFacts

_KINDS: Final = frozenset({"update", "delete", "findandmodify"})
_MOST_FILTERS: Final = 4
"""Filters of one command that are counted; of more of them nothing is said."""
_MILLISECONDS: Final = 500
"""What the server gets for each, milliseconds."""
_CODE: Final = frozenset({"$where", "$function", "$accumulator", "$expr"})
"""What runs somebody's code, or for as long as somebody wants, which a time limit does not end."""
_WITH: Final = ("collation", "hint")
"""What says how a filter is read, beside itself."""


def may_be_estimated(facts: StatementFacts) -> bool:
    """Whether the documents that a command changes can be counted without running anybody's code."""
    return facts.kind.lower() in _KINDS and not facts.opaque


def count_matching(database: str, text: str) -> Generator[tuple[str, dict[str, Any]], Mapping[str, Any], int | None]:
    """What a command, as the audit has its text, would change; None where the server does not say in time.

    Driven like the catalog's reading: commands are yielded, replies sent in.
    """
    command = json_util.loads(text, json_options=json_util.RELAXED_JSON_OPTIONS)
    name = next(iter(command))
    changes = _changes(name, command)
    if json_util.dumps(command, json_options=json_util.RELAXED_JSON_OPTIONS) != text:
        return None  # ``{$regex: …}`` with something beside it, for one, comes back as another filter
    if "let" in command or not 0 < len(changes) <= _MOST_FILTERS or _has_code(changes):
        return None
    total = 0
    for change, many in changes:
        count: dict[str, Any] = {"count": command[name], "maxTimeMS": _MILLISECONDS}
        if query := change.get("q" if "q" in change else "query"):
            count["query"] = query
        if not many:
            count["limit"] = 1
        count |= {key: change[key] for key in _WITH if key in change}
        reply = yield database, count
        if reply.get("ok") != 1:
            return None
        total += max(int(reply["n"]), bool(change.get("upsert")))
    return total


def _changes(name: str, command: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], bool]]:
    """The filters of a command with what belongs to them, and whether each can hit many documents."""
    match name.lower():
        case "update":
            return [(change, bool(change.get("multi"))) for change in command.get("updates", ())]
        case "delete":
            return [(change, change.get("limit") != 1) for change in command.get("deletes", ())]
        case _:
            return [(command, False)]


def _has_code(value: Any) -> bool:
    if isinstance(value, Code | DBRef):
        return True
    if isinstance(value, Mapping):
        return any(key in _CODE or _has_code(item) for key, item in value.items())
    return isinstance(value, list | tuple) and any(map(_has_code, value))
