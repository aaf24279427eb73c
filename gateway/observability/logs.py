"""The operator's log: readable in a terminal, JSON lines elsewhere. Statements and values never go here."""

from __future__ import annotations

import logging
import sys

import structlog

_SECRET_WORDS = ("password", "secret", "token", "authorization", "verifier")


def configure_logs(*, level: str = "info") -> None:
    """Set up structlog and the standard library's logging on standard error, once, at start."""
    interactive = sys.stderr.isatty()
    renderer: structlog.types.Processor
    if interactive:
        # Not rich's tracebacks: they show local variables, which hold statements and rows.
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    else:
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact,
            *([] if interactive else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # Looked up at each message, so that whoever redirects standard error gets it.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Its messages quote statements, with everything in them.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL + 1)
    # It tells every plugin of its own and every look at a store's version.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def _redact(_: structlog.types.WrappedLogger, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """The last net: a key that sounds like a secret loses its value."""
    for key in event:
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "[redacted]"
    return event
