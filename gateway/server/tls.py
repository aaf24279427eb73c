"""TLS contexts: the gateway's own towards clients, and one for each database."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from gateway.domain.resource import UpstreamTls, UpstreamTlsMode
from gateway.errors import ConfigurationError


def server_context(certificate: Path, key: Path, *, alpn: Sequence[str]) -> ssl.SSLContext:
    """What clients meet: TLS 1.2 or later. Raises ``ConfigurationError`` naming the file that does not serve."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Tickets would be a second way in, with a lifetime of their own, for no gain on long sessions.
    # In TLS 1.3 the option alone only makes them stateful: kept in memory after their client has left.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"tls: cannot use certificate {certificate} with key {key}: {error}") from error
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def client_context(settings: UpstreamTls) -> ssl.SSLContext | None:
    """What a database is met with; None for plaintext. Raises ``ConfigurationError``."""
    if settings.mode is UpstreamTlsMode.DISABLE:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.mode is UpstreamTlsMode.VERIFY_FULL
    if settings.mode is UpstreamTlsMode.REQUIRE:
        context.verify_mode = ssl.CERT_NONE
    try:
        if settings.ca is not None:
            context.load_verify_locations(settings.ca)
        elif settings.mode is not UpstreamTlsMode.REQUIRE:
            context.load_default_certs()
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"resource tls: cannot use ca or certificate: {error}") from error
    return context
