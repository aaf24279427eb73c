"""What a protocol plugin may offer beyond ``ProtocolAdapter``: the host asks with ``isinstance`` and does without.

The commands that look at a database depend on the first ones, sessions of some protocols on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from gateway.domain.audit import BoundValues
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.statement import StatementFacts
from gateway.protocol.adapter import Exchange, Preamble, UpstreamHandle

MAX_SAMPLE_CHARACTERS = 256
"""Characters of one sampled value; what is longer is cut by the database."""


class ColumnSort(StrEnum):
    """What kind of values a column holds, whatever the database calls its type."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    """A day, with or without a time of day."""
    NETWORK = "network"
    """A network address by its type."""
    LIST = "list"
    """Several values; its text form shows them."""
    DOCUMENT = "document"
    """JSON or the like."""
    OTHER = "other"
    """Values are not looked at; the name still tells something."""


@dataclass(frozen=True, slots=True)
class SampledColumn:
    """A column and some of its values in text form, NULLs left out, each cut to ``MAX_SAMPLE_CHARACTERS``."""

    name: str
    type_name: str
    sort: ColumnSort
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SampledTable:
    """Some rows of a table, column by column. ``problem`` says why none could be read; it holds no value."""

    schema: str
    name: str
    columns: tuple[SampledColumn, ...]
    rows: int = 0
    problem: str = ""


SampleSeen = Callable[[SampledTable, int, int], None]
"""Takes a table, its number (from 1) and how many there are."""


@runtime_checkable
class SamplesValues(Protocol):
    """Reads some values of every stored column, for classification."""

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
        """Log in, read at most ``rows`` rows of each table in a read-only session, log out. Returns nothing.

        Tables go to ``seen`` one by one, so that never more than one is in memory. A table that cannot be read is a
        table with a ``problem``; only a connection that cannot be used raises ``UpstreamError``.
        """


@runtime_checkable
class FollowsPrimary(Protocol):
    """Knows a database that moves between servers: asks one of them where it is now."""

    def members(self, resource: Resource) -> tuple[tuple[str, int], ...]:
        """Every address (host, port) that is worth asking; one means that there is nothing to follow."""

    def locate(self, resource: Resource, address: tuple[str, int]) -> Exchange:
        """Ask the server at ``address``, without logging in. Returns the (host, port) of the primary, or None."""


@runtime_checkable
class TellsInitialState(Protocol):
    """Knows in what state a session begins."""

    def initial_state(
        self, resource: Resource, credentials: UpstreamCredentials, database: str, handle: UpstreamHandle
    ) -> Exchange:
        """Log in, ask, log out. Returns what ``AskRuling.state`` is for the first statement of a session."""


@runtime_checkable
class Estimator(Protocol):
    """A protocol whose databases can say how much a statement is about without running it."""

    def may_estimate(self, facts: StatementFacts, text: str, state: Hashable) -> bool:
        """Whether asking about the statement is sure to do nothing but answer, and that soon."""

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
        """Log in, ask, log out; returns a number of rows, or None where it does not say.

        ``state`` is that of ``AskApproval``. ``bound`` are the statement's parameters, where it has any: what the
        plugin itself put into its record.
        """


@runtime_checkable
class ServerSpeaksFirst(Protocol):
    """A protocol in which the database greets before anything else, and what is asked for before TLS binds."""

    def upstream_greeting(self, resource: Resource, options: Hashable, *, tls: bool) -> Preamble:
        """Takes the place of ``upstream_preamble``; what it returns (or gives to ``StartTls``) becomes
        ``UpstreamHandle.greeting``. ``options`` are those of ``AskOpen``, None for the gateway's own connections."""

    def meet(self, resource: Resource, credentials: UpstreamCredentials, handle: UpstreamHandle) -> Exchange:
        """Log in, log out, and remember what clients of this resource can be promised. Returns nothing."""


@runtime_checkable
class CancelsByExchange(Protocol):
    """A protocol in which cancelling takes a login."""

    def cancel_exchange(self, credentials: UpstreamCredentials, handle: UpstreamHandle, key: bytes) -> Exchange:
        """Log in, cancel what runs under ``key``, log out. Its result is not looked at."""


@runtime_checkable
class HasThreads(Protocol):
    """A relay whose session clients can name by number, in KILL."""

    @property
    def threads(self) -> tuple[int, ...]:
        """The numbers that clients know the session by."""
