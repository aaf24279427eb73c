"""Parts of audit events that many events share."""

from __future__ import annotations


class Shared:
    """What all statements of a session, or all executions of a ruling, have in common, already encoded.

    The audit log writes it once into every segment that needs it and refers to it from then on. Everything but ``kind``
    and ``body`` is the log's own note of where it did so: one object belongs to one log, and is used under its lock.
    """

    __slots__ = ("body", "concealed", "kind", "number", "segment", "text", "text_number", "text_segment")

    def __init__(self, kind: str = "", body: bytes = b"") -> None:
        self.kind = kind
        """``session`` or ``ruling``; empty for a ruling that nobody encoded yet."""
        self.body = body
        """A JSON object, see ``gateway.audit.event``."""
        self.segment: object = None
        """The segment that holds it."""
        self.number = 0
        """Its event number there."""
        self.text = ""
        """Of a ruling: the text that ran last. One that comes again is written once, too."""
        self.concealed = False
        """Whether values of that text were hidden since one may be a credential."""
        self.text_segment: object = None
        self.text_number = 0
