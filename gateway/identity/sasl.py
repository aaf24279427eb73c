"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both sides, for every protocol (RFC 5802, RFC 7677, RFC 5929).

Towards old MongoDB users the client speaks SCRAM-SHA-1, too. A step takes the peer's bytes and says what comes next.
What the peer sends is never part of an error's text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from gateway.domain.identity import AccessToken, Login
from gateway.identity.scram import HASH_SIZE, MAX_ITERATIONS, hmac_sha256, prepared_password

SCRAM_SHA_256: Final = "SCRAM-SHA-256"
SCRAM_SHA_256_PLUS: Final = "SCRAM-SHA-256-PLUS"
SCRAM_SHA_1: Final = "SCRAM-SHA-1"
NONCE_SIZE: Final = 18
"""Random bytes of a nonce; 24 characters in base64."""

_BINDING: Final = "tls-server-end-point"
_MAX_MESSAGE: Final = 8192
_MIN_SALT: Final = 1


def tls_server_end_point(certificate: bytes) -> bytes | None:
    """The channel binding of a DER certificate (RFC 5929 section 4.1).

    SHA-256 stands in for MD5 and SHA-1. None where the certificate's signature has no hash function of its own
    (Ed25519), for which the binding is not defined: channel binding is not offered then.
    """
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:
        return None
    weak = isinstance(algorithm, hashes.MD5 | hashes.SHA1)
    digest = hashes.Hash(hashes.SHA256() if weak else algorithm)
    digest.update(certificate)
    return digest.finalize()


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send ``data`` and go on."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The client proved ``token``; send ``data``, which proves the server to it."""

    token: AccessToken
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange failed. ``reason`` is for the log; the client is told only that it failed."""

    reason: str


class ScramError(Exception):
    """The peer's message breaks a rule of SCRAM. The text holds nothing of the message."""


def _attributes(message: bytes) -> list[tuple[str, str]]:
    if len(message) > _MAX_MESSAGE:
        raise ScramError("a message is too long")
    try:
        text = message.decode("utf-8")
    except UnicodeDecodeError:
        raise ScramError("a message is not UTF-8") from None
    result = []
    for part in text.split(","):
        if len(part) < 2 or part[1] != "=" or not (part[0].isascii() and part[0].isalpha()):
            raise ScramError("a message has a malformed attribute")
        result.append((part[0], part[2:]))
    return result


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ScramError(f"{what} is not base64") from None


def _check_nonce(nonce: str) -> None:
    # RFC 5802 section 7: printable ASCII without the comma.
    if not nonce or not all("!" <= char <= "~" and char != "," for char in nonce):
        raise ScramError("a nonce is empty or not printable")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def client_first_user(message: bytes) -> str:
    """The user name in a client's first message (RFC 5802 section 5.1); raises ``ScramError``."""
    _, comma, rest = message.partition(b",")
    _, comma2, bare = rest.partition(b",")
    attributes = _attributes(bare) if comma and comma2 else []
    if not attributes or attributes[0][0] != "n":
        raise ScramError("the first message does not begin with a user name")
    name = attributes[0][1]
    if "=" in name.replace("=2C", "").replace("=3D", ""):
        raise ScramError("the user name is not escaped as SCRAM wants it")
    return name.replace("=2C", ",").replace("=3D", "=")


# --- server ----------------------------------------------------------------------------------------------------------


