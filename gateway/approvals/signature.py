"""Signatures on what webhooks send and what comes back: HMAC-SHA-256 over a time and the body.

Ours stand in one header, ``Querygate-Signature: t=UNIX,v1=HEX`` over ``"{t}.{body}"``; Slack's in two,
``X-Slack-Request-Timestamp`` and ``X-Slack-Signature: v0=HEX`` over ``"v0:{t}:{body}"``. A signature is good for five
minutes, and a decision can be taken once only, so a copy of a request does nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

HEADER: Final = "Querygate-Signature"
TOLERANCE: Final = 300.0
"""Seconds by which a signature's time may be off."""


def sign(secret: str, body: bytes, now: float) -> str:
    """The header's value for a body that is sent now (Unix seconds)."""
    moment = str(int(now))
    return f"t={moment},v1={_digest(secret, moment.encode() + b'.' + body)}"


def verify(secret: str, body: bytes, value: str, now: float) -> bool:
    """Whether our header's value is right for the body, and recent."""
    parts = dict(part.partition("=")[::2] for part in value.split(","))
    moment, found = parts.get("t", ""), parts.get("v1", "")
    return _recent(moment, now) and _equal(_digest(secret, moment.encode() + b"." + body), found)


def verify_slack(secret: str, body: bytes, headers: Mapping[str, str], now: float) -> bool:
    """Whether Slack's headers (looked up in lower case) are right for the body, and recent."""
    moment = headers.get("x-slack-request-timestamp", "")
    version, _, found = headers.get("x-slack-signature", "").partition("=")
    digest = _digest(secret, b"v0:" + moment.encode() + b":" + body)
    return version == "v0" and _recent(moment, now) and _equal(digest, found)


def _recent(moment: str, now: float) -> bool:
    return moment.isascii() and moment.isdigit() and len(moment) < 16 and abs(now - int(moment)) <= TOLERANCE


def _digest(secret: str, content: bytes) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def _equal(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode("utf-8", "replace"))
