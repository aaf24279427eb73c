"""How the gateway's errors look to a MongoDB client: one table from error class to code and name.

Codes are those of the server's ``error_codes.yml``. The client reads the error's constant text (or what the policy's
author wrote for it) and a reference under which an administrator finds the rest in the audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

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


@dataclass(frozen=True, slots=True)
class Code:
    """A number and its name."""

    number: int
    name: str


_INTERNAL: Final = Code(1, "InternalError")
_UNAUTHORIZED: Final = Code(13, "Unauthorized")
_UNREACHABLE: Final = Code(6, "HostUnreachable")
_PROTOCOL: Final = Code(17, "ProtocolError")
_FAILED: Final = Code(96, "OperationFailed")
_SHUTDOWN: Final = Code(91, "ShutdownInProgress")

ERROR_CODES: Final[Mapping[type[GatewayError], Code]] = MappingProxyType(
    {
        GatewayError: _INTERNAL,
        ConfigurationError: _INTERNAL,
        PluginError: _INTERNAL,
        ProtocolError: _PROTOCOL,
        LocalProtocolError: _INTERNAL,
        RemoteProtocolError: _PROTOCOL,
        MessageTooLarge: Code(10334, "BSONObjectTooLarge"),
        UnsupportedFeature: Code(115, "CommandNotSupported"),
        AuthenticationError: Code(18, "AuthenticationFailed"),
        CredentialExpired: Code(18, "AuthenticationFailed"),  # where the client can help itself: REAUTHENTICATE
        TlsRequired: Code(18, "AuthenticationFailed"),
        UnknownResource: Code(18, "AuthenticationFailed"),
        AccessDenied: _UNAUTHORIZED,
        PolicyEvaluationError: _UNAUTHORIZED,
        MaskedValueWrittenBack: _UNAUTHORIZED,
        MaskingError: _UNAUTHORIZED,
        UpstreamError: _UNREACHABLE,
        UpstreamUnavailable: _UNREACHABLE,
        UpstreamTimeout: Code(50, "MaxTimeMSExpired"),
        UpstreamAuthenticationError: _UNREACHABLE,
        GatewayShutdown: _SHUTDOWN,
        StatementCancelled: Code(11601, "Interrupted"),
        BudgetExceeded: _FAILED,
        TooManyChanges: _FAILED,
        TimeLimitExceeded: Code(50, "MaxTimeMSExpired"),
        LimitExceeded: _FAILED,
        AuditError: Code(14031, "OutOfDiskSpace"),
    }
)
"""Every error class has its own row; a class from elsewhere takes its nearest ancestor's."""

CURSOR_NOT_FOUND: Final = Code(43, "CursorNotFound")
UNSUPPORTED_OP_QUERY: Final = Code(352, "UnsupportedOpQueryCommand")
REAUTHENTICATE: Final = Code(391, "ReauthenticationRequired")
ALREADY_AUTHENTICATED: Final = Code(20, "IllegalOperation")
NOT_PRIMARY: Final = frozenset({10107, 13435, 10058, 11600, 11602, 13436, 189, 91})
"""Codes that say that the member is not, or no longer, the primary ("Server Discovery and Monitoring")."""

_MAY_RETRY: Final = (UpstreamUnavailable,)


def code_of(error: GatewayError) -> Code:
    """The code for an error."""
    for ancestor in type(error).__mro__:
        found = ERROR_CODES.get(ancestor)
        if found is not None:
            return found
    return _INTERNAL


def client_text(error: GatewayError) -> str:
    """The message that a client may read."""
    if isinstance(error, AccessDenied) and error.message:
        return error.message
    return error.client_message


def error_document(error: GatewayError, *, reference: str = "") -> dict[str, Any]:
    """The reply to a command that the gateway refuses."""
    document = plain_error(code_of(error), client_text(error), reference=reference)
    if isinstance(error, _MAY_RETRY):
        # Nothing has run, so whoever can repeat it may.
        document["errorLabels"] = ["RetryableWriteError"]
    return document


def plain_error(code: Code, message: str, *, reference: str = "") -> dict[str, Any]:
    """A reply with ``ok: 0``. ``reference`` (empty: none) is where an administrator finds the rest in the audit."""
    text = f"{message} (reference {reference})" if reference else message
    return {"ok": 0.0, "errmsg": text, "code": code.number, "codeName": code.name}
