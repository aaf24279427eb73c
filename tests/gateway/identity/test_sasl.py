"""SCRAM, both sides: the standard's vector, several tokens, downgrade rules, and hostile peers."""

from __future__ import annotations

import base64
import datetime
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.identity import AccessToken, Login
from gateway.domain.principal import Principal
from gateway.identity.sasl import (
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    Accepted,
    Challenge,
    Refused,
    ScramClient,
    ScramError,
    ScramServer,
    client_first_user,
    tls_server_end_point,
)
from gateway.identity.scram import derive_verifier

SALT = b"0123456789abcdef"
ITERATIONS = 64


def certificate(key, algorithm) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def certificates() -> dict[str, bytes]:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    return {
        "sha256": certificate(elliptic, hashes.SHA256()),
        "other": certificate(elliptic, hashes.SHA256()),
        "sha384": certificate(elliptic, hashes.SHA384()),
        "sha512": certificate(rsa.generate_private_key(65537, 2048), hashes.SHA512()),
        "ed25519": certificate(ed25519.Ed25519PrivateKey.generate(), None),
    }


def login(*secrets: str) -> Login:
    tokens = tuple(
        AccessToken(secret, Principal("ana@example.com"), derive_verifier(secret, salt=SALT, iterations=ITERATIONS))
        for secret in secrets
    )
    return Login(SALT, ITERATIONS, tokens)


def server(*secrets: str, certificate: bytes | None = None) -> ScramServer:
    return ScramServer(login(*secrets), nonce=os.urandom(18), certificate=certificate)


def client(password: str, peer: ScramServer, certificate: bytes | None = None) -> ScramClient:
    return ScramClient(password, offered=peer.mechanisms, nonce=os.urandom(18), certificate=certificate)


def run(ours: ScramServer, theirs: ScramClient) -> Accepted | Refused:
    challenge = ours.begin(theirs.mechanism, theirs.begin())
    if isinstance(challenge, Refused):
        return challenge
    return ours.finish(theirs.respond(challenge.data))


# --- the standard's own example (RFC 7677 section 3) -----------------------------------------------------------------

RFC_SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
RFC_FIRST = b"n=user,r=rOprNGfwEbeRWgbNEkqO"
RFC_CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
RFC_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
RFC_OUTCOME = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_rfc_7677_server(monkeypatch):
    verifier = derive_verifier("pencil", salt=RFC_SALT, iterations=4096)
    token = AccessToken("t", Principal("user"), verifier)
    ours = ScramServer(Login(RFC_SALT, 4096, (token,)), nonce=b"", certificate=None)
    monkeypatch.setattr(ours, "_nonce", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert ours.begin(SCRAM_SHA_256, b"n,," + RFC_FIRST) == Challenge(RFC_CHALLENGE)
    assert ours.finish(RFC_FINAL) == Accepted(token, RFC_OUTCOME)


def test_rfc_7677_client(monkeypatch):
    theirs = ScramClient("pencil", offered=[SCRAM_SHA_256], nonce=b"", certificate=None)
    monkeypatch.setattr(theirs, "_nonce", "rOprNGfwEbeRWgbNEkqO")
    monkeypatch.setattr(theirs, "_bare", RFC_FIRST.decode())
    assert theirs.begin() == b"n,," + RFC_FIRST
    assert theirs.respond(RFC_CHALLENGE) == RFC_FINAL
    theirs.verify(RFC_OUTCOME)
    assert theirs.verified


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["one", "two", "three"])
def test_says_which_token_matched(secret):
    ours = server("one", "two", "three")
    theirs = client(secret, ours)
    outcome = run(ours, theirs)
    assert isinstance(outcome, Accepted)
    assert outcome.token.id == secret
    theirs.verify(outcome.data)
    assert theirs.verified


def test_wrong_password_is_refused():
    ours = server("one", "two")
    assert run(ours, client("three", ours)) == Refused("the proof fits no valid token")


def test_unknown_user_gets_the_whole_exchange_and_the_same_refusal():
    ours = server()
    assert run(ours, client("anything", ours)) == Refused("the proof fits no valid token")


def test_a_password_that_saslprep_changes_fits_both_spellings():
    ours = server("pass\u00a0word \u2168")
    assert isinstance(run(ours, client("pass word IX", ours)), Accepted)


# --- channel binding -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sha256", "sha384", "sha512"])
def test_plus_is_offered_first_and_works(certificates, kind):
    ours = server("one", certificate=certificates[kind])
    theirs = client("one", ours, certificates[kind])
    assert ours.mechanisms == (SCRAM_SHA_256_PLUS, SCRAM_SHA_256)
    assert theirs.mechanism == SCRAM_SHA_256_PLUS
    assert isinstance(run(ours, theirs), Accepted)


def test_another_certificate_is_a_man_in_the_middle(certificates):
    ours = server("one", certificate=certificates["sha256"])
    outcome = run(ours, client("one", ours, certificates["other"]))
    assert isinstance(outcome, Refused)
    assert "channel binding" in outcome.reason


