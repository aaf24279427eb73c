"""The facts of a text. The one entrance to this package's analysis."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.domain.statement import Analysis, SessionEffect, StatementFacts
from gateway.sql.catalog import Catalog
from gateway.sql.facts import unknown
from gateway.sql.lexer import Kind, LexError, Token, tokenize
from gateway.sql.splitting import fingerprint, normalise, split
from gateway.sql.state import NameResolution
from gateway.sql.utility import statement_facts


@dataclass(frozen=True, slots=True)
class AnalysisLimits:
    """Bounds on the work: tokens in a text, parentheses inside each other, statements in a text."""

    tokens: int = 50_000
    depth: int = 150
    statements: int = 1_000


DEFAULT_LIMITS = AnalysisLimits()
_NAMES_CHANGE = frozenset({SessionEffect.NAME_RESOLUTION, SessionEffect.LANGUAGE, SessionEffect.TEMPORARY_OBJECTS})


def analyse(
    text: str,
    state: NameResolution,
    catalog: Catalog | None,
    *,
    dialect: str = "postgres",
    limits: AnalysisLimits = DEFAULT_LIMITS,
) -> Analysis:
    """The facts of every statement in ``text``. Never raises: what fails is an unknown statement."""
    if dialect != "postgres":
        return refused("dialect not supported")
    try:
        tokens = tokenize(text, standard_conforming_strings=state.standard_conforming_strings, limit=limits.tokens)
        if _depth(tokens) > limits.depth:
            return refused("nested too deeply")
        statements = split(tokens)
        if len(statements) > limits.statements:
            return refused("too many statements")
        return _analyse(tokens, statements, state, catalog)
    except LexError as error:
        return refused(str(error))
    except RecursionError:
        return refused("nested too deeply")
    except MemoryError:
        return refused("out of memory")
    except Exception as error:  # noqa: BLE001 - a bug in here must not become a way in
        return refused(f"analysis failed: {type(error).__name__}")


def refused(reason: str) -> Analysis:
    """The analysis of a text that was not analysed."""
    return Analysis((unknown(reason),))


def _analyse(
    tokens: list[Token], statements: list[list[Token]], state: NameResolution, catalog: Catalog | None
) -> Analysis:
    facts: list[StatementFacts] = []
    matter = False
    for statement in statements:
        found, literals = statement_facts(statement, state, catalog)
        facts.append(found)
        matter = matter or literals
        if found.session_effects & _NAMES_CHANGE:
            state = replace(state, search_path=None, temporary_objects=True)
        if SessionEffect.CATALOG in found.session_effects:
            # Names may mean new objects from here on.
            catalog = None
    normalised = normalise(tokens)
    return Analysis(tuple(facts), matter, fingerprint(normalised), normalised)


def _depth(tokens: list[Token]) -> int:
    depth = deepest = 0
    for kind, value, _ in tokens:
        if kind is Kind.PUNCTUATION:
            if value in "([":
                depth += 1
                deepest = max(deepest, depth)
            elif value in ")]":
                depth -= 1
    return deepest
