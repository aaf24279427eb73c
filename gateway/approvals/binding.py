"""What exactly an approval is for: a digest over who, for whom, where, the text, its meaning, and the parameters.

The policies' version is not part of it: it changes with every edit of anything. Instead a grant carries the rules that
it satisfied, and passes only a statement that asks for nothing else when it runs.

A digest alone tells whoever has it which password or parameter was right when they guess. So the desk keeps and
compares digests under a key of its own, ``sealed``; sessions, and gateways that are linked to it, know no key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Hashable
from dataclasses import fields, is_dataclass, replace
from typing import Final

from gateway.domain.approval import ApprovalRequest
from gateway.domain.principal import Principal
from gateway.sql.state import MySqlResolution, NameResolution

_REASON: Final = re.compile(r"(?:/\*+|--|#)\s*reason:\s*(.+?)\s*(?:\*/|$)", re.IGNORECASE | re.MULTILINE)
_SEALED: Final = "hmac-sha256:"
MAX_REASON: Final = 500
"""Characters of a requester's reason that are kept."""


def binding(principal: Principal, resource: str, database: str, text: str, parameters: bytes, meaning: str = "") -> str:
    """The digest (hex, SHA-256) of one execution. Every part is preceded by its length, so no two can be confused.

    ``meaning`` is that of ``meaning``: the same words are another statement in another schema or under another role.
    """
    digest = hashlib.sha256()
    for part in (
        *(person.name.encode("utf-8", "surrogatepass") for person in principal.chain()),
        b"\0on",
        resource.encode("utf-8", "surrogatepass"),
        database.encode("utf-8", "surrogatepass"),
        text.encode("utf-8", "surrogatepass"),
        parameters,
        meaning.encode("utf-8", "surrogatepass"),
    ):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def meaning(state: Hashable, session_id: str) -> str:
    """What a text's meaning depends on in a session (search_path, role, database, sql_mode …), in one form in all runs.

    Where the gateway does not know that, an approval is good in the session that asked, and in no other.
    """
    match state:
        case NameResolution(search_path=None) | MySqlResolution(known=False):
            return f"{_form(state)} in {session_id}"
        case _:
            return _form(state)


def shape(fingerprint: str, meaning: str) -> str:
    """What statements have in common for which an approval of a window is good."""
    return hashlib.sha256(f"{fingerprint}\0{meaning}".encode("utf-8", "surrogatepass")).hexdigest()


def sealed(digest: str, key: bytes) -> str:
    """The form in which the desk keeps what a request is bound to, or its shape."""
    return _SEALED + hmac.digest(key, digest.encode("utf-8", "surrogatepass"), "sha256").hex()


def seal(request: ApprovalRequest, key: bytes) -> ApprovalRequest:
    """A request as the desk keeps it."""
    return replace(request, binding=sealed(request.binding, key), shape=sealed(request.shape, key))


def is_sealed(request: ApprovalRequest) -> bool:
    """Whether the desk kept it so: those of versions before had the digest itself."""
    return request.binding.startswith(_SEALED)


def _form(value: object) -> str:
    """As ``repr``, but that sets are in order and that fields which do not count for equality are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        inside = ",".join(f"{f.name}={_form(getattr(value, f.name))}" for f in fields(value) if f.compare)
        return f"{type(value).__name__}({inside})"
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(map(_form, value))) + "}"
    if isinstance(value, tuple):
        return "(" + ",".join(map(_form, value)) + ")"
    return repr(str(value)) if isinstance(value, str) else repr(value)


def requester_reason(text: str) -> str:
    """The reason that a statement's author gives in a comment: ``/* reason: INC-42 */``; empty where there is none.

    It is taken from the text as it stands, be it in a comment or in a string that looks like one: it is read by a human
    and proves nothing.
    """
    found = _REASON.search(text)
    return found.group(1).strip()[:MAX_REASON] if found else ""
