"""Querygate's host: identity-aware database access.

The host knows no database. Protocol plugins (found by the entry-point group ``querygate.plugins``) teach it one each;
identity, guardrails, masking and audit are plugins too. Start at ``gateway.hookspecs`` for what a plugin may implement
and at ``docs/architecture.md`` for how the parts fit.
"""

import pluggy

__version__ = "0.1.0"

PROJECT_NAME = "querygate"

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)

__all__ = ["PROJECT_NAME", "__version__", "hookimpl", "hookspec"]
