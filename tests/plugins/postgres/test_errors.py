"""The error table: complete, native, and silent about what a client must not know."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import gateway.errors
import gateway_postgres.wire
from gateway.errors import (
    AccessDenied,
    AuditError,
    AuthenticationError,
    ConfigurationError,
    GatewayError,
    GatewayShutdown,
    LimitExceeded,
    MaskingError,
    MessageTooLarge,
    PolicyEvaluationError,
    RemoteProtocolError,
    TlsRequired,
    UnknownResource,
    UnsupportedFeature,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway_postgres.errors import ERROR_CODES, error_response, notice_response, sqlstate
from gateway_postgres.wire.backend import ErrorResponse, NoticeResponse
from gateway_postgres.wire.upstream import UpstreamLoginRefused, UpstreamRefused

SECRET = "hunter2"


def subclasses(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def test_every_error_class_has_a_row():
    for module in pkgutil.iter_modules(gateway_postgres.wire.__path__):
        importlib.import_module(f"gateway_postgres.wire.{module.name}")
    ours = (gateway.errors.__name__, "gateway_postgres.")
    expected = {kind for kind in subclasses(GatewayError) if kind.__module__.startswith(ours)}
    assert expected - ERROR_CODES.keys() == set()


def decoded(error: GatewayError, **options) -> ErrorResponse:
    raw = error_response(error, reference="qg-01J", **options)
    assert raw[0] == ErrorResponse.type
    return ErrorResponse.decode(raw[5:])


@pytest.mark.parametrize(
    ("error", "statement", "session"),
    [
        (AccessDenied(SECRET), "42501", "42501"),
        (PolicyEvaluationError(SECRET), "42501", "42501"),
        (MaskingError(SECRET), "42501", "42501"),
        (LimitExceeded(SECRET), "54000", "53300"),
        (AuditError(SECRET), "58030", "58030"),
        (AuthenticationError(SECRET), "28P01", "28P01"),
        (TlsRequired(SECRET), "28000", "28000"),
        (UnknownResource(SECRET), "3D000", "3D000"),
        (GatewayShutdown(SECRET), "57P01", "57P01"),
        (RemoteProtocolError(SECRET), "08P01", "08P01"),
        (MessageTooLarge(SECRET), "54000", "54000"),
        (UnsupportedFeature(SECRET), "0A000", "0A000"),
        (UpstreamUnavailable(SECRET), "08006", "08006"),
        (UpstreamTimeout(SECRET), "57014", "08006"),
        (ConfigurationError(SECRET), "XX000", "XX000"),
        (GatewayError(SECRET), "XX000", "XX000"),
    ],
)
def test_code_severity_and_text(error, statement, session):
    response = decoded(error)
    assert (response.severity, response.fields["S"], response.code) == ("ERROR", "ERROR", statement)
    assert response.message == error.client_message
    fatal = decoded(error, fatal=True)
    assert (fatal.severity, fatal.code) == ("FATAL", session)
    assert SECRET not in repr(fatal) + repr(response)


def test_a_class_from_elsewhere_takes_its_ancestors_code():
    class Stricter(AccessDenied):
        """Not in the table."""

    assert sqlstate(Stricter("x")) == "42501"


def test_the_policy_author_speaks_to_the_client():
    response = decoded(AccessDenied(SECRET, message="destructive statements are not allowed in production"))
    assert response.message == "destructive statements are not allowed in production"


def test_reference_hint_and_detail():
    response = decoded(AccessDenied("x"), hint="Ask for approval.", detail="Statement 3 of 4.")
    assert response.fields["H"] == "Ask for approval. Reference qg-01J: an administrator can look it up in the audit."
    assert response.fields["D"] == "Statement 3 of 4."
    raw = error_response(AccessDenied("x"), reference="")
    assert "H" not in ErrorResponse.decode(raw[5:]).fields


def test_nul_in_a_policys_message_cannot_make_another_field():
    response = decoded(AccessDenied("x", message="no\0C00000"))
    assert response.code == "42501"
    assert response.message == "no C00000"


def test_the_clients_encoding():
    raw = error_response(AccessDenied("x", message="für €"), reference="", encoding="latin-1")
    assert b"Mf\xfcr ?\0" in raw


def upstream(code: str) -> UpstreamRefused:
    return UpstreamRefused(ErrorResponse({"S": "FATAL", "C": code, "M": "role hunter2 said no"}))


@pytest.mark.parametrize("code", ["3D000", "22023", "42704", "57P03"])
def test_answers_to_the_clients_own_request_are_passed_on(code):
    response = decoded(upstream(code), fatal=True)
    assert (response.code, response.message) == (code, "role hunter2 said no")


@pytest.mark.parametrize(("code", "seen"), [("53300", "53300"), ("42501", "42501"), ("XX000", "08006"), ("", "08006")])
def test_other_answers_of_the_server_lose_their_text(code, seen):
    response = decoded(upstream(code), fatal=True)
    assert response.code == seen
    assert SECRET not in repr(response)


def test_refused_upstream_credentials_are_not_the_clients_fault():
    error = UpstreamLoginRefused(ErrorResponse({"C": "28P01", "M": "password authentication failed for hunter2"}))
    response = decoded(error, fatal=True)
    assert response.code == "08006"
    assert response.message == "the gateway could not log in to the database"


def test_warnings_are_notices():
    raw = notice_response("this will be refused from Monday", reference="qg-2")
    assert raw[0] == NoticeResponse.type
    notice = NoticeResponse.decode(raw[5:])
    assert (notice.severity, notice.code) == ("WARNING", "01000")
    assert "qg-2" in notice.fields["H"]