class ScramServer:
    """The server's side of one exchange: ``begin`` with the client's first message, then ``finish`` with its last.

    Each may be called once, so that one exchange is one guess. The proof is checked against every token of the login,
    all of which share one salt. A login without tokens goes through the same steps and fails at the end. ``nonce``
    must be fresh random bytes for each exchange. ``certificate`` is the DER of the certificate that this TLS session
    showed, None without TLS.
    """

    def __init__(self, login: Login, *, nonce: bytes, certificate: bytes | None) -> None:
        self._tokens: Sequence[AccessToken] = login.tokens
        self._salt = login.salt
        self._iterations = login.iterations
        self._nonce = base64.b64encode(nonce).decode("ascii")
        self._binding = None if certificate is None else tls_server_end_point(certificate)
        self._gs2 = b""
        self._bound = False
        self._first = b""
        self._begun = False

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """What to offer, best first."""
        return (SCRAM_SHA_256,) if self._binding is None else (SCRAM_SHA_256_PLUS, SCRAM_SHA_256)

    def begin(self, mechanism: str, message: bytes | None) -> Challenge | Refused:
        """Take client-first-message, give server-first-message."""
        if mechanism not in self.mechanisms:
            return Refused("a mechanism was chosen that was not offered")
        if self._begun:
            return Refused("the first message came twice")
        self._begun = True
        try:
            return self._begin(mechanism, message or b"")
        except ScramError as error:
            return Refused(str(error))

    def _begin(self, mechanism: str, message: bytes) -> Challenge:
        flag, comma, rest = message.partition(b",")
        authzid, comma2, bare = rest.partition(b",")
        if not comma or not comma2:
            raise ScramError("the first message has no GS2 header")
        self._check_binding(mechanism, flag)
        if authzid:
            raise ScramError("an authorization identity is not supported")
        attributes = _attributes(bare)
        # The user name is the caller's business (PostgreSQL's startup packet has it; ``client_first_user`` reads it).
        # ``m`` would come first and announce an extension that must be understood.
        if len(attributes) < 2 or attributes[0][0] != "n" or attributes[1][0] != "r":
            raise ScramError("the first message does not begin with user name and nonce")
        client_nonce = attributes[1][1]
        _check_nonce(client_nonce)
        self._gs2 = message[: len(message) - len(bare)]
        self._nonce = client_nonce + self._nonce
        salt = base64.b64encode(self._salt).decode("ascii")
        answer = f"r={self._nonce},s={salt},i={self._iterations}".encode("ascii")
        self._first = bare + b"," + answer
        return Challenge(answer)

    def _check_binding(self, mechanism: str, flag: bytes) -> None:
        if mechanism == SCRAM_SHA_256_PLUS:
            if flag != f"p={_BINDING}".encode("ascii"):
                raise ScramError("the channel binding is not the one of the mechanism")
            self._bound = True
        elif flag == b"y":
            # The client could bind and believes that we cannot: somebody took -PLUS out of our offer.
            if self._binding is not None:
                raise ScramError("the offer of channel binding did not reach the client")
        elif flag != b"n":
            raise ScramError("the channel binding flag does not fit the mechanism")

    def finish(self, message: bytes) -> Accepted | Refused:
        """Take client-final-message, give server-final-message if the proof fits one of the tokens."""
        try:
            return self._finish(message)
        except ScramError as error:
            return Refused(str(error))

    def _finish(self, message: bytes) -> Accepted | Refused:
        first, self._first = self._first, b""
        if not first:
            raise ScramError("the last message does not follow a first one")
        attributes = _attributes(message)
        names = [name for name, _ in attributes]
        if names[:2] != ["c", "r"] or names[-1] != "p" or names.count("p") != 1:
            raise ScramError("the last message is not channel binding, nonce and proof")
        expected = self._gs2 + (self._binding or b"" if self._bound else b"")
        if not hmac.compare_digest(_base64(attributes[0][1], "the channel binding"), expected):
            raise ScramError("the channel binding does not match: another certificate or another header")
        if not hmac.compare_digest(attributes[1][1].encode(), self._nonce.encode()):
            raise ScramError("the nonce does not match")
        proof = _base64(attributes[-1][1], "the proof")
        if len(proof) != HASH_SIZE:
            raise ScramError("the proof has the wrong size")
        transcript = first + b"," + message[: message.rindex(b",p=")]
        token = self._match(proof, transcript)
        if token is None:
            return Refused("the proof fits no valid token")
        signature = base64.b64encode(hmac_sha256(token.scram.server_key, transcript))
        return Accepted(token, b"v=" + signature)

    def _match(self, proof: bytes, transcript: bytes) -> AccessToken | None:
        matched: AccessToken | None = None
        # No early exit: the time says nothing about which token fits. An unknown user costs one comparison, too.
        for token in self._tokens:
            if _proves(proof, transcript, token.scram.stored_key):
                matched = token
        if not self._tokens:
            _proves(proof, transcript, bytes(HASH_SIZE))
        return matched


