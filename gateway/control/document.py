"""A snapshot as a document: everything that decisions are made from, in canonical bytes with a name.

A document is JSON (sorted keys, no spaces, ASCII)::

    {"created": "2026-11-25T09:30:00Z", "format": 1, "number": 42, "sections": {"resources": [...], ...}}

Its sections hold the same documents as a configuration file (``docs/control-plane.md``). No secret is in it in clear:
upstream passwords are references (``{env: …}``, ``{file: …}``) or sealed, tokens are verifiers. Its name is the SHA-256
of its bytes, so that a copy can be told from another one anywhere; its number only ever grows, so that an old one
cannot be passed off as a new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from gateway.errors import ConfigurationError

FORMAT: Final = 1
SECTIONS: Final = ("resources", "principals", "tokens", "classifications", "policies", "issuers")
"""What a snapshot holds; everything else of a configuration is the gateway's own business. ``issuers`` are entries of
``identity.jwt`` that come on top of the gateway's own."""
MAX_BYTES: Final = 256 * 1024 * 1024

Sections = Mapping[str, Sequence[Mapping[str, object]]]
"""By section, documents in the form of the configuration file."""


@dataclass(frozen=True)
class SnapshotDocument:
    """A parsed document and its exact bytes. Make it with ``build`` or ``parse``."""

    body: bytes
    number: int
    created: datetime
    sections: Sections

    @classmethod
    def build(cls, *, number: int, created: datetime, sections: Sections) -> SnapshotDocument:
        """Write a document. Raises ``ConfigurationError`` for a section that does not exist or has no JSON form.

        Sections that are left out are empty. Documents with a name (or an id) are sorted by it: the order in which
        they were written decides nothing. Only policies keep theirs, since messages name the first that matched.
        """
        unknown = set(sections) - set(SECTIONS)
        if unknown:
            raise ConfigurationError(f"a snapshot has no section {', '.join(sorted(unknown))}")
        if created.tzinfo is None or number < 1:
            raise ConfigurationError("a snapshot has a number from 1 and a time with a zone")
        kept = {name: _ordered(name, sections.get(name, ())) for name in SECTIONS}
        moment = created.astimezone(UTC).replace(microsecond=0)
        try:
            body = canonical({"format": FORMAT, "number": number, "created": _write_time(moment), "sections": kept})
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"a document has no JSON form: {error}") from None
        return cls(body, number, moment, kept)

    @classmethod
    def parse(cls, body: bytes) -> SnapshotDocument:
        """Read a document. Raises ``ConfigurationError`` for anything that ``build`` would not write."""
        if len(body) > MAX_BYTES:
            raise ConfigurationError(f"a snapshot has at most {MAX_BYTES} bytes")
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            raise ConfigurationError("not a snapshot: not JSON") from None
        match value:
            case {"format": int(form)} if form != FORMAT:
                raise ConfigurationError(f"a snapshot of format {form}, and this gateway reads format {FORMAT}")
            case {"format": int(), "number": int(number), "created": str(created), "sections": dict(sections), **rest}:
                if rest or number < 1 or set(sections) != set(SECTIONS):
                    raise ConfigurationError("not a snapshot: its keys are not those of one")
            case _:
                raise ConfigurationError("not a snapshot: its keys are not those of one")
        for name, documents in sections.items():
            if not isinstance(documents, list) or not all(isinstance(item, dict) for item in documents):
                raise ConfigurationError(f"not a snapshot: section {name} is not a list of documents")
        try:
            moment = datetime.fromisoformat(created)
        except ValueError:
            raise ConfigurationError("not a snapshot: its time cannot be read") from None
        return cls(body, number, moment, sections)

    @cached_property
    def name(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.body).hexdigest()

    @cached_property
    def digest(self) -> bytes:
        """The same as bytes: what is signed."""
        return hashlib.sha256(self.body).digest()

    @cached_property
    def content(self) -> str:
        """Digest of the sections alone: equal for documents that differ in number and time only."""
        return hashlib.sha256(canonical(dict(self.sections))).hexdigest()


def canonical(value: object) -> bytes:
    """The one way to write a value: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def _ordered(section: str, documents: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    if section == "policies":
        return list(documents)
    match section:
        case "classifications" | "issuers":
            return sorted(documents, key=canonical)
        case "tokens":
            return sorted(documents, key=lambda item: str(item.get("id", "")))
        case _:
            return sorted(documents, key=lambda item: str(item.get("name", "")))


def _write_time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
