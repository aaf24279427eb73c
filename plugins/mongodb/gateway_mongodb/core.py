"""What all parts of one session share: who it is, what is asked, and the effects collected so far."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from gateway.domain.audit import Outcome, StatementRecord
from gateway.errors import GatewayError
from gateway.protocol.adapter import Opened, RelaySettings
from gateway.protocol.core import SessionCore
from gateway.protocol.effects import Ask, Close, SendDownstream
from gateway_mongodb.errors import code_of, error_document
from gateway_mongodb.requests import Request
from gateway_mongodb.shared import Deployment, Shared
from gateway_mongodb.wire.codec import encode
from gateway_mongodb.wire.compression import Compressor


class Core(SessionCore):
    """The shared part of a session."""

    __slots__ = (
        "_reply_id",
        "address",
        "ask",
        "compressor",
        "current",
        "deployment",
        "generation",
        "number",
        "opened",
        "owner",
        "resource",
        "shared",
    )

    def __init__(self, settings: RelaySettings, shared: Shared) -> None:
        super().__init__(settings)
        self.shared = shared
        self.number = next(shared.numbers)
        self.ask: Ask | None = None
        """The question on whose answer everything waits."""
        self.opened: Opened | None = None
        self.owner: Hashable = None
        """What cursors and logical sessions belong to: the principal."""
        self.resource = ""
        self.deployment = Deployment()
        self.generation = 0
        self.address = ""
        self.compressor: Compressor | None = None
        """What messages to the database are packed with."""
        self.current: Request | None = None
        """The command that is being decided, or that the database works at."""
        self._reply_id = 0

    # --- talking ------------------------------------------------------------------------------------------------

    def next_id(self) -> int:
        """A request id of the gateway's own."""
        self._reply_id = self._reply_id % 0x7FFFFFFF + 1
        return self._reply_id

    def say(self, request: Request, document: dict[str, Any]) -> None:
        """Answer a request, unless it wants no answer."""
        if not request.msg.more_to_come:
            self.effects.append(SendDownstream(request.reply(encode(document), self.next_id())))

    def put(self, ask: Ask) -> None:
        """Ask the host; nothing of the client goes on before it has answered."""
        self.ask = ask
        self.effects.append(ask)

    # --- records ------------------------------------------------------------------------------------------------

    def refuse(self, request: Request, record: StatementRecord, error: GatewayError) -> None:
        """Record a refusal and tell the client."""
        self.finish(record, Outcome.REFUSED, str(code_of(error).number))
        self.say(request, error_document(error, reference=record.id))

    def close(self, error: Exception | None = None) -> None:
        """End the session."""
        if not self.closed:
            self.closed = True
            self.shared.connections.remove(self.resource, self.address)
            self.effects.append(Close(error))
