"""The self-signed pair of the first start."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import ConfigurationError
from gateway.identity.certificates import ensure_certificate, load_certificate_der
from gateway.identity.sasl import tls_server_end_point

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def pair(tmp_path):
    certificate, key = tmp_path / "data" / "gateway.crt", tmp_path / "data" / "gateway.key"
    assert ensure_certificate(certificate, key, hostname="db-gateway.example.com", now=NOW)
    return certificate, key


def test_what_is_made(pair):
    certificate, key = pair
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "db-gateway.example.com"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert made.not_valid_after_utc == NOW + timedelta(days=825)
    assert isinstance(made.public_key(), ec.EllipticCurvePublicKey)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "db-gateway.example.com"])
def test_a_strict_client_that_trusts_it_connects(pair, name):
    certificate, key = pair
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(certificate))
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    ours, theirs = socket.socketpair()
    seen: list[bytes] = []

    def serve() -> None:
        with server.wrap_socket(ours, server_side=True) as secured:
            seen.append(secured.recv(2))

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(theirs, server_hostname=name) as secured:
        secured.sendall(b"hi")
        shown = secured.getpeercert(binary_form=True)
        thread.join()
    assert seen == [b"hi"]
    assert shown == load_certificate_der(certificate)


def test_it_has_a_channel_binding(pair):
    assert len(tls_server_end_point(load_certificate_der(pair[0])) or b"") == 32


@pytest.mark.parametrize(("days", "renewed"), [(0, False), (794, False), (796, True), (900, True)])
def test_it_is_renewed_in_its_last_month(pair, days, renewed):
    certificate, key = pair
    before = certificate.read_bytes()
    later = NOW + timedelta(days=days)
    assert ensure_certificate(certificate, key, hostname="db-gateway.example.com", now=later) is renewed
    assert (certificate.read_bytes() != before) is renewed


def test_it_is_made_anew_for_another_host_name(pair):
    assert ensure_certificate(*pair, hostname="other.example.com", now=NOW)
    assert not ensure_certificate(*pair, hostname="other.example.com", now=NOW)


@pytest.mark.parametrize("damage", ["missing key", "other key", "broken certificate"])
def test_a_pair_that_does_not_fit_is_made_anew(pair, tmp_path, damage):
    certificate, key = pair
    match damage:
        case "missing key":
            key.unlink()
        case "other key":
            ensure_certificate(tmp_path / "b.crt", tmp_path / "b.key", hostname="h", now=NOW)
            key.write_bytes((tmp_path / "b.key").read_bytes())
        case _:
            certificate.write_text("nonsense")
    assert ensure_certificate(certificate, key, hostname="db-gateway.example.com", now=NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


@pytest.mark.parametrize("hostname", ["", "localhost", "bad name", "*", "hôte", "a" * 300])
def test_odd_host_names_are_left_out(tmp_path, hostname):
    certificate = tmp_path / "c.crt"
    ensure_certificate(certificate, tmp_path / "c.key", hostname=hostname, now=NOW)
    made = x509.load_der_x509_certificate(load_certificate_der(certificate))
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert not ensure_certificate(certificate, tmp_path / "c.key", hostname=hostname, now=NOW)


def test_this_machines_name_and_clock_are_the_default(tmp_path):
    assert ensure_certificate(tmp_path / "c.crt", tmp_path / "c.key")
    assert not ensure_certificate(tmp_path / "c.crt", tmp_path / "c.key")


def test_the_first_certificate_of_a_chain_is_the_servers(pair, tmp_path):
    other = tmp_path / "o.crt"
    ensure_certificate(other, tmp_path / "o.key", hostname="o", now=NOW)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(pair[0].read_bytes() + other.read_bytes())
    assert load_certificate_der(chain) == load_certificate_der(pair[0])


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_no_certificate_is_a_configuration_error(tmp_path, content):
    path = tmp_path / "c.crt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"c\.crt"):
        load_certificate_der(path)
