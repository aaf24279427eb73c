"""How the gateway's errors look to a PostgreSQL client: one table from error class to SQLSTATE.

The client reads the error's constant text (or what the policy's author wrote for it) and a reference under which an
administrator finds the rest in the audit. What a database answered is passed on only for codes whose texts speak of
nothing but what the client itself asked for.
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
from gateway_postgres.wire.backend import ErrorResponse, NoticeResponse
from gateway_postgres.wire.upstream import UpstreamLoginRefused, UpstreamRefused


@dataclass(frozen=True, slots=True)
class Mapped:
    """SQLSTATE of an error that ends a statement, and of one that ends the session."""

    statement: str
    session: str


def _same(code: str) -> Mapped:
    return Mapped(code, code)


ERROR_CODES: Final[Mapping[type[GatewayError], Mapped]] = MappingProxyType(
    {
        GatewayError: _same("XX000"),  # internal_error
        ConfigurationError: _same("XX000"),
        PluginError: _same("XX000"),
        ProtocolError: _same("08P01"),  # protocol_violation
        LocalProtocolError: _same("XX000"),
        RemoteProtocolError: _same("08P01"),
        MessageTooLarge: _same("54000"),  # program_limit_exceeded
        UnsupportedFeature: _same("0A000"),  # feature_not_supported
        AuthenticationError: _same("28P01"),  # invalid_password
        CredentialExpired: _same("28000"),  # invalid_authorization_specification
        TlsRequired: _same("28000"),  # invalid_authorization_specification
        UnknownResource: _same("3D000"),  # invalid_catalog_name
        AccessDenied: _same("42501"),  # insufficient_privilege
        PolicyEvaluationError: _same("42501"),
        MaskingError: _same("42501"),
        UpstreamError: _same("08006"),  # connection_failure
        UpstreamUnavailable: _same("08006"),
        UpstreamTimeout: Mapped("57014", "08006"),  # query_canceled: the statement is over, the session may go on
        UpstreamAuthenticationError: _same("08006"),
        UpstreamRefused: _same("08006"),  # or the server's own code, see PASSED_ON
        UpstreamLoginRefused: _same("08006"),
        StatementCancelled: _same("57014"),  # query_canceled
        GatewayShutdown: _same("57P01"),  # admin_shutdown
        MaskedValueWrittenBack: _same("42501"),
        TimeLimitExceeded: _same("57014"),
        BudgetExceeded: Mapped("54000", "53300"),
        TooManyChanges: _same("54000"),
        LimitExceeded: Mapped("54000", "53300"),  # program_limit_exceeded; too_many_connections
        AuditError: _same("58030"),  # io_error
    }
)
"""Every error class has its own row; a class from elsewhere takes its nearest ancestor's."""

PASSED_ON: Final = frozenset(
    {
        "22023",  # invalid_parameter_value: a setting in the startup packet
        "22P02",  # invalid_text_representation: likewise
        "3D000",  # invalid_catalog_name: no such database
        "42602",  # invalid_name: likewise
        "42704",  # undefined_object: no such setting
        "55000",  # the database does not take connections
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now: starting up or shutting down
    }
)
"""Refusals of a login that reach the client with the server's own message."""

CODE_PASSED_ON: Final[Mapping[str, str]] = MappingProxyType(
    {
        "42501": "the database refuses this connection: permission denied",
        "53300": "the database has too many connections",
    }
)
"""Refusals whose code is passed on, but not a message, since that names the gateway's own role."""


def sqlstate(error: GatewayError, *, fatal: bool = False) -> str:
    """The five-character code for an error; ``fatal`` True where the session ends with it."""
    if isinstance(error, UpstreamRefused) and (error.response.code in PASSED_ON | CODE_PASSED_ON.keys()):
        return error.response.code
    for ancestor in type(error).__mro__:
        mapped = ERROR_CODES.get(ancestor)
        if mapped is not None:
            return mapped.session if fatal else mapped.statement
    return "XX000"


def client_text(error: GatewayError) -> str:
    """The message that a client may read."""
    if isinstance(error, UpstreamRefused):
        if error.response.code in PASSED_ON:
            return error.response.message or error.client_message
        return CODE_PASSED_ON.get(error.response.code, error.client_message)
    if isinstance(error, AccessDenied) and error.message:
        return error.message
    return error.client_message


def error_response(
    error: GatewayError,
    *,
    reference: str,
    fatal: bool = False,
    hint: str | None = None,
    detail: str | None = None,
    encoding: str = "utf-8",
) -> bytes:
    """An ErrorResponse message, ready to send. ``encoding`` is Python's name of the session's client encoding.

    ``reference`` (empty: none) goes into the hint, after ``hint`` if there is one.
    """
    if hint is None and isinstance(error, BudgetExceeded):
        hint = error.hint
    fields = _fields(
        "FATAL" if fatal else "ERROR",
        sqlstate(error, fatal=fatal),
        client_text(error),
        detail=detail,
        hint=_with_reference(hint, reference),
    )
    return ErrorResponse(fields).encode(encoding)


def notice_response(message: str, *, reference: str = "", encoding: str = "utf-8") -> bytes:
    """A NoticeResponse of severity WARNING, such as a policy in mode ``warn`` calls for."""
    fields = _fields("WARNING", "01000", message, detail=None, hint=_with_reference(None, reference))
    return NoticeResponse(fields).encode(encoding)


def held_notice(message: str, *, encoding: str = "utf-8") -> bytes:
    """A NoticeResponse of severity NOTICE for a statement that waits for an approval."""
    return NoticeResponse(_fields("NOTICE", "00000", message, detail=None, hint=None)).encode(encoding)


def _with_reference(hint: str | None, reference: str) -> str | None:
    if not reference:
        return hint
    pointer = f"Reference {reference}: an administrator can look it up in the audit."
    return f"{hint} {pointer}" if hint else pointer


def _fields(severity: str, code: str, message: str, *, detail: str | None, hint: str | None) -> dict[str, str]:
    fields = {"S": severity, "V": severity, "C": code, "M": message}
    if detail:
        fields["D"] = detail
    if hint:
        fields["H"] = hint
    # A NUL would end the field and begin another one.
    return {letter: text.replace("\0", " ") for letter, text in fields.items()}
