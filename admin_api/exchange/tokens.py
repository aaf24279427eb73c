"""The tokens that agents get: who they act for, and who they are, in one short-lived JWT (RFC 8693 section 4.1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from admin_api.auth.tokens import AdminTokens
from gateway.identity.issue import ALGORITHM

AUDIENCE: Final = "querygate-gateway"
"""Gateways accept tokens for this audience only, and the API accepts none of them."""
LIFETIME: Final = timedelta(minutes=15)
LONGEST: Final = timedelta(hours=12)


def agent_issuer(tokens: AdminTokens) -> dict[str, Any]:
    """This API as an issuer of bearer tokens, as an entry of ``identity.jwt`` for gateways."""
    return {
        "issuer": tokens.issuer,
        "audience": AUDIENCE,
        "algorithms": [ALGORITHM],
        "jwks": {"keys": tokens.public_keys()},
        "username_claim": "sub",
    }
