"""Errors that say that a member is not, or no longer, the primary, told as a mongos tells them.

A driver that hears them of "its" server takes that server for lost, and waits until it has looked again. But the one
that it knows is the gateway, which is well, and has found the new primary by the time that the command is repeated. So
they become errors of a host behind it that could not be reached: repeated at once under the same conditions, for the
labels that say whether a command may be repeated stay as they are.
"""

from __future__ import annotations

from typing import Final

from gateway_mongodb.errors import NOT_PRIMARY
from gateway_mongodb.wire.codec import decode, encode
from gateway_mongodb.wire.scan import ReplyScan

_CODE: Final = 6
_NAME: Final = "HostUnreachable"
_TEXT: Final = "the member that ran the command is not, or no longer, the primary; the gateway follows the new one"


def primary_is_lost(scan: ReplyScan, body: bytes) -> bool:
    """Whether the reply says that its sender is no primary, of the command or of its write concern."""
    if not scan.ok:
        return scan.code in NOT_PRIMARY
    if not scan.has_write_errors or b"writeConcernError" not in body:
        return False
    concern = decode(body).get("writeConcernError")
    return isinstance(concern, dict) and concern.get("code") in NOT_PRIMARY


def as_unreachable(body: bytes) -> bytes:
    """The reply as a client gets to see it."""
    reply = decode(body)
    for part in (reply, reply.get("writeConcernError")):
        if isinstance(part, dict) and part.get("code") in NOT_PRIMARY:
            part |= {"code": _CODE, "codeName": _NAME, "errmsg": _TEXT}
    return encode(reply)
