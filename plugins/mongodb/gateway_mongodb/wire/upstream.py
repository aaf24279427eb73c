"""Whole conversations with a server as generators: log in, ask.

``Conversation`` is one connection seen from the client's side; its methods yield bytes to send and are sent what came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bson import Binary

from gateway.domain.resource import UpstreamCredentials
from gateway.errors import ConfigurationError, RemoteProtocolError, UpstreamAuthenticationError, UpstreamUnavailable
from gateway.identity.sasl import NONCE_SIZE, SCRAM_SHA_1, SCRAM_SHA_256, ScramClient, ScramError
from gateway_mongodb.wire.codec import decode, encode
from gateway_mongodb.wire.compression import BY_NAME, Compressor, compress, decompress
from gateway_mongodb.wire.framing import FrameBuffer
from gateway_mongodb.wire.hello import Description, read_description
from gateway_mongodb.wire.messages import OP_COMPRESSED, OP_MSG, Msg, decode_msg

X509: Final = "MONGODB-X509"
PLAIN: Final = "PLAIN"
EXTERNAL: Final = "$external"
MIN_ITERATIONS: Final = 4096
"""As the drivers' authentication specification demands."""
MECHANISMS: Final = frozenset({SCRAM_SHA_256, SCRAM_SHA_1, X509, PLAIN})

Document = dict[str, Any]
Step = Generator[bytes, bytes, Document]


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """How the gateway logs in: who, by what, and against which database. ``compressors`` best first."""

    credentials: UpstreamCredentials
    mechanism: str | None = None
    auth_source: str = "admin"
    compressors: tuple[Compressor, ...] = ()
    tls: bool = False

    @classmethod
    def read(cls, credentials: UpstreamCredentials, parameters: Mapping[str, str], *, tls: bool) -> LoginSettings:
        """From a resource's parameters ``auth_mechanism``, ``auth_source`` and ``compressors`` (comma-separated)."""
        mechanism = parameters.get("auth_mechanism")
        if mechanism is not None and mechanism not in MECHANISMS:
            raise ConfigurationError(f"auth_mechanism must be one of {', '.join(sorted(MECHANISMS))}")
        if mechanism is None and credentials.password is None:
            mechanism = X509
        names = [name.strip() for name in parameters.get("compressors", "").split(",") if name.strip()]
        if unknown := [name for name in names if name not in BY_NAME]:
            raise ConfigurationError(f"compressors: {unknown[0]!r} is not one of {', '.join(BY_NAME)}")
        return cls(
            credentials=credentials,
            mechanism=mechanism,
            auth_source=parameters.get("auth_source", EXTERNAL if mechanism in (X509, PLAIN) else "admin"),
            compressors=tuple(BY_NAME[name] for name in names),
            tls=tls,
        )


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A connection that takes commands. ``address`` is this connection's own, as the server sees it."""

    description: Description
    address: str
    compressor: Compressor | None
    leftover: bytes
    cluster_time: Mapping[str, Any] | None = None
    """The server's clock, as drivers tell it to the next server."""


class CommandFailed(Exception):
    """A server answered a command with an error. ``code`` is its number, ``name`` its code's name."""

    def __init__(self, reply: Mapping[str, Any]) -> None:
        self.code = int(reply.get("code", 0) or 0)
        self.name = str(reply.get("codeName", ""))
        super().__init__(f"{self.name or 'error'} ({self.code})")


class Conversation:
    """One connection to a server, one command at a time."""

    def __init__(self, *, max_message: int = 48_000_000 + 16_384) -> None:
        self.buffer = FrameBuffer(max_message=max_message)
        self.compressor: Compressor | None = None
        self._request = 0

    def ask(self, command: Mapping[str, Any], database: str = "admin") -> Step:
        """The reply to a command, whatever it says."""
        self._request += 1
        message = Msg(0, encode({**command, "$db": database})).encode(self._request)
        if self.compressor is not None:
            message = compress(message, self.compressor)
        data = yield message
        while True:
            if not data:
                raise UpstreamUnavailable("the server hung up")
            self.buffer.feed(data)
            if self.buffer.next():
                return self._reply()
            data = yield b""

    def run(self, command: Mapping[str, Any], database: str = "admin") -> Step:
        """The reply to a command that must succeed; raises ``CommandFailed``."""
        reply = yield from self.ask(command, database)
        if reply.get("ok") != 1:
            raise CommandFailed(reply)
        return reply

    def _reply(self) -> Document:
        buffer = self.buffer
        message, start, end, opcode = buffer.data, buffer.start, buffer.end, buffer.opcode
        if opcode == OP_COMPRESSED:
            message, _ = decompress(message, start, end, max_message=buffer.max_message)
            start, end, opcode = 0, len(message), OP_MSG
        if opcode != OP_MSG or buffer.response_to != self._request:
            raise RemoteProtocolError("the server answers something that was not asked")
        return decode(decode_msg(message, start, end).body)


