"""What a setting of the session has to do with the meaning of statements."""

from __future__ import annotations

from gateway.domain.statement import SessionEffect

_NAME_SETTINGS = frozenset({"search_path", "role", "session_authorization"})
_LANGUAGE_SETTINGS = frozenset(
    {
        "standard_conforming_strings",
        "backslash_quote",
        "escape_string_warning",
        "client_encoding",
        "transform_null_equals",
    }
)


def setting_effects(name: str) -> frozenset[SessionEffect]:
    """What changing a setting does to the meaning of later statements."""
    effects: set[SessionEffect] = set()
    if name in _NAME_SETTINGS or name == "all":
        effects.add(SessionEffect.NAME_RESOLUTION)
    if name in _LANGUAGE_SETTINGS or name == "all":
        effects.add(SessionEffect.LANGUAGE)
    return frozenset(effects)