def test_binding_is_not_offered_where_it_is_not_defined(certificates):
    ours = server("one", certificate=certificates["ed25519"])
    assert ours.mechanisms == (SCRAM_SHA_256,)
    theirs = client("one", ours, certificates["ed25519"])
    assert theirs.begin().startswith(b"n,,")
    assert isinstance(run(ours, theirs), Accepted)


def test_a_removed_offer_is_noticed(certificates):
    ours = server("one", certificate=certificates["sha256"])
    theirs = ScramClient("one", offered=[SCRAM_SHA_256], nonce=b"x" * 18, certificate=certificates["sha256"])
    assert theirs.begin().startswith(b"y,,")
    assert isinstance(run(ours, theirs), Refused)


def test_a_client_that_cannot_bind_is_served(certificates):
    ours = server("one", certificate=certificates["sha256"])
    theirs = ScramClient("one", offered=ours.mechanisms, nonce=b"x" * 18, certificate=None)
    assert theirs.mechanism == SCRAM_SHA_256
    assert isinstance(run(ours, theirs), Accepted)


def test_y_is_fine_where_nothing_was_offered(certificates):
    ours = server("one")
    theirs = ScramClient("one", offered=ours.mechanisms, nonce=b"x" * 18, certificate=certificates["sha256"])
    assert theirs.begin().startswith(b"y,,")
    assert isinstance(run(ours, theirs), Accepted)


def test_the_flag_cannot_change_between_messages():
    ours = server("one")
    theirs = client("one", ours)
    challenge = ours.begin(SCRAM_SHA_256, theirs.begin())
    assert isinstance(challenge, Challenge)
    final = theirs.respond(challenge.data).replace(b"c=biws", b"c=eSws")
    assert isinstance(ours.finish(final), Refused)


@pytest.mark.parametrize(
    ("weak", "strong"), [(hashes.MD5(), hashes.SHA256()), (hashes.SHA1(), hashes.SHA256()), (hashes.SHA384(), None)]
)
def test_weak_signature_hashes_are_replaced(monkeypatch, weak, strong):
    class Stub:
        signature_hash_algorithm = weak

    monkeypatch.setattr(x509, "load_der_x509_certificate", lambda _: Stub)
    digest = hashes.Hash(strong or weak)
    digest.update(b"der")
    assert tls_server_end_point(b"der") == digest.finalize()


def test_no_certificate_no_binding():
    assert tls_server_end_point(b"not a certificate") is None


# --- hostile clients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        ("SCRAM-SHA-1", b"n,,n=,r=abc"),
        (SCRAM_SHA_256_PLUS, b"p=tls-server-end-point,,n=,r=abc"),
        (SCRAM_SHA_256, None),
        (SCRAM_SHA_256, b""),
        (SCRAM_SHA_256, b"n=,r=abc"),
        (SCRAM_SHA_256, b"x,,n=,r=abc"),
        (SCRAM_SHA_256, b"p=tls-unique,,n=,r=abc"),
        (SCRAM_SHA_256, b"n,a=root,n=,r=abc"),
        (SCRAM_SHA_256, b"n,,m=x,n=,r=abc"),
        (SCRAM_SHA_256, b"n,,r=abc"),
        (SCRAM_SHA_256, b"n,,n="),
        (SCRAM_SHA_256, b"n,,n=,r="),
        (SCRAM_SHA_256, b"n,,n=,r=a\x7fb"),
        (SCRAM_SHA_256, b"n,,n=\xff,r=abc"),
        (SCRAM_SHA_256, b"n,,n=,r=" + b"a" * 10_000),
    ],
)
def test_bad_first_messages_are_refused(mechanism, message):
    assert isinstance(server("one").begin(mechanism, message), Refused)


def begun() -> tuple[ScramServer, bytes]:
    ours = server("one")
    theirs = client("one", ours)
    challenge = ours.begin(theirs.mechanism, theirs.begin())
    assert isinstance(challenge, Challenge)
    return ours, theirs.respond(challenge.data)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: b"",
        lambda m: m[:-1],
        lambda m: m[: m.rindex(b",p=")],
        lambda m: m.replace(b"c=biws", b"c=!!!!"),
        lambda m: m.replace(b"c=biws", b"c="),
        lambda m: m.replace(b",r=", b",r=x"),
        lambda m: m[: m.rindex(b",p=")] + b",p=AAAA",
        lambda m: m + b",x=1",
        lambda m: m + m[m.rindex(b",p=") :],
        lambda m: m[: m.rindex(b",p=")] + b",p=" + base64.b64encode(bytes(32)),
        lambda m: m[: m.rindex(b",p=")] + b",x=1" + m[m.rindex(b",p=") :],
    ],
)
def test_bad_last_messages_are_refused(change):
    ours, final = begun()
    assert isinstance(ours.finish(change(final)), Refused)


