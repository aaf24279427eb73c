"""How the gateway's errors look to a MySQL client: one table from error class to error number and SQLSTATE.

The client reads the error's constant text (or what the policy's author wrote for it) and a reference under which an
administrator finds the rest in the audit. What a database answered to a login is passed on only for numbers whose texts
speak of nothing but what the client itself asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from gateway.errors import (
    AccessDenied,
    AuditError,
    AuthenticationError,
    BudgetExceeded,
    ConfigurationError,
    CredentialExpired,
    GatewayError,
    GatewayShutdown,
    LimitExceeded,
    LocalProtocolError,
    MaskedValueWrittenBack,
    MaskingError,
    MessageTooLarge,
    PluginError,
    PolicyEvaluationError,
    ProtocolError,
    RemoteProtocolError,
    StatementCancelled,
    TimeLimitExceeded,
    TlsRequired,
    TooManyChanges,
    UnknownResource,
    UnsupportedFeature,
    UpstreamAuthenticationError,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway_mysql.wire.messages import Err
from gateway_mysql.wire.upstream import UpstreamLoginRefused, UpstreamRefused


@dataclass(frozen=True, slots=True)
class Code:
    """Error number and SQLSTATE, as in the servers' list of error messages."""

    number: int
    state: bytes = b"HY000"


_INTERNAL = Code(1105)  # ER_UNKNOWN_ERROR
_DENIED = Code(1142, b"42000")  # ER_TABLEACCESS_DENIED_ERROR
_GONE = Code(1053, b"08S01")  # ER_SERVER_SHUTDOWN
_INTERRUPTED = Code(1317, b"70100")  # ER_QUERY_INTERRUPTED

ERROR_CODES: Final[Mapping[type[GatewayError], Code]] = MappingProxyType(
    {
        GatewayError: _INTERNAL,
        ConfigurationError: _INTERNAL,
        PluginError: _INTERNAL,
        ProtocolError: Code(1835),  # ER_MALFORMED_PACKET
        LocalProtocolError: _INTERNAL,
        RemoteProtocolError: Code(1835),
        MessageTooLarge: Code(1153, b"08S01"),  # ER_NET_PACKET_TOO_LARGE
        UnsupportedFeature: Code(1235, b"42000"),  # ER_NOT_SUPPORTED_YET
        AuthenticationError: Code(1045, b"28000"),  # ER_ACCESS_DENIED_ERROR
        CredentialExpired: Code(4031),  # ER_CLIENT_INTERACTION_TIMEOUT: pools take it for the end of the connection
        TlsRequired: Code(3159),  # ER_SECURE_TRANSPORT_REQUIRED
        UnknownResource: Code(1049, b"42000"),  # ER_BAD_DB_ERROR
        AccessDenied: _DENIED,
        PolicyEvaluationError: _DENIED,
        MaskingError: _DENIED,
        UpstreamError: _GONE,
        UpstreamUnavailable: _GONE,
        UpstreamTimeout: _INTERRUPTED,
        UpstreamAuthenticationError: _GONE,
        UpstreamRefused: _GONE,  # or the server's own number, see PASSED_ON
        UpstreamLoginRefused: _GONE,
        StatementCancelled: _INTERRUPTED,
        GatewayShutdown: _GONE,
        TimeLimitExceeded: Code(3024),  # ER_QUERY_TIMEOUT
        LimitExceeded: Code(1226, b"42000"),  # ER_USER_LIMIT_REACHED
        BudgetExceeded: Code(1226, b"42000"),
        TooManyChanges: Code(1226, b"42000"),
        MaskedValueWrittenBack: _DENIED,
        AuditError: Code(1105),
    }
)
"""Every error class has its own row; a class from elsewhere takes its nearest ancestor's."""

PASSED_ON: Final = frozenset(
    {
        1049,  # ER_BAD_DB_ERROR: no such database
        1053,  # ER_SERVER_SHUTDOWN
        1115,  # ER_UNKNOWN_CHARACTER_SET
    }
)
"""Refusals of a login that reach the client with the server's own message."""

CODE_PASSED_ON: Final[Mapping[int, str]] = MappingProxyType(
    {
        1040: "the database has too many connections",
        1044: "the database refuses this connection: access denied to the database",
        1129: "the database refuses connections from the gateway",
        1203: "the database has too many connections",
        1226: "the database has too many connections",
    }
)
"""Refusals whose number is passed on, but not a message, since that names the gateway's own account."""


def code_of(error: GatewayError) -> Code:
    """The number and SQLSTATE for an error."""
    if isinstance(error, UpstreamRefused) and (error.response.code in PASSED_ON | CODE_PASSED_ON.keys()):
        return Code(error.response.code, error.response.state)
    for ancestor in type(error).__mro__:
        found = ERROR_CODES.get(ancestor)
        if found is not None:
            return found
    return _INTERNAL


def client_text(error: GatewayError) -> str:
    """The message that a client may read."""
    if isinstance(error, UpstreamRefused):
        if error.response.code in PASSED_ON:
            return error.response.message.decode("utf-8", "replace") or error.client_message
        return CODE_PASSED_ON.get(error.response.code, error.client_message)
    if isinstance(error, AccessDenied) and error.message:
        return error.message
    return error.client_message


def err_payload(error: GatewayError, *, reference: str) -> bytes:
    """An ERR packet's payload. ``reference`` (empty: none) stands behind the message."""
    code = code_of(error)
    text = client_text(error)
    if reference:
        text = f"{text} [reference {reference}]"
    return Err(code.number, code.state, text.replace("\0", " ").encode()).encode()
