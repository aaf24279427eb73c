"""A command written as JSON, for ``querygate policy explain`` and other places where people type.

The text is relaxed or canonical Extended JSON, such as ``{"find": "customers", "filter": {"_id": 7}}``; a ``$db`` in it
says in which database, otherwise the session's own does.
"""

from __future__ import annotations

import json
from collections.abc import Hashable

from bson import json_util

from gateway.domain.statement import Action, Analysis, StatementFacts
from gateway.protocol.adapter import CatalogView
from gateway_mongodb.interpret import Command
from gateway_mongodb.statements import analyse_command

MAX_TEXT = 1_000_000
"""Characters."""


class CommandAnalyser:
    """Implements ``gateway.protocol.adapter.StatementAnalyser``. A state that is a text is the database's name."""

    def analyse_now(self, text: str, state: Hashable, catalog: CatalogView | None) -> Analysis | None:
        """The facts of the command; a text that is none could be anything."""
        try:
            command = parse_command(text)
        except ValueError as error:
            return Analysis((StatementFacts("unknown", frozenset({Action.UNKNOWN}), opaque=(str(error),)),))
        database = command.get("$db", state)
        return analyse_command(command, database if isinstance(database, str) else "", catalog)

    async def analyse(self, text: str, state: Hashable, catalog: CatalogView | None) -> Analysis:
        """The same: commands that people write are short."""
        return self.analyse_now(text, state, catalog) or Analysis(())

    def close(self) -> None:
        """There is nothing to end."""


def parse_command(text: str) -> Command:
    """The command. Raises ``ValueError`` with what is wrong, without quoting the text."""
    if len(text) > MAX_TEXT:
        raise ValueError("the command is too long")
    try:
        command = json_util.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except Exception as error:  # noqa: BLE001 - the library raises anything for a "$date" or "$oid" that is none
        raise ValueError(f"not Extended JSON ({type(error).__name__})") from None
    if not isinstance(command, dict) or not command:
        raise ValueError('a command is a JSON document, such as {"find": "customers", "filter": {}}')
    return command
