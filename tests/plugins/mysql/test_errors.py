"""Every error has a MySQL number, and no message holds more than it may."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.errors import AccessDenied, GatewayError, TimeLimitExceeded
from gateway_mysql.errors import ERROR_CODES, client_text, code_of, err_payload
from gateway_mysql.wire.messages import Err
from gateway_mysql.wire.upstream import UpstreamLoginRefused, UpstreamRefused


def _tree(root: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


@pytest.mark.parametrize("kind", [kind for kind in _tree(GatewayError) if kind.__module__ == "gateway.errors"])
def test_every_error_has_a_row(kind: type[GatewayError]) -> None:
    assert kind in ERROR_CODES, f"{kind.__name__} needs a row in ERROR_CODES"


def test_a_policys_message_reaches_the_client_and_its_detail_does_not() -> None:
    payload = err_payload(AccessDenied("policy x said no", message="ask a colleague"), reference="r-1")
    error = Err.decode(payload)
    assert (error.code, error.state) == (1142, b"42000")
    assert error.message == b"ask a colleague [reference r-1]"


def test_a_time_limit_is_the_servers_own_number_for_it() -> None:
    assert code_of(TimeLimitExceeded("x")).number == 3024


def test_what_the_database_says_to_the_gateway_stays_with_it() -> None:
    refused = UpstreamLoginRefused(Err(1045, b"28000", b"Access denied for user 'gateway'@'10.0.0.1'"))
    assert "gateway'@" not in client_text(refused)
    assert client_text(UpstreamRefused(Err(1049, b"42000", b"Unknown database 'x'"))) == "Unknown database 'x'"
    assert "secret" not in client_text(UpstreamRefused(Err(1064, b"42000", b"near 'secret'")))
