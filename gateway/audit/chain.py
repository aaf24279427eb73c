"""How events are linked, as a rule over bytes.

Every line of the log is one JSON object that begins with ``{"metadata":{"sequence":N,`` and ends with OCSF's
attestation (profile ``record_integrity``)::

    ,"attestation_list":[{"chain_uid":"…","prev_event":{"fingerprint":{"algorithm_id":3,"value":"P"}},
     "fingerprint":{"algorithm_id":3,"value":"F"}}]}

``F`` is the SHA-256 (``algorithm_id`` 3), in 64 lower-case hex digits, of all bytes of the line before
``,"fingerprint":{"algorithm_id":3,"value":"F"}}]}``, which has a fixed length. ``P`` is the ``F`` of the line before;
the first line (sequence 0) has no ``prev_event``. So a line covers everything in it and everything before it, and
whoever checks needs neither a JSON parser nor a canonicalisation: only the file.

A Merkle tree over the same log takes each line's ``F`` (as 32 bytes) as its leaf.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

_HEAD: Final = re.compile(rb'\{"metadata":\{"sequence":(0|[1-9][0-9]{0,18}),')
_MARK: Final = b',"fingerprint":{"algorithm_id":3,"value":"'
_END: Final = b'"}}]}\n'
_SUFFIX_LENGTH: Final = len(_MARK) + 64 + len(_END)
_ATTESTATION: Final = b',"attestation_list":[{"chain_uid":"%b"'
_PREVIOUS: Final = b',"prev_event":{"fingerprint":{"algorithm_id":3,"value":"'
_PREVIOUS_END: Final = b'"}}'
_TAIL: Final = re.compile(
    rb',"attestation_list":\[\{"chain_uid":"([0-9a-zA-Z._-]{1,64})"'
    rb'(?:,"prev_event":\{"fingerprint":\{"algorithm_id":3,"value":"([0-9a-f]{64})"\}\})?$'
)
_LONGEST_TAIL: Final = 256
_SUFFIX: Final = re.compile(re.escape(_MARK) + rb"([0-9a-f]{64})" + re.escape(_END))
_CHAIN_UID: Final = re.compile(r"[0-9a-zA-Z._-]{1,64}")

Pieces = tuple[bytes, ...]
"""An event's body in pieces, without its closing brace."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a line says of its place in the chain. ``intact`` tells whether its fingerprint is that of its bytes."""

    sequence: int
    chain_uid: str
    previous: str
    """Fingerprint of the line before in hex, empty on the first line of a chain."""
    fingerprint: str
    intact: bool


class Sealer:
    """Closes event bodies into lines, one after the other."""

    __slots__ = ("_closing", "_digits", "_first", "chain_uid", "sequence")

    def __init__(self, chain_uid: str, sequence: int = 0, fingerprint: str = "") -> None:
        """Continue a chain after the line with ``fingerprint``, with ``sequence`` as the next number."""
        if _CHAIN_UID.fullmatch(chain_uid) is None:
            raise ValueError(f"not usable as a chain id: {chain_uid!r}")
        self.chain_uid = chain_uid
        self.sequence = sequence
        """The number of the next line."""
        self._digits = fingerprint.encode("ascii")
        self._first = _ATTESTATION % chain_uid.encode("ascii")
        self._closing = self._first + _PREVIOUS

    @property
    def fingerprint(self) -> str:
        """The last line's fingerprint in hex; empty before the first."""
        return self._digits.decode("ascii")

    def seal(self, body: Pieces) -> bytes:
        """The line for a body made for ``sequence``."""
        previous = self._digits
        if previous:
            covered = b"".join((*body, self._closing, previous, _PREVIOUS_END))
        else:
            covered = b"".join((*body, self._first))
        self._digits = digits = sha256(covered).hexdigest().encode("ascii")
        self.sequence += 1
        return b"".join((covered, _MARK, digits, _END))


def read_link(line: bytes) -> Link | None:
    """What ``line`` (with its line feed) says of its place; None where it has not the form of an audit line."""
    head = _HEAD.match(line)
    covered = line[:-_SUFFIX_LENGTH]
    suffix = _SUFFIX.fullmatch(line, len(covered))
    tail = _TAIL.search(covered, max(0, len(covered) - _LONGEST_TAIL))
    if head is None or suffix is None or tail is None:
        return None
    chain_uid, previous = tail.groups()
    stated = suffix[1].decode("ascii")
    return Link(
        sequence=int(head[1]),
        chain_uid=chain_uid.decode("ascii"),
        previous="" if previous is None else previous.decode("ascii"),
        fingerprint=stated,
        intact=sha256(covered).hexdigest() == stated,
    )