def _proves(proof: bytes, transcript: bytes, stored_key: bytes) -> bool:
    key = _xor(proof, hmac_sha256(stored_key, transcript))
    return hmac.compare_digest(hashlib.sha256(key).digest(), stored_key)


# --- client ----------------------------------------------------------------------------------------------------------


class ScramClient:
    """The client's side of one exchange: ``begin``, ``respond`` to the challenge, ``verify`` the server's proof.

    Chooses -PLUS whenever the server offers it and ``certificate`` (DER, None without TLS) has a binding; SHA-1 only
    where nothing else is offered. ``user`` is for servers that do not know it from elsewhere; ``min_iterations`` is the
    least work that a server may ask for (one that asks for less wants the password guessed).
    Every method raises ``ScramError`` where the server breaks a rule or cannot prove that it knows the password.
    """

    def __init__(
        self,
        password: str | bytes,
        *,
        offered: Sequence[str],
        nonce: bytes,
        certificate: bytes | None,
        user: str = "",
        min_iterations: int = 1,
    ) -> None:
        self._password = prepared_password(password) if isinstance(password, str) else password
        self._min_iterations = min_iterations
        self._hash = "sha256"
        self._nonce = base64.b64encode(nonce).decode("ascii")
        self._binding = None if certificate is None else tls_server_end_point(certificate)
        if SCRAM_SHA_256_PLUS in offered and self._binding is not None:
            self.mechanism = SCRAM_SHA_256_PLUS
            self._gs2 = f"p={_BINDING},,".encode("ascii")
        elif SCRAM_SHA_256 in offered:
            self.mechanism = SCRAM_SHA_256
            self._gs2 = b"n,," if self._binding is None else b"y,,"
            self._binding = None
        elif SCRAM_SHA_1 in offered:
            self.mechanism = SCRAM_SHA_1
            self._hash = "sha1"
            self._gs2 = b"n,,"
            self._binding = None
        else:
            raise ScramError("the server offers no mechanism that the gateway speaks")
        name = user.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={self._nonce}"
        self._signature = b""
        self.verified = False

    def begin(self) -> bytes:
        """client-first-message."""
        return self._gs2 + self._bare.encode()

    def respond(self, challenge: bytes) -> bytes:
        """client-final-message for server-first-message."""
        if self._signature:
            raise ScramError("the server sent a second challenge")
        attributes = _attributes(challenge)
        if [name for name, _ in attributes[:3]] != ["r", "s", "i"]:
            raise ScramError("the challenge is not nonce, salt and iteration count")
        nonce, salt_text, count = (value for _, value in attributes[:3])
        _check_nonce(nonce)
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramError("the server's nonce does not continue ours")
        salt = _base64(salt_text, "the salt")
        if len(salt) < _MIN_SALT:
            raise ScramError("the salt is empty")
        number = int(count) if count.isascii() and count.isdigit() and len(count) <= 7 else 0
        if not self._min_iterations <= number <= MAX_ITERATIONS:
            raise ScramError("the iteration count is out of bounds")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, number)
        channel = base64.b64encode(self._gs2 + (self._binding or b"")).decode("ascii")
        without_proof = f"c={channel},r={nonce}"
        transcript = b",".join((self._bare.encode(), challenge, without_proof.encode("ascii")))
        key = hmac.digest(salted, b"Client Key", self._hash)
        proof = _xor(key, hmac.digest(hashlib.new(self._hash, key).digest(), transcript, self._hash))
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", self._hash), transcript, self._hash)
        return f"{without_proof},p={base64.b64encode(proof).decode('ascii')}".encode("ascii")

    def verify(self, outcome: bytes) -> None:
        """Check server-final-message. Only after this the server's word counts."""
        if not self._signature:
            raise ScramError("the server sent its proof before the challenge")
        name, value = _attributes(outcome)[0]
        if name == "e":
            raise ScramError("the server refused the exchange")
        if name != "v":
            raise ScramError("the server's last message has no proof")
        if not hmac.compare_digest(_base64(value, "the server's proof"), self._signature):
            raise ScramError("the server could not prove that it knows the password")
        self.verified = True
