"""What exactly an approval is for: a digest over who, for whom, where, the text and the parameters.

The policies' version is not part of it: it changes with every edit of anything. Instead a grant carries the rules that
it satisfied, and passes only a statement that asks for nothing else when it runs.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from gateway.domain.principal import Principal

_REASON: Final = re.compile(r"(?:/\*+|--|#)\s*reason:\s*(.+?)\s*(?:\*/|$)", re.IGNORECASE | re.MULTILINE)
MAX_REASON: Final = 500
"""Characters of a requester's reason that are kept."""


def binding(principal: Principal, resource: str, database: str, text: str, parameters: bytes) -> str:
    """The digest (hex, SHA-256) of one execution. Every part is preceded by its length, so no two can be confused."""
    digest = hashlib.sha256()
    for part in (
        *(person.name.encode("utf-8", "surrogatepass") for person in principal.chain()),
        b"\0on",
        resource.encode("utf-8", "surrogatepass"),
        database.encode("utf-8", "surrogatepass"),
        text.encode("utf-8", "surrogatepass"),
        parameters,
    ):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def requester_reason(text: str) -> str:
    """The reason that a statement's author gives in a comment: ``/* reason: INC-42 */``; empty where there is none.

    It is taken from the text as it stands, be it in a comment or in a string that looks like one: it is read by a human
    and proves nothing.
    """
    found = _REASON.search(text)
    return found.group(1).strip()[:MAX_REASON] if found else ""
