"""What a command does: facts for the chain, the shape of its replies.

What is not understood is never taken for harmless: an unknown command, field, stage or operator makes the facts opaque.
"""

from __future__ import annotations

from gateway.domain.statement import Action, Analysis, StatementFacts
from gateway.protocol.adapter import CatalogView
from gateway_mongodb.catalog import MongoCatalog
from gateway_mongodb.interpret import Command, Interpretation, interpret
from gateway_mongodb.keys import cache_key
from gateway_mongodb.shapes import Shape
from gateway_mongodb.texts import fingerprint, normalised_text

__all__ = ["Command", "analyse_command", "cache_key", "result_shape"]


def analyse_command(command: Command, database: str, catalog: CatalogView | None) -> Analysis:
    """The facts of one command. ``database`` is its ``$db``. Never raises for a command: what is not known is opaque.

    ``catalog`` None means that nothing is known of views: reading a collection is then opaque.
    """
    facts = _interpret(command, database, catalog).facts
    try:
        normalised = normalised_text(command)
    except (RecursionError, TypeError, ValueError):
        normalised = facts.kind
    # Of the text, see ``texts.shown_text``; here, values are left out anyway.
    return Analysis(
        (facts,), fingerprint=fingerprint(database, normalised), normalised=normalised, credentials_left_out=True
    )


def result_shape(command: Command, database: str, catalog: CatalogView | None) -> Shape:
    """What the replies to the command hold, for those under a mask. Good for all with the same ``cache_key``."""
    return _interpret(command, database, catalog).shape


def _interpret(command: Command, database: str, catalog: CatalogView | None) -> Interpretation:
    try:
        return interpret(command, database, catalog if isinstance(catalog, MongoCatalog) else None)
    except (RecursionError, TypeError, ValueError, AttributeError, LookupError) as error:
        # A command of a form that nothing here expects: the server refuses most of them, but not surely all.
        doubt = f"the command is not understood ({type(error).__name__})"
        kind = str(next(iter(command), ""))[:64]
        return Interpretation(StatementFacts(kind, frozenset({Action.UNKNOWN}), opaque=(doubt,)), Shape())
