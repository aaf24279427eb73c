"""Whole conversations with a server as generators: yield bytes to send (may be empty), get bytes received.

``b""`` sent in means that the server hung up. Whatever the server does wrong ends as an ``UpstreamError``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import ProtocolError, UpstreamAuthenticationError, UpstreamError, UpstreamUnavailable
from gateway.protocol.adapter import UpstreamHandle
from gateway_postgres.wire.auth import UpstreamAuthentication
from gateway_postgres.wire.authentication import AUTHENTICATION, decode_authentication
from gateway_postgres.wire.backend import (
    BackendKeyData,
    BindComplete,
    CommandComplete,
    DataRow,
    EmptyQueryResponse,
    ErrorResponse,
    NegotiateProtocolVersion,
    NoticeResponse,
    NotificationResponse,
    ParameterDescription,
    ParameterStatus,
    ParseComplete,
    ReadyForQuery,
    RowDescription,
    TransactionStatus,
)
from gateway_postgres.wire.codec import Buffer
from gateway_postgres.wire.framing import FrameBuffer
from gateway_postgres.wire.frontend import Bind, Describe, Execute, Parse, Query, Sync, Target
from gateway_postgres.wire.startup import PROTOCOL_3_0, PROTOCOL_3_2, StartupMessage

MAX_LOGIN_MESSAGE: Final = 1 << 20
MAX_LOGIN_MESSAGES: Final = 1_000
MAX_RESULT: Final = 256 << 20
"""What ``run_queries`` takes of a server in all, bytes."""
_FIRST_NORMAL_OID: Final = 16384
"""From here on OIDs are of what users and extensions made (PostgreSQL's access/transam.h)."""

Row = tuple[str | None, ...]


class UpstreamRefused(UpstreamError):
    """The server answered with an error. ``response`` is what it said; its message may hold names and values."""

    def __init__(self, response: ErrorResponse) -> None:
        super().__init__(f"the server answered with SQLSTATE {response.code or 'unknown'}")
        self.response = response


class UpstreamLoginRefused(UpstreamAuthenticationError):
    """The server refused the gateway's credentials (SQLSTATE class 28)."""

    def __init__(self, response: ErrorResponse) -> None:
        super().__init__(f"the server answered with SQLSTATE {response.code}")
        self.response = response


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A session that is ready for queries."""

    version: int
    """The protocol version that both sides speak, major << 16 | minor."""
    parameters: Mapping[str, str]
    """What the server reported, in its order."""
    key: BackendKeyData | None
    """What cancels this session's queries; None where the server has no such thing."""
    status: TransactionStatus
    method: str
    """How the gateway proved itself: trust, password, md5 or a SASL mechanism."""
    notices: tuple[NoticeResponse, ...] = ()
    leftover: bytes = field(default=b"", repr=False)
    """What the server sent after it was ready."""


def upstream_login(
    parameters: Mapping[str, str],
    password: str | None,
    handle: UpstreamHandle,
    *,
    random: Callable[[int], bytes],
    version: int = PROTOCOL_3_0,
) -> Generator[bytes, bytes, LoginResult]:
    """Open a session: startup packet, authentication, up to the first ReadyForQuery.

    ``parameters`` are the startup packet's, ``user`` among them. ``version`` is the highest to ask for; a server that
    speaks less is followed down. ``random`` gives that many random bytes.
    Raises ``UpstreamLoginRefused``, ``UpstreamAuthenticationError``, ``UpstreamRefused``, ``UpstreamUnavailable``.
    """
    with _server_errors():
        startup = StartupMessage(version, parameters)
        authentication = UpstreamAuthentication(
            startup.user, password, tls=handle.tls, certificate=handle.certificate, random=random
        )
        buffer = FrameBuffer(max_message=MAX_LOGIN_MESSAGE)
        reported: dict[str, str] = {}
        key: BackendKeyData | None = None
        notices: list[NoticeResponse] = []
        output = startup.encode()
        for _ in range(MAX_LOGIN_MESSAGES):
            kind, output = yield from _next(buffer, output)
            body = buffer.body()
            if kind == ErrorResponse.type:
                raise _refusal(ErrorResponse.decode(body))
            if kind == NoticeResponse.type:
                notices.append(NoticeResponse.decode(body))
            elif kind == AUTHENTICATION:
                output += authentication.receive(decode_authentication(body))
            elif kind == NegotiateProtocolVersion.type and not authentication.done:
                version = _negotiated(NegotiateProtocolVersion.decode(body), version)
            elif not authentication.done:
                raise UpstreamError(f"the server sent {chr(kind)!r} before the login was complete")
            elif kind == ParameterStatus.type:
                status = ParameterStatus.decode(body)
                reported[status.name] = status.value
            elif kind == BackendKeyData.type:
                key = BackendKeyData.decode(body)
                if version < PROTOCOL_3_2 and len(key.secret) != 4:
                    raise UpstreamError("the server's cancel key is too long for the protocol version")
            elif kind == ReadyForQuery.type:
                return LoginResult(
                    version=version,
                    parameters=reported,
                    key=key,
                    status=ReadyForQuery.decode(body).status,
                    method=authentication.method,
                    notices=tuple(notices),
                    leftover=buffer.take_rest(),
                )
            else:
                raise UpstreamError(f"the server sent {chr(kind)!r} during the login")
        raise UpstreamError("the server does not come to an end of the login")


def run_queries(queries: Sequence[str], *, leftover: bytes = b"") -> Generator[bytes, bytes, list[list[Row]]]:
    """Run simple queries after the login and return the rows of each, as text; None is NULL.

    Texts must be UTF-8 on the wire, so ask for ``client_encoding`` UTF8 at startup. ``leftover`` is the login's. The
    first error raises ``UpstreamRefused`` and leaves the connection in the middle of an answer: close it then.
    """
    with _server_errors():
        buffer = FrameBuffer(max_message=MAX_RESULT)
        if leftover:
            buffer.feed(leftover)
        results: list[list[Row]] = []
        taken = 0
        output = b"".join(Query(sql.encode()).encode() for sql in queries)
        for _ in queries:
            rows: list[Row] = []
            while True:
                kind, output = yield from _next(buffer, output)
                taken += buffer.end - buffer.start
                if taken > MAX_RESULT:
                    raise UpstreamError("the server's answer is too long")
                if kind == DataRow.type:
                    rows.append(_text_row(DataRow.decode(buffer.body())))
                elif kind == ReadyForQuery.type:
                    break
                elif kind == ErrorResponse.type:
                    raise _refusal(ErrorResponse.decode(buffer.body()))
                elif kind not in _IGNORED:
                    raise UpstreamError(f"the server sent {chr(kind)!r} in answer to a query")
            results.append(rows)
        return results


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a statement is bound to: types as in Parse (OIDs), formats and values as in Bind."""

    types: tuple[int, ...]
    formats: tuple[int, ...]
    values: tuple[Buffer | None, ...] = field(repr=False)


def run_prepared(sql: str, arguments: Arguments | None = None) -> Generator[bytes, bytes, list[Row] | None]:
    """Run one statement by the extended protocol: its rows as text, None where it is refused.

    The extended protocol takes exactly one statement, whatever the text says. With ``arguments`` it is run only if all
    their types are the server's own. Call it between other conversations, when the server has nothing left to say.
    """
    if arguments is None:
        answer = yield from _extended(Parse(b"", sql.encode()), Bind(b"", b""), Execute(b""))
        return None if answer is None else answer[0]
    described = yield from _extended(Parse(b"", sql.encode(), arguments.types), Describe(Target.STATEMENT, b""))
    if described is None or any(oid >= _FIRST_NORMAL_OID for oid in described[1]):
        return None
    answer = yield from _extended(Bind(b"", b"", arguments.values, arguments.formats), Execute(b""))
    return None if answer is None else answer[0]


def _extended(
    *messages: Parse | Bind | Describe | Execute,
) -> Generator[bytes, bytes, tuple[list[Row], tuple[int, ...]] | None]:
    """Send messages and a Sync: the rows and the parameters' types that come of it, None where it is refused."""
    output = b"".join(message.encode() for message in (*messages, Sync()))
    rows: list[Row] = []
    types: tuple[int, ...] = ()
    refused = False
    taken = 0
    with _server_errors():
        buffer = FrameBuffer(max_message=MAX_RESULT)
        while True:
            kind, output = yield from _next(buffer, output)
            taken += buffer.end - buffer.start
            if taken > MAX_RESULT:
                raise UpstreamError("the server's answer is too long")
            if kind == DataRow.type:
                rows.append(_text_row(DataRow.decode(buffer.body())))
            elif kind == ReadyForQuery.type:
                return None if refused else (rows, types)
            elif kind == ErrorResponse.type:
                refused = True
            elif kind == ParameterDescription.type:
                types = ParameterDescription.decode(buffer.body()).types
            elif kind not in _IGNORED and kind not in (ParseComplete.type, BindComplete.type):
                raise UpstreamError(f"the server sent {chr(kind)!r} in answer to a statement")


_IGNORED: Final = frozenset(
    message.type
    for message in (
        RowDescription,
        CommandComplete,
        EmptyQueryResponse,
        NoticeResponse,
        NotificationResponse,
        ParameterStatus,
    )
)


def _text_row(row: DataRow) -> Row:
    return tuple(None if value is None else bytes(value).decode("utf-8", "surrogateescape") for value in row.values)


def _next(buffer: FrameBuffer, output: bytes) -> Generator[bytes, bytes, tuple[int, bytes]]:
    """Type of the next message, and what is still to be sent: nothing, unless the message was there already."""
    while (kind := buffer.next()) is None:
        data = yield output
        if not data:
            raise UpstreamUnavailable("the server hung up")
        buffer.feed(data)
        output = b""
    return kind, output


def _negotiated(answer: NegotiateProtocolVersion, asked: int) -> int:
    if answer.version >> 16 != 3:
        raise UpstreamError("the server does not speak protocol version 3")
    return min(asked, answer.version)


def _refusal(response: ErrorResponse) -> UpstreamError:
    return UpstreamLoginRefused(response) if response.code.startswith("28") else UpstreamRefused(response)


@contextmanager
def _server_errors() -> Iterator[None]:
    try:
        yield
    except ProtocolError as error:
        raise UpstreamError(f"the server's answer: {error}") from error
