"""Bearer tokens: everything that a JWT library can be talked into, and who a good token makes of its bearer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, replace

import pluggy
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import PROJECT_NAME, hookspecs
from gateway.domain.decision import SessionContext
from gateway.domain.identity import PasswordCredentials
from gateway.domain.principal import Principal, PrincipalKind
from gateway.errors import AuthenticationError, ConfigurationError
from gateway.identity import jwt as module
from gateway.identity.jwks import KeySet
from gateway.identity.jwt import MAX_TOKEN, BearerProvider, BearerVerifier, looks_like_jwt

NOW = 1_800_000_000
CLAIMS = {
    "iss": "https://id.example.com",
    "aud": "querygate",
    "sub": "ana@example.com",
    "iat": NOW - 10,
    "exp": NOW + 300,
}
ANA = Principal("ana@example.com", groups=frozenset({"analysts"}))
COPILOT = Principal("copilot", PrincipalKind.AGENT, groups=frozenset({"agents"}))
TIED = Principal("tied", PrincipalKind.AGENT, acts_for=Principal("ben@example.com"))
PRINCIPALS = {principal.name: principal for principal in (ANA, COPILOT, TIED)}
SESSION = SessionContext("s", "postgres", "127.0.0.1", True, user=ANA.name, resource="shop-prod")

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
WEAK_RSA = rsa.generate_private_key(65537, 1024)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())


@dataclass(frozen=True)
class Issuer:
    """An issuer as a configuration has it."""

    issuer: str = "https://id.example.com"
    audience: str = "querygate"
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    username_claim: str = "sub"
    groups_claim: str | None = "groups"
    groups: dict[str, str] | None = None
    users: tuple[str, ...] = ("*",)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def number(value: int, size: int = 0) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def rsa_jwk(key, kid: str, **more) -> dict[str, object]:
    public = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": kid, "n": number(public.n), "e": number(public.e), **more}


def ec_jwk(key, kid: str, crv: str, size: int, **more) -> dict[str, object]:
    public = key.public_key().public_numbers()
    return {"kty": "EC", "kid": kid, "crv": crv, "x": number(public.x, size), "y": number(public.y, size), **more}


KEYS = [
    {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": b64(bytes(32))},
    {"kty": "oct", "kid": "oct", "k": b64(b"secret"), "alg": "HS256"},
    rsa_jwk(RSA, "rsa", use="sig", alg="RS256"),
    rsa_jwk(OTHER_RSA, "other"),
    rsa_jwk(RSA, "encryption", use="enc"),
    rsa_jwk(RSA, "operations", key_ops=["sign"]),
    rsa_jwk(RSA, "rs512", alg="RS512"),
    rsa_jwk(WEAK_RSA, "weak"),
    rsa_jwk(RSA, "twice"),
    rsa_jwk(OTHER_RSA, "twice"),
    ec_jwk(P256, "p256", "P-256", 32),
    ec_jwk(P384, "p384", "P-384", 48),
]


def sign(algorithm: str, key, data: bytes) -> bytes:
    match algorithm:
        case "RS256":
            return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        case "PS256":
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            return key.sign(data, pss, hashes.SHA256())
        case "ES256":
            r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
            size = (key.key_size + 7) // 8
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        case "HS256":
            return hmac.digest(key, data, hashlib.sha256)
        case "EdDSA":
            return key.sign(data)
        case _:
            return b""


def token(
    key=RSA, *, header: object = None, claims: object = None, algorithm: str = "RS256", kid: str = "rsa", **extra
) -> str:
    head = {"alg": algorithm, "typ": "JWT", "kid": kid, **extra} if header is None else header
    body = CLAIMS if claims is None else claims
    texts = (part if isinstance(part, str) else json.dumps(part) for part in (head, body))
    signed = ".".join(b64(text.encode()) for text in texts)
    return f"{signed}.{b64(sign(algorithm, key, signed.encode()))}"


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> KeySet:
    path = tmp_path_factory.mktemp("jwks") / "jwks.json"
    path.write_text(json.dumps({"keys": KEYS}))
    return KeySet(path)


@pytest.fixture(scope="module")
def verifier(keys) -> BearerVerifier:
    return BearerVerifier(Issuer(), keys, clock=lambda: NOW)


def refused(verifier: BearerVerifier, text: str) -> str:
    with pytest.raises(AuthenticationError) as caught:
        verifier.verify(text)
    return str(caught.value)


# --- signatures ------------------------------------------------------------------------------------------------------


def test_good_tokens_pass(verifier):
    assert verifier.verify(token()) == CLAIMS
    assert verifier.verify(token(P256, algorithm="ES256", kid="p256")) == CLAIMS


def test_a_signature_of_another_key_is_refused(verifier):
    assert "signature" in refused(verifier, token(OTHER_RSA))


def test_a_changed_token_is_refused(verifier):
    header, _, signature = token().split(".")
    forged = b64(json.dumps(CLAIMS | {"sub": "root"}).encode())
    assert "signature" in refused(verifier, f"{header}.{forged}.{signature}")


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS512", "PS256", "EdDSA", "", "rs256"])
def test_only_the_issuers_algorithms_are_accepted(verifier, algorithm):
    assert "algorithm" in refused(verifier, token(header={"alg": algorithm, "kid": "rsa"}))


@pytest.mark.parametrize("algorithm", [None, 1, ["RS256"], {"RS256": 1}])
def test_the_algorithm_must_be_a_text(verifier, algorithm):
    assert "algorithm" in refused(verifier, token(header={"alg": algorithm, "kid": "rsa"}))


@pytest.mark.parametrize("form", [Encoding.DER, Encoding.PEM])
def test_the_public_key_is_no_hmac_secret(verifier, form):
    public = RSA.public_key().public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
    assert "algorithm" in refused(verifier, token(public, algorithm="HS256"))


def test_an_oct_key_in_the_set_opens_nothing(verifier):
    assert "algorithm" in refused(verifier, token(b"secret", algorithm="HS256", kid="oct"))
    assert "not for this algorithm" in refused(verifier, token(kid="oct"))


@pytest.mark.parametrize("algorithms", [("HS256",), ("RS256", "HS256"), ("none",), ("EdDSA",), ()])
def test_an_issuer_with_other_algorithms_stops_the_start(keys, algorithms):
    with pytest.raises(ConfigurationError):
        BearerVerifier(Issuer(algorithms=algorithms), keys, clock=lambda: NOW)


def test_unsupported_signatures_are_refused_like_any_other(verifier):
    assert refused(verifier, token(ed25519.Ed25519PrivateKey.generate(), algorithm="EdDSA", kid="ed"))
    assert refused(verifier, token(RSA, algorithm="PS256"))


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kid", ["nobody", "", None, 7, ["rsa"], "twice"])
def test_the_key_id_picks_exactly_one_key(verifier, kid):
    text = token(header={"alg": "RS256", "kid": kid})
    assert "key" in refused(verifier, text)


def test_a_token_without_key_id_is_refused(verifier):
    assert "names no key" in refused(verifier, token(header={"alg": "RS256"}))


@pytest.mark.parametrize("kid", ["encryption", "operations", "rs512", "p256", "ed"])
def test_the_key_must_be_meant_for_the_algorithm(verifier, kid):
    assert "not for this algorithm" in refused(verifier, token(kid=kid))


def test_a_wrong_key_id_does_not_try_other_keys(verifier):
    assert "signature" in refused(verifier, token(kid="other"))


def test_es256_means_p256(verifier):
    assert "not for this algorithm" in refused(verifier, token(P384, algorithm="ES256", kid="p384"))


def test_short_rsa_keys_are_refused(verifier):
    assert "not for this algorithm" in refused(verifier, token(WEAK_RSA, kid="weak"))


def test_keys_are_read_again_when_the_file_changes(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [rsa_jwk(OTHER_RSA, "other")]}))
    verifier = BearerVerifier(Issuer(), KeySet(path), clock=lambda: NOW)
    assert "unknown" in refused(verifier, token())
    path.write_text(json.dumps({"keys": [rsa_jwk(RSA, "rsa")]}))
    assert verifier.verify(token())
    assert "unknown" in refused(verifier, token(OTHER_RSA, kid="other"))


@pytest.mark.parametrize("content", [None, "{", "[]", '{"keys": {}}', '{"keys": [1]}', "[" * 100_000])
def test_a_broken_file_stops_the_start_but_not_a_running_gateway(tmp_path, content):
    path = tmp_path / "jwks.json"

    def damage() -> None:
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(content)

    damage()
    with pytest.raises(ConfigurationError, match=r"jwks\.json"):
        KeySet(path)
    path.write_text(json.dumps({"keys": [rsa_jwk(RSA, "rsa")]}))
    verifier = BearerVerifier(Issuer(), KeySet(path), clock=lambda: NOW)
    damage()
    assert verifier.verify(token())


# --- header and form -------------------------------------------------------------------------------------------------


def test_critical_header_fields_are_refused(verifier):
    assert "critical" in refused(verifier, token(crit=["exp"]))
    assert "critical" in refused(verifier, token(crit=[]))


@pytest.mark.parametrize("kind", ["JWE", "dpop+jwt", "secevent+jwt", 7, None])
def test_other_types_of_token_are_refused(verifier, kind):
    assert "type" in refused(verifier, token(typ=kind))


@pytest.mark.parametrize("kind", ["jwt", "at+jwt", "application/at+jwt"])
def test_access_tokens_may_say_what_they_are(verifier, kind):
    assert verifier.verify(token(typ=kind))


def test_a_key_in_the_header_is_ignored(verifier):
    forged = token(
        OTHER_RSA, jwk=rsa_jwk(OTHER_RSA, "rsa"), jku="https://evil.example/jwks", x5u="https://evil.example"
    )
    assert "signature" in refused(verifier, forged)


def test_tokens_are_bounded(verifier):
    big = CLAIMS | {"pad": "x" * MAX_TOKEN}
    assert "too long" in refused(verifier, token(claims=big))
    assert "too long" in refused(verifier, "x" * 5_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d.e",
        "eyJ.eyJ.x",
        token() + ".x",
        token().replace(".", ".="),
        "é" + token(),
        token(claims="[]"),
        token(claims="{"),
        token(claims="1"),
        token(claims="[" * 2000),
        token(claims='{"exp": NaN}'),
        token(claims=json.dumps(CLAIMS)[:-1] + ', "sub": "root"}'),
        token(header='{"alg": "RS256", "kid": "rsa", "alg": "none"}'),
    ],
)
def test_malformed_tokens_are_refused(verifier, text):
    assert refused(verifier, text)


@settings(max_examples=200)
@given(
    text=st.text(max_size=60)
    | st.lists(st.binary(max_size=40), min_size=3, max_size=3).map(lambda p: ".".join(map(b64, p)))
)
def test_random_text_is_refused_not_raised(verifier, text):
    refused(verifier, text)


def test_errors_hold_no_part_of_the_token(verifier):
    bad = CLAIMS | {"iss": "hunter2", "aud": "hunter2"}
    assert "hunter2" not in refused(verifier, token(claims=bad))
    assert "hunter2" not in refused(verifier, token(kid="hunter2"))


def test_the_safe_backend_is_checked_at_start(keys, monkeypatch):
    class Pure:
        __module__ = "jose.backends.ecdsa_backend"

    monkeypatch.setattr(module, "ECKey", Pure)
    with pytest.raises(ConfigurationError, match="cryptography"):
        BearerVerifier(Issuer(), keys, clock=lambda: NOW)


# --- claims ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "exp", "iat"])
def test_every_required_claim_must_be_there(verifier, claim):
    claims = {name: value for name, value in CLAIMS.items() if name != claim}
    assert claim in refused(verifier, token(claims=claims))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": ["https://id.example.com"]},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": []},
        {"aud": {"querygate": 1}},
        {"exp": NOW - 31},
        {"exp": str(NOW + 300)},
        {"exp": True},
        {"exp": None},
        {"iat": NOW + 31},
        {"iat": "x"},
        {"nbf": NOW + 31},
        {"nbf": "x"},
    ],
)
def test_wrong_claims_are_refused(verifier, change):
    assert refused(verifier, token(claims=CLAIMS | change))


@pytest.mark.parametrize(
    "change",
    [
        {"aud": ["other", "querygate"]},
        {"exp": NOW - 29},
        {"exp": NOW + 0.5},
        {"exp": 10**400},
        {"iat": NOW + 29},
        {"nbf": NOW + 29},
        {"nbf": NOW - 100},
    ],
)
def test_clocks_may_differ_a_little(verifier, change):
    assert verifier.verify(token(claims=CLAIMS | change))


def test_an_endless_expiry_is_no_number(verifier):
    assert "exp" in refused(verifier, token(claims=json.dumps(CLAIMS).replace(str(NOW + 300), "1e999")))


# --- principals ------------------------------------------------------------------------------------------------------


def principal(verifier: BearerVerifier, **changes) -> Principal:
    return verifier.principal(verifier.verify(token(claims=CLAIMS | changes)), PRINCIPALS)


def test_a_known_subject_keeps_what_the_snapshot_says(verifier):
    assert principal(verifier) == ANA
    assert principal(verifier, groups=["oncall"]) == replace(ANA, groups=frozenset({"analysts", "oncall"}))


def test_an_unknown_subject_has_the_tokens_groups_only(verifier):
    assert principal(verifier, sub="eve@example.com", groups=["g"]) == Principal(
        "eve@example.com", groups=frozenset({"g"})
    )


def test_the_claims_that_name_and_group_are_configured(keys):
    issuer = Issuer(username_claim="email", groups_claim=None)
    verifier = BearerVerifier(issuer, keys, clock=lambda: NOW)
    assert principal(verifier, sub="8f14", email=ANA.name, groups=["admins"]) == ANA
    with pytest.raises(AuthenticationError, match="email"):
        principal(verifier)


@pytest.mark.parametrize("change", [{"groups": "admins"}, {"groups": [1]}, {"groups": {"a": 1}}, {"groups": None}])
def test_malformed_groups_are_refused(verifier, change):
    with pytest.raises(AuthenticationError, match="groups"):
        principal(verifier, **change)


@pytest.mark.parametrize("name", ["", 7, None, "a\nb", "a\0b", "x" * 300])
def test_unusable_names_are_refused(verifier, name):
    with pytest.raises(AuthenticationError, match="name"):
        principal(verifier, sub=name)


def test_an_actor_acts_for_the_subject(verifier):
    agent = principal(verifier, act={"sub": "copilot"})
    assert agent == replace(COPILOT, acts_for=ANA)
    assert [member.name for member in agent.chain()] == ["copilot", ANA.name]


def test_the_subjects_groups_do_not_go_to_the_actor(verifier):
    agent = principal(verifier, act={"sub": "copilot"}, groups=["oncall"])
    assert agent.groups == COPILOT.groups
    assert agent.acts_for is not None
    assert agent.acts_for.groups == {"analysts", "oncall"}


def test_earlier_actors_stay_in_the_chain(verifier):
    planner = Principal("planner", PrincipalKind.AGENT)
    claims = verifier.verify(token(claims=CLAIMS | {"act": {"sub": "copilot", "act": {"sub": "planner"}}}))
    agent = verifier.principal(claims, PRINCIPALS | {"planner": planner})
    assert [member.name for member in agent.chain()] == ["copilot", "planner", ANA.name]


@pytest.mark.parametrize(
    "changes",
    [
        {"act": {"sub": "nobody"}},
        {"act": {}},
        {"act": None},
        {"act": "copilot"},
        {"act": {"sub": ANA.name}},
        {"act": {"sub": "tied"}},
        {"act": {"sub": "copilot", "act": "x"}},
        {"act": {"sub": "copilot", "act": {"sub": "copilot"}}},
        {"act": {"sub": "a", "act": {"sub": "a", "act": {"sub": "a", "act": {"sub": "a", "act": {"sub": "a"}}}}}},
        {"act": {"sub": "copilot"}, "sub": "eve@example.com"},
    ],
)
def test_other_delegations_are_refused(verifier, changes):
    with pytest.raises(AuthenticationError):
        principal(verifier, **changes)


def test_an_actor_that_is_tied_to_the_subject_is_fine(verifier):
    claims = verifier.verify(token(claims=CLAIMS | {"act": {"sub": "tied"}}))
    tied = replace(TIED, acts_for=ANA)
    assert verifier.principal(claims, PRINCIPALS | {"tied": tied}) == tied


# --- the provider ----------------------------------------------------------------------------------------------------


@pytest.fixture
def provider(verifier) -> BearerProvider:
    return BearerProvider(lambda: [verifier], lambda: PRINCIPALS)


def authenticate(provider: BearerProvider, password: str, **changes) -> Principal | None:
    session = replace(SESSION, **changes)
    proof = provider.authenticate(session, PasswordCredentials(session.user, password))
    return None if proof is None else proof.principal


def test_it_is_a_valid_plugin(provider):
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(provider)
    manager.check_pending()
    credentials = PasswordCredentials(ANA.name, token())
    (proof,) = manager.hook.authenticate(session=SESSION, credentials=credentials)
    assert proof.principal == ANA
    assert proof.expires_at == NOW + 300 + 30


def test_what_is_no_jwt_is_somebody_elses(provider):
    assert authenticate(provider, "qg_token") is None
    assert authenticate(provider, "a.b.c") is None
    assert looks_like_jwt(token())


@pytest.mark.parametrize(
    "password",
    [token(OTHER_RSA), token(claims=CLAIMS | {"iss": "https://evil.example"}), token(claims="{"), "eyJ.x.y"],
)
def test_a_bad_jwt_refuses_the_session(provider, password):
    with pytest.raises(AuthenticationError):
        authenticate(provider, password)


def test_the_user_name_must_be_the_tokens(provider):
    with pytest.raises(AuthenticationError, match="user name"):
        authenticate(provider, token(), user="root")
    agent = authenticate(provider, token(claims=CLAIMS | {"act": {"sub": "copilot"}}), user="copilot")
    assert agent is not None
    with pytest.raises(AuthenticationError, match="user name"):
        authenticate(provider, token(claims=CLAIMS | {"act": {"sub": "copilot"}}))


def test_a_bearer_token_outside_tls_proves_nothing(provider):
    assert authenticate(provider, token(), tls=False) is None
