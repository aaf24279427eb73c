"""The entry point: MongoDB as a protocol of the gateway (plugin ``mongodb``)."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping, Sequence
from secrets import token_bytes
from typing import Any, TypeVar

from gateway import hookimpl
from gateway.domain.audit import BoundValues
from gateway.domain.decision import Effect
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.statement import StatementFacts
from gateway.errors import RemoteProtocolError
from gateway.protocol.adapter import (
    Exchange,
    Peek,
    Preamble,
    RelaySettings,
    StartTls,
    StatementAnalyser,
    UpstreamHandle,
)
from gateway.protocol.optional import SampleSeen
from gateway_mongodb.analyser import CommandAnalyser
from gateway_mongodb.catalog import read_catalog
from gateway_mongodb.estimate import count_matching, may_be_estimated
from gateway_mongodb.relay import MongoRelay
from gateway_mongodb.sampling import read_samples
from gateway_mongodb.shared import Shared
from gateway_mongodb.wire.hello import Description, read_description
from gateway_mongodb.wire.upstream import Conversation, LoginSettings, hello_command, log_in

API_VERSION = 1

T = TypeVar("T")

_TLS_RECORD = 0x16
_ABOUT = {"driver": {"name": "querygate", "version": "1"}, "os": {"type": "Linux"}}


class MongoAdapter:
    """Implements ``gateway.protocol.adapter.ProtocolAdapter`` and ``gateway.protocol.optional.FollowsPrimary``.

    What sessions share (cursors, logical sessions, what is known of the servers) is made with it.
    """

    name = "mongodb"
    db_system = "mongodb"
    default_port = 27017
    alpn: Sequence[str] = ()
    samples_paths = True
    """What is sampled are paths of documents, for ``paths`` in a classification."""
    enforces = frozenset(Effect)

    def __init__(self) -> None:
        self._shared = Shared()

    def preamble(self, *, tls: bool, resource: str | None) -> Preamble:
        """TLS begins with the first byte, or there is none. Nothing is negotiated in clear."""
        first = yield Peek(3)
        # A message whose length begins with 0x16 0x03 would be longer than any that comes before a login.
        if first[:1] == bytes((_TLS_RECORD,)) and (len(first) < 3 or first[1] == 3):
            if not tls:
                raise RemoteProtocolError("the client began TLS, which this listener does not offer")
            yield StartTls()
        return b""

    def create_relay(self, settings: RelaySettings) -> MongoRelay:
        """A fresh state machine for one session."""
        return MongoRelay(settings, self._shared)

    def upstream_preamble(self, *, tls: bool) -> Preamble:
        """TLS at once, where the resource says so."""
        if tls:
            yield StartTls()
        return b""

    def members(self, resource: Resource) -> tuple[tuple[str, int], ...]:
        """The resource's address and those in its parameter ``members`` (``host:port``, comma-separated)."""
        found = [(resource.host, resource.port)]
        for item in resource.parameters.get("members", "").split(","):
            host, _, port = item.strip().rpartition(":")
            if host and port.isdigit() and (host, int(port)) not in found:
                found.append((host, int(port)))
        return tuple(found)

    def locate(self, resource: Resource, address: tuple[str, int]) -> Exchange:
        """Ask one member who the primary is."""
        return _locate(address)

    def introspect(
        self, resource: Resource, credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
    ) -> Exchange:
        """Log in and read the catalog of all databases."""
        return _converse(resource, credentials, handle, read_catalog())

    def cancel(self, key: bytes) -> bytes:
        """MongoDB has no cancel requests: the database ends what runs for a client that leaves."""
        return b""

    def create_analyser(self) -> StatementAnalyser:
        """Commands of clients come with their facts; this is for commands that people write as JSON."""
        return CommandAnalyser()

    def initial_state(
        self, resource: Resource, credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
    ) -> Exchange:
        """The database that commands without a ``$db`` are about; the server is only greeted."""
        yield from Conversation().ask(hello_command(None, _ABOUT))
        return database

    def sample(
        self,
        resource: Resource,
        credentials: UpstreamCredentials,
        database: str,
        handle: UpstreamHandle,
        *,
        rows: int,
        seen: SampleSeen,
    ) -> Exchange:
        """Log in and read some documents of every collection of a database."""
        return _converse(resource, credentials, handle, read_samples(database, rows=rows, seen=seen))

    def may_estimate(self, facts: StatementFacts, text: str, state: Hashable) -> bool:
        """Whether what a command changes can be counted without running anybody's code."""
        return isinstance(state, str) and may_be_estimated(facts)

    def estimate(
        self,
        resource: Resource,
        credentials: UpstreamCredentials,
        database: str,
        handle: UpstreamHandle,
        text: str,
        state: Hashable,
        bound: BoundValues | None,
    ) -> Exchange:
        """Log in and count what a command's filters match in the database that it is about, which is its state."""
        return _converse(resource, credentials, handle, count_matching(str(state), text))


def _locate(address: tuple[str, int]) -> Generator[bytes, bytes, tuple[str, int] | None]:
    reply = yield from Conversation().ask(hello_command(None, _ABOUT))
    description = read_description(reply)
    if description.writable or description.mongos:
        return address
    return _address(description)


def _address(description: Description) -> tuple[str, int] | None:
    host, _, port = (description.primary or "").rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else None


def _converse(
    resource: Resource,
    credentials: UpstreamCredentials,
    handle: UpstreamHandle,
    reading: Generator[tuple[str, dict[str, Any]], Mapping[str, Any], T],
) -> Generator[bytes, bytes, T]:
    """Log in, and ask what ``reading`` wants to know."""
    conversation = Conversation()
    settings = LoginSettings.read(credentials, resource.parameters, tls=handle.tls)
    yield from log_in(conversation, settings, _ABOUT, token_bytes)
    reply: Mapping[str, Any] | None = None
    while True:
        try:
            database, command = next(reading) if reply is None else reading.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
        reply = yield from conversation.ask(command, database)


@hookimpl
def register_protocols() -> list[MongoAdapter]:
    """MongoDB 4.4 and later."""
    return [MongoAdapter()]
