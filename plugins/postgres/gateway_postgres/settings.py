"""Settings that come with a startup packet: by name, or inside ``options`` as command-line switches.

They do what SET does, so policies about SET decide them, too. What only changes how values are shown is not asked
about: drivers send it with every connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.domain.statement import Action, Analysis, SessionEffect, StatementFacts

HARMLESS: Final = frozenset(
    {
        "application_name",
        "bytea_output",
        "client_encoding",
        "client_min_messages",
        "datestyle",
        "extra_float_digits",
        "fallback_application_name",
        "intervalstyle",
        "lc_messages",
        "timezone",
    }
)
"""Settings that change neither what a statement means nor what it may do."""


_NO_SETTINGS: Final = frozenset({"application_name", "database", "fallback_application_name", "replication", "user"})


def names(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The settings that a startup packet makes, lower-case, harmless ones left out; "" for what cannot be read."""
    found = [name.lower() for name in parameters if name != "options"]
    if "options" in parameters:
        found += _switches(parameters["options"])
    return tuple(name for name in dict.fromkeys(found) if name not in HARMLESS)


def said(parameters: Mapping[str, str]) -> bytes:
    """Everything that a startup packet sets, but what names the client, who it is, and where it goes."""
    found = sorted((name.lower(), value) for name, value in parameters.items() if name.lower() not in _NO_SETTINGS)
    return repr(found).encode("utf-8", "surrogatepass") if found else b""


def facts(settings: tuple[str, ...]) -> tuple[StatementFacts, ...]:
    """What the settings do, as if each had been set by SET."""
    return tuple(
        StatementFacts(
            kind="SET",
            actions=frozenset({Action.SET}),
            opaque=() if name else ("a startup option that is not a setting",),
            session_effects=frozenset({SessionEffect.NAME_RESOLUTION}),
            detail=name,
        )
        for name in settings
    )


def analysis(settings: tuple[str, ...], more: tuple[StatementFacts, ...] = ()) -> Analysis:
    """The facts of a startup packet."""
    return Analysis((*more, *facts(settings)))


def _switches(options: str) -> Iterator[str]:
    """``-c name=value``, ``-cname=value`` and ``--name=value``, split as the server does (backslash escapes)."""
    words = iter(_words(options))
    for word in words:
        if word == "-c":
            assignment = next(words, "")
        elif word.startswith(("-c", "--")):
            assignment = word[2:]
        else:
            yield ""
            continue
        name, equals, _ = assignment.partition("=")
        yield name.replace("-", "_").lower() if equals else ""


def _words(options: str) -> Iterator[str]:
    word, escaped, begun = "", False, False
    for char in options:
        if escaped:
            word, escaped = word + char, False
        elif char == "\\":
            escaped = begun = True
        elif char in " \t\n\r\f\v":
            if begun:
                yield word
            word, begun = "", False
        else:
            word, begun = word + char, True
    if begun:
        yield word