def test_one_exchange_is_one_guess():
    ours, final = begun()
    assert isinstance(ours.finish(final[:-5] + b"AAAA="), Refused)
    assert isinstance(ours.finish(final), Refused)


def test_the_order_of_messages_is_enforced():
    _, final = begun()
    assert isinstance(server("one").finish(final), Refused)
    ours = server("one")
    first = client("one", ours).begin()
    ours.begin(SCRAM_SHA_256, first)
    assert isinstance(ours.begin(SCRAM_SHA_256, first), Refused)


def test_a_replayed_proof_is_refused():
    _, final = begun()
    ours = server("one")
    ours.begin(SCRAM_SHA_256, b"n,,n=,r=abc")
    assert isinstance(ours.finish(final), Refused)


@settings(max_examples=200)
@given(st.binary(max_size=100), st.binary(max_size=100))
def test_random_bytes_are_refused_not_raised(first, final):
    ours = server("one")
    outcome = ours.begin(SCRAM_SHA_256, b"n,,n=,r=" + first)
    assert isinstance(outcome, Challenge | Refused)
    assert isinstance(ours.finish(final), Refused)


def test_reasons_hold_nothing_of_the_message():
    outcome = server("one").begin(SCRAM_SHA_256, b"n,a=hunter2,n=hunter2,r=abc")
    assert isinstance(outcome, Refused)
    assert "hunter2" not in outcome.reason


# --- hostile servers -------------------------------------------------------------------------------------------------


def waiting() -> tuple[ScramClient, str]:
    theirs = ScramClient("one", offered=[SCRAM_SHA_256], nonce=b"x" * 18, certificate=None)
    return theirs, theirs.begin().decode().rpartition("r=")[2]


@pytest.mark.parametrize(
    "challenge",
    [
        "r={n},s=AAAA,i=4096",
        "r=other,s=AAAA,i=4096",
        "r={n}x,s=,i=4096",
        "r={n}x,s=!!,i=4096",
        "r={n}x,s=AAAA,i=0",
        "r={n}x,s=AAAA,i=-1",
        "r={n}x,s=AAAA,i=1000001",
        "r={n}x,s=AAAA,i=99999999999999999999",
        "r={n}x,s=AAAA,i=x",
        "r={n}x,s=AAAA,i=\u0664",
        "r={n}x,s=AAAA",
        "m=ext,r={n}x,s=AAAA,i=1",
        "",
    ],
)
def test_bad_challenges_are_refused(challenge):
    theirs, nonce = waiting()
    with pytest.raises(ScramError):
        theirs.respond(challenge.format(n=nonce).encode())


def test_a_server_without_the_password_is_found_out():
    theirs, nonce = waiting()
    theirs.respond(f"r={nonce}x,s=AAAA,i=1".encode())
    for outcome in (b"v=" + base64.b64encode(bytes(32)), b"v=", b"e=other-error", b"x=1", b""):
        with pytest.raises(ScramError):
            theirs.verify(outcome)
    assert not theirs.verified


def test_a_second_challenge_and_an_early_proof_are_refused():
    theirs, nonce = waiting()
    with pytest.raises(ScramError):
        theirs.verify(b"v=AAAA")
    theirs.respond(f"r={nonce}x,s=AAAA,i=1".encode())
    with pytest.raises(ScramError):
        theirs.respond(f"r={nonce}x,s=AAAA,i=1".encode())


def test_no_common_mechanism():
    with pytest.raises(ScramError):
        ScramClient("one", offered=["SCRAM-SHA-256-PLUS", "OAUTHBEARER"], nonce=b"", certificate=None)


def test_secrets_are_not_in_reprs():
    assert "hunter2" not in repr([Challenge(b"hunter2"), Accepted(login("x").tokens[0], b"hunter2")])


def test_a_user_name_is_unescaped() -> None:
    assert client_first_user(b"n,,n=a=3Db=2Cc,r=x") == "a=b,c"
    for message in (b"n,,r=x", b"n=a", b"n,,n=a=41,r=x"):
        with pytest.raises(ScramError):
            client_first_user(message)


def test_a_client_names_its_user_and_speaks_sha_1_where_nothing_else_is_offered() -> None:
    # The exchange of RFC 5802 section 5.
    client = ScramClient(
        "pencil", offered=("SCRAM-SHA-1",), nonce=b"", certificate=None, user="user", min_iterations=4096
    )
    client._nonce, client._bare = "fyko+d2lbbFgONRv9qkxdawL", "n=user,r=fyko+d2lbbFgONRv9qkxdawL"
    assert client.begin() == b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
    answer = client.respond(b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096")
    assert answer.endswith(b"p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=")
    client.verify(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")


def test_a_client_refuses_a_server_that_asks_for_too_little_work() -> None:
    client = ScramClient(
        "pencil", offered=("SCRAM-SHA-256",), nonce=b"", certificate=None, user="user", min_iterations=4096
    )
    with pytest.raises(ScramError, match="iteration"):
        client.respond(b"r=x,s=QSXCR+Q6sek8bf92,i=1000")
