"""The line of one execution, as it stands in the log.

A module of its own: a compiled class body would forget what msgspec needs to know of a Struct's fields.
"""

from __future__ import annotations

import msgspec

from gateway.domain.approval import ApprovalNote
from gateway.domain.audit import BoundValue, Outcome


class Cut(msgspec.Struct, frozen=True):
    """What is known of a text that was too long: its size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


class Execution(msgspec.Struct, omit_defaults=True):
    """One execution of a statement, or its intent. What is empty, 0 or the rule is left out.

    ``at`` is the Unix time in ms when it came, ``us`` how long it took in µs. ``text_at`` 0 means that the text stands
    here: no line that has a text can have the number 0.
    """

    seq: int
    id: str
    at: int
    us: int
    session: int
    ruling: int
    text: str = ""
    text_at: int = 0
    outcome: Outcome = Outcome.SUCCESS
    code: str = ""
    rows: int = 0
    bytes: int = 0
    masked: int = 0
    parameters: int = 0
    values: tuple[BoundValue, ...] | msgspec.UnsetType = msgspec.UNSET
    intent: bool = False
    cut: Cut | None = None
    approval: ApprovalNote | None = None
    by_label: dict[str, int] | None = None
    """``masked`` for each label."""
