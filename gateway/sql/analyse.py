"""The facts of a text. The one entrance to this package's analysis."""

from __future__ import annotations

from typing import NamedTuple

from gateway.domain.statement import Analysis, SessionEffect, StatementFacts
from gateway.sql.catalog import Catalog
from gateway.sql.dialect import Dialect
from gateway.sql.facts import unknown
from gateway.sql.lexer import Kind, LexError, Token
from gateway.sql.mysql.dialect import MySqlDialect
from gateway.sql.postgres import PostgresDialect
from gateway.sql.splitting import fingerprint, normalise
from gateway.sql.state import MySqlResolution, NameResolution, SessionState


class AnalysisLimits(NamedTuple):
    """Bounds on the work: tokens in a text, parentheses inside each other, statements in a text."""

    tokens: int = 50_000
    depth: int = 150
    statements: int = 1_000


DEFAULT_LIMITS = AnalysisLimits()


def analyse(
    text: str,
    state: SessionState,
    catalog: Catalog | None,
    *,
    dialect: str = "postgres",
    limits: AnalysisLimits = DEFAULT_LIMITS,
) -> Analysis:
    """The facts of every statement in ``text``. Never raises: what fails is an unknown statement."""
    reading = _dialect(dialect, state)
    if reading is None:
        return refused("dialect not supported")
    try:
        tokens = reading.tokenize(text, limits.tokens)
        if _depth(tokens) > limits.depth:
            return refused("nested too deeply")
        statements = reading.split(tokens)
        if len(statements) > limits.statements:
            return refused("too many statements")
        return _analyse(text, tokens, statements, reading, catalog)
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


def _dialect(name: str, state: SessionState) -> Dialect | None:
    match state:
        case NameResolution():
            return PostgresDialect(state) if name == "postgres" else None
        case MySqlResolution():
            return MySqlDialect(state) if name == "mysql" else None


def _analyse(
    text: str, tokens: list[Token], statements: list[list[Token]], dialect: Dialect, catalog: Catalog | None
) -> Analysis:
    facts: list[StatementFacts] = []
    matter = False
    normalised = normalise(tokens, dialect.quote)
    reading: Dialect | None = dialect
    for index, statement in enumerate(statements):
        if reading is None:
            facts.append(unknown("how the text is read depends on an earlier statement"))
            matter = True
            break
        found, literals = reading.facts(statement, catalog)
        facts.append(found)
        matter = matter or literals
        if index + 1 < len(statements) and found.session_effects:
            reading = reading.after(found, text[statements[index + 1][0].start :])
        if SessionEffect.CATALOG in found.session_effects:
            # Names may mean new objects from here on.
            catalog = None
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
