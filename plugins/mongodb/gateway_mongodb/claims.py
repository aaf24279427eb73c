"""Whether everything that a command names is its client's own.

What the database would look after, were its users people: cursors, logical sessions and operations of others.
"""

from __future__ import annotations

from typing import Any, Final

from bson import Binary

from gateway.errors import AccessDenied
from gateway_mongodb.core import Core
from gateway_mongodb.local import NEVER
from gateway_mongodb.ownership import LogicalSession
from gateway_mongodb.requests import Request
from gateway_mongodb.wire.codec import decode, encode
from gateway_mongodb.wire.messages import Msg

_SESSION_COMMANDS: Final = frozenset({"endSessions", "killSessions", "refreshSessions", "killAllSessions"})
_ENDS_TRANSACTION: Final = frozenset({"commitTransaction", "abortTransaction"})


class NotYours(AccessDenied):
    """A cursor, session or operation of somebody else."""

    client_message = "not authorized: it is not one of yours"


class ArgumentRefused(AccessDenied):
    """An argument through which servers steer each other, or speak for other users."""

    client_message = "not authorized: this argument is not for clients"


class Claims:
    """One client's part of what the sessions of a gateway share."""

    __slots__ = ("_core", "_session")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._session: LogicalSession | None = None
        """The logical session of the last command in a transaction."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._session is not None and self._session.transaction >= 0

    def replied(self, request: Request, *, ok: bool) -> None:
        """The database has answered: a transaction may have ended."""
        ended = request.name in _ENDS_TRANSACTION or not ok
        if ended and self._session is not None and request.scan.autocommit_off:
            self._session.transaction = -1

    def check(self, request: Request) -> dict[str, Any] | None:
        """Raise ``AccessDenied`` for what is not the client's, and take what is others' out of commands about all.

        The reply, where the gateway knows it without the database.
        """
        core, scan = self._core, request.scan
        if scan.forbidden or request.name in NEVER:
            raise ArgumentRefused(f"the client sent {scan.forbidden or request.name}")
        if scan.lsid is not None:
            session = core.shared.logical_sessions.claim(core.resource, scan.lsid, core.owner)
            if session is None:
                raise NotYours("the client used a logical session of somebody else")
            if scan.autocommit_off:
                self._session = session
                if scan.start_transaction:
                    session.transaction = scan.txn_number
        if request.name == "killCursors":
            return self._kill_cursors(request)
        if request.name in _SESSION_COMMANDS:
            return self._session_command(request)
        return None

    def _kill_cursors(self, request: Request) -> dict[str, Any] | None:
        core = self._core
        command = request.command()
        wanted = command.get("cursors")
        ids = [item for item in wanted if isinstance(item, int)] if isinstance(wanted, list) else []
        own = [number for number in ids if core.shared.cursors.find(core.resource, number, core.owner) is not None]
        if len(own) == len(ids):
            return None
        strange = [number for number in ids if number not in own]
        if own:
            command["cursors"] = own
            request.msg = Msg(request.msg.flags, encode(command))
            request.message = request.msg.encode(request.request_id)
            return None
        # As the database says it of cursors that are exhausted.
        return {"cursorsKilled": [], "cursorsNotFound": strange, "cursorsAlive": [], "cursorsUnknown": [], "ok": 1.0}

    def _session_command(self, request: Request) -> dict[str, Any] | None:
        core = self._core
        sessions = core.shared.logical_sessions
        command = request.command()
        if request.name == "killAllSessions" or not command.get(request.name):
            # "All" is all of the gateway's user, which is everybody: make it all of this client's.
            own = sessions.owned(core.resource, core.owner)
            if request.name in ("endSessions", "refreshSessions") or not own:
                return {"ok": 1.0}
            del command[request.name]
            command = {"killSessions": [{"id": Binary(found, 4)} for found in own], **command}
            request.msg = Msg(request.msg.flags, encode(command))
            request.message = request.msg.encode(request.request_id)
            return None
        listed = command[request.name]
        for item in listed if isinstance(listed, list) else [None]:
            found = item.get("id") if isinstance(item, dict) and len(item) == 1 else None
            if not isinstance(found, bytes):
                raise ArgumentRefused(f"{request.name} with something that is no session id")
            if sessions.claim(core.resource, bytes(found), core.owner) is None:
                raise NotYours(f"{request.name} for a logical session of somebody else")
            if request.name != "refreshSessions":
                sessions.forget(core.resource, bytes(found))
        return None

    def question(self, request: Request) -> bytes:
        """What to ask the database: whose the operation is that the client wants to end (``killOp``)."""
        operation = request.command().get("op")
        pipeline = [
            {"$currentOp": {"allUsers": True, "idleConnections": True, "idleSessions": True}},
            {"$match": {"opid": operation}},
            {"$project": {"client": 1}},
        ]
        question = {"aggregate": 1, "pipeline": pipeline, "cursor": {}, "$db": "admin"}
        return encode(question)

    def own_operation(self, answer: bytes) -> bool:
        """Whether it is the client's own, by the database's answer."""
        core, reply = self._core, decode(answer)
        batch = reply.get("cursor", {}).get("firstBatch", []) if reply.get("ok") == 1 else []
        own = [core.shared.connections.owned(core.resource, str(op.get("client", "")), core.owner) for op in batch]
        return bool(own) and all(own)
