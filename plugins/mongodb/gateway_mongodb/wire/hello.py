"""hello, both ways: what a server says of itself, and what the gateway says to drivers.

The gateway looks like a mongos: one host that takes reads and writes, with sessions, transactions and retryable writes,
and without any address in its answer (specification "Server Discovery and Monitoring", type Mongos). So it works behind
load balancers and address translation, and nobody learns of the members behind it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bson import ObjectId

NAMES: Final = frozenset({"hello", "isMaster", "ismaster"})


@dataclass(frozen=True, slots=True)
class Description:
    """What drivers need to know of a server. Sizes in bytes."""

    max_wire_version: int = 13
    """The default is MongoDB 5.0's: what every server that the gateway supports can do."""
    max_bson: int = 16 * 1024 * 1024
    max_message: int = 48_000_000
    max_batch: int = 100_000
    session_minutes: int = 30
    writable: bool = True
    set_name: str | None = None
    primary: str | None = None
    me: str | None = None
    hosts: tuple[str, ...] = ()
    mongos: bool = False
    compression: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()


UNKNOWN: Final = Description()
"""What is told before anybody knows which server it will be."""


def read_description(reply: Mapping[str, Any]) -> Description:
    """A server's answer to hello."""

    def names(key: str) -> tuple[str, ...]:
        found = reply.get(key)
        return tuple(str(item) for item in found) if isinstance(found, list) else ()

    def size(key: str, default: int) -> int:
        found = reply.get(key)
        return int(found) if isinstance(found, int | float) and found > 0 else default

    return Description(
        max_wire_version=size("maxWireVersion", UNKNOWN.max_wire_version),
        max_bson=size("maxBsonObjectSize", UNKNOWN.max_bson),
        max_message=size("maxMessageSizeBytes", UNKNOWN.max_message),
        max_batch=size("maxWriteBatchSize", UNKNOWN.max_batch),
        session_minutes=size("logicalSessionTimeoutMinutes", UNKNOWN.session_minutes),
        writable=bool(reply.get("isWritablePrimary", reply.get("ismaster", False))),
        set_name=reply.get("setName"),
        primary=reply.get("primary"),
        me=reply.get("me"),
        hosts=names("hosts"),
        mongos=reply.get("msg") == "isdbgrid",
        compression=names("compression"),
        mechanisms=names("saslSupportedMechs"),
    )


@dataclass(frozen=True, slots=True)
class Greeting:
    """What is the same for every hello of a gateway process."""

    process_id: ObjectId
    """The service id for clients that believe in a load balancer."""

    def reply(
        self, name: str, server: Description, request: Mapping[str, Any], *, connection: int, now: int
    ) -> dict[str, Any]:
        """The answer to a hello, without what authentication adds. ``now`` is in Unix nanoseconds."""
        answer: dict[str, Any] = {"helloOk": True}
        answer["isWritablePrimary" if name == "hello" else "ismaster"] = True
        answer |= {
            "msg": "isdbgrid",
            "maxBsonObjectSize": server.max_bson,
            "maxMessageSizeBytes": server.max_message,
            "maxWriteBatchSize": server.max_batch,
            "localTime": datetime.datetime.fromtimestamp(now // 1_000_000 / 1000, datetime.UTC),
            "logicalSessionTimeoutMinutes": server.session_minutes,
            "connectionId": connection,
            "minWireVersion": 0,
            "maxWireVersion": server.max_wire_version,
            "readOnly": False,
        }
        if request.get("loadBalanced") is True:
            answer["serviceId"] = self.process_id
        return answer