def hello_command(settings: LoginSettings | None, client: Mapping[str, Any]) -> Document:
    """hello as the gateway sends it."""
    command: Document = {"hello": 1, "helloOk": True, "client": dict(client)}
    if settings is not None:
        if settings.compressors:
            command["compression"] = [compressor.wire_name for compressor in settings.compressors]
        if settings.mechanism is None:
            command["saslSupportedMechs"] = f"{settings.auth_source}.{settings.credentials.username}"
    return command


def log_in(
    conversation: Conversation, settings: LoginSettings, client: Mapping[str, Any], random: Callable[[int], bytes]
) -> Generator[bytes, bytes, LoginResult]:
    """hello, authentication, and a look at one's own address; raises ``UpstreamError``."""
    try:
        described = yield from conversation.run(hello_command(settings, client))
    except CommandFailed as error:
        raise UpstreamUnavailable(f"hello: {error}") from error
    description = read_description(described)
    common = [compressor for compressor in settings.compressors if compressor.wire_name in description.compression]
    try:
        yield from _authenticate(conversation, settings, description, random)
        conversation.compressor = common[0] if common else None
        seen = yield from conversation.run({"whatsmyuri": 1})
    except CommandFailed as error:
        raise UpstreamAuthenticationError(f"the server refuses the gateway's login: {error}") from error
    except ScramError as error:
        raise UpstreamAuthenticationError(f"SCRAM with the server: {error}") from error
    clock = seen.get("$clusterTime")
    return LoginResult(
        description=description,
        address=str(seen.get("you", "")),
        compressor=conversation.compressor,
        leftover=conversation.buffer.take_rest(),
        cluster_time=clock if isinstance(clock, Mapping) else None,
    )


def _authenticate(
    conversation: Conversation, settings: LoginSettings, description: Description, random: Callable[[int], bytes]
) -> Generator[bytes, bytes, None]:
    mechanism = settings.mechanism
    if mechanism is None:
        mechanism = SCRAM_SHA_256 if SCRAM_SHA_256 in description.mechanisms else SCRAM_SHA_1
    username, password = settings.credentials.username, settings.credentials.password
    if mechanism == X509:
        if not settings.tls:
            raise UpstreamAuthenticationError(
                "x509 needs TLS with a client certificate; set tls.certificate and tls.key"
            )
        # The certificate's subject is the user; a name would only have to be spelled like it.
        yield from conversation.run({"authenticate": 1, "mechanism": X509}, EXTERNAL)
        return
    if password is None:
        raise UpstreamAuthenticationError(f"{mechanism} needs a password and none is configured")
    if mechanism == PLAIN:
        if not settings.tls:
            raise UpstreamAuthenticationError("PLAIN would send the password in clear; the resource has no TLS")
        payload = b"\0" + username.encode() + b"\0" + password.encode()
        start = {"saslStart": 1, "mechanism": PLAIN, "payload": Binary(payload), "autoAuthorize": 1}
        yield from conversation.run(start, settings.auth_source)
        return
    secret: str | bytes = password
    if mechanism == SCRAM_SHA_1:
        digest = hashlib.md5(f"{username}:mongo:{password}".encode(), usedforsecurity=False)  # the protocol's choice
        secret = digest.hexdigest().encode()
    scram = ScramClient(
        secret,
        offered=(mechanism,),
        nonce=random(NONCE_SIZE),
        certificate=None,
        user=username,
        min_iterations=MIN_ITERATIONS,
    )
    yield from _scram(conversation, settings.auth_source, mechanism, scram)


def _scram(
    conversation: Conversation, source: str, mechanism: str, scram: ScramClient
) -> Generator[bytes, bytes, None]:
    start = {
        "saslStart": 1,
        "mechanism": mechanism,
        "payload": Binary(scram.begin()),
        "autoAuthorize": 1,
        "options": {"skipEmptyExchange": True},
    }
    reply = yield from conversation.run(start, source)
    payload = scram.respond(bytes(reply.get("payload", b"")))
    following = {"saslContinue": 1, "conversationId": reply.get("conversationId"), "payload": Binary(payload)}
    reply = yield from conversation.run(following, source)
    scram.verify(bytes(reply.get("payload", b"")))
    if not reply.get("done"):
        following["payload"] = Binary(b"")
        reply = yield from conversation.run(following, source)
        if not reply.get("done"):
            raise ScramError("the server does not come to an end")
