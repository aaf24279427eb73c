"""The gateway's own certificate, for who has none yet: self-signed, made on the first start."""

from __future__ import annotations

import ipaddress
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import ConfigurationError
from gateway.identity.files import locked, write_private

LIFETIME: Final = timedelta(days=825)
"""Longest that common clients accept."""
RENEW_BEFORE: Final = timedelta(days=30)

_CLOCK_SKEW: Final = timedelta(hours=1)
_MAX_NAME: Final = 64


def ensure_certificate(
    certificate: Path, key: Path, *, hostname: str | None = None, now: datetime | None = None
) -> bool:
    """Make sure that a self-signed pair (PEM) is there and good for 30 more days; True if it was made or renewed.

    The key is EC P-256 with mode 0600. Names: ``localhost``, 127.0.0.1, ::1 and ``hostname`` (None: this machine's).
    A pair that does not belong together, or that cannot be read, is made anew; so is one without the current names.
    """
    moment = datetime.now(UTC) if now is None else now
    names = ("localhost", *_valid_names(socket.gethostname() if hostname is None else hostname))
    certificate.parent.mkdir(parents=True, exist_ok=True)
    key.parent.mkdir(parents=True, exist_ok=True)
    with locked(certificate):
        if _usable(certificate, key, names, moment):
            return False
        private = ec.generate_private_key(ec.SECP256R1())
        pem = _self_signed(private, names, moment).public_bytes(Encoding.PEM)
        write_private(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        write_private(certificate, pem)
        # Clients need the certificate to verify it; only the key is a secret.
        certificate.chmod(0o644)
        return True


def load_certificate_der(path: Path) -> bytes:
    """The first certificate of a PEM file as DER: the one that a TLS server shows as its own.

    ``ConfigurationError`` if there is none.
    """
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0].public_bytes(Encoding.DER)
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(f"{path}: no certificate in PEM form can be read from it") from error


def _valid_names(hostname: str) -> tuple[str, ...]:
    usable = hostname.isascii() and 0 < len(hostname) <= 253 and not set(hostname) & set(" \t\r\n\0*/")
    return (hostname,) if usable and hostname != "localhost" else ()


def _usable(certificate: Path, key: Path, names: tuple[str, ...], now: datetime) -> bool:
    try:
        kept = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = load_pem_private_key(key.read_bytes(), password=None)
        alternatives = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        kept.verify_directly_issued_by(kept)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.ExtensionNotFound):
        return False
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return (
        private.public_key().public_bytes(*form) == kept.public_key().public_bytes(*form)
        and kept.not_valid_before_utc <= now < kept.not_valid_after_utc - RENEW_BEFORE
        and set(names) <= set(alternatives.get_values_for_type(x509.DNSName))
    )


def _self_signed(key: ec.EllipticCurvePrivateKey, names: tuple[str, ...], now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"querygate {names[-1]}"[:_MAX_NAME])])
    addresses = (x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1"))
    public = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        # Clients trust this certificate itself. As an authority, some would refuse it for a server's own.
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names), *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
