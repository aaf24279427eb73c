"""What of the database's own messages people under a mask may read."""

from __future__ import annotations

from typing import Final

from gateway.domain.statement import Action
from gateway_postgres.core import Core
from gateway_postgres.pipeline import Pending
from gateway_postgres.wire.backend import ErrorResponse, NotificationResponse

_WITHHELD: Final = "the database's message is withheld because the statement touches masked data"


def may_speak_of_masked(core: Core, pending: Pending) -> bool:
    """Whether a message about ``pending`` may speak of masked data.

    The end of a transaction runs what was deferred to it, so its messages may be about any statement before; and
    nothing is known of what a message without a ruling is about.
    """
    ruling = pending.ruling
    if ruling is None:
        return core.masked
    return ruling.redact_messages or (ruling.masked and Action.TRANSACTION in ruling.analysis.actions)


def redacted_error(response: ErrorResponse) -> bytes:
    """An error without anything that could hold data: severity, code and the fact."""
    severity = response.severity
    return ErrorResponse({"S": severity, "V": severity, "C": response.code, "M": _WITHHELD}).encode()


def redacted_notification(body: bytes) -> bytes:
    """A notification without its payload: other sessions may put anything there."""
    message = NotificationResponse.decode(body)
    return NotificationResponse(pid=message.pid, channel=message.channel, payload=b"").encode()
