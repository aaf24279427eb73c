"""Authentication exchanges as step objects: payloads in, what to do next out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.domain.identity import AccessToken
from gateway.errors import RemoteProtocolError, UnsupportedFeature, UpstreamAuthenticationError
from gateway.identity.scram import matches_verifier
from gateway.identity.sha2 import sha2_verifier
from gateway_mysql.wire.handshake import AuthSwitchRequest
from gateway_mysql.wire.scramble import (
    CACHING_SHA2,
    CLEAR,
    ED25519,
    NATIVE,
    ed25519_scramble,
    native_scramble,
    public_pem,
    rsa_decrypt,
    rsa_encrypt,
    sha2_matches,
    sha2_scramble,
)

MAX_PROOF = 16 * 1024
"""Bytes of a proof: a bearer token is the longest."""
MAX_HASHED = 1024
"""Bytes of a password that is hashed at some expense; no access token is longer."""

_MORE = 0x01
_FAST_OK, _FULL = b"\x01\x03", b"\x01\x04"
_KEY_WANTED = b"\x02"


@dataclass(frozen=True, slots=True)
class Say:
    """Send this payload and wait for the client's next."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Proved:
    """The client has the secret behind this token; ``payload`` goes before the OK packet."""

    token: AccessToken
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Clear:
    """The client gave its password, inside TLS, and it is none of the tokens': a bearer token, perhaps."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The proof is wrong."""

    reason: str


Step = Say | Proved | Clear | Refused


class Sha2Exchange:
    """The server's side of caching_sha2_password, for the tokens that may prove a user.

    The fast path compares with the verifiers; where none fits, or a token has none of this kind, the client is asked
    for the password itself: in clear inside TLS, under the gateway's RSA key outside. A user that does not exist goes
    the same way.
    """

    def __init__(
        self,
        tokens: Sequence[AccessToken],
        nonce: bytes,
        *,
        tls: bool,
        private_key: Callable[[], RSAPrivateKey],
    ) -> None:
        self._tokens = tokens
        self._nonce = nonce
        self._tls = tls
        self._private_key = private_key
        self._full = False
        self._key_sent = False
        self._switched_to = b""

    def start(self, plugin: bytes, proof: bytes) -> Step:
        """The client's first proof, for the plugin that it chose."""
        if plugin == CACHING_SHA2:
            return self._scramble(proof)
        if plugin == CLEAR and self._tls:
            return self._password(proof)
        self._switched_to = CACHING_SHA2
        return Say(AuthSwitchRequest(CACHING_SHA2, self._nonce).encode())

    def receive(self, payload: bytes) -> Step:
        """The client's next payload."""
        if self._switched_to:
            self._switched_to = b""
            return self._scramble(payload)
        if not self._full:
            raise RemoteProtocolError("authentication: nothing was asked for")
        if self._tls:
            return self._password(payload)
        if payload == _KEY_WANTED and not self._key_sent:
            self._key_sent = True
            return Say(bytes((_MORE,)) + public_pem(self._private_key()))
        password = rsa_decrypt(self._private_key(), payload, self._nonce)
        if password is None:
            return Refused("the password is not encrypted with the gateway's key")
        return self._compare(password) or Refused("no valid token is this one")

    def _scramble(self, proof: bytes) -> Step:
        if not proof or proof == b"\0":
            return Refused("no password was given")
        for token in self._tokens:
            if token.sha2 is not None and sha2_matches(proof, self._nonce, token.sha2):
                return Proved(token, _FAST_OK)
        self._full = True
        return Say(_FULL)

    def _password(self, payload: bytes) -> Step:
        if len(payload) > MAX_PROOF:
            raise RemoteProtocolError("authentication: the password is too long")
        password = payload.removesuffix(b"\0")
        found = self._compare(password)
        if found is not None:
            return found
        try:
            return Clear(password.decode())
        except UnicodeDecodeError:
            return Refused("the password is not text")

    def _compare(self, password: bytes) -> Proved | None:
        verifier = sha2_verifier(password)
        for token in self._tokens:
            if token.sha2 is not None and token.sha2 == verifier:
                return Proved(token)
        if len(password) > MAX_HASHED:
            return None
        text = password.decode("utf-8", "surrogateescape")
        for token in self._tokens:
            if token.sha2 is None and matches_verifier(text, token.scram):
                return Proved(token)
        return None


class UpstreamExchange:
    """The client's side: proves the gateway to a database, by whatever plugin the database asks for.

    A clear password is sent inside TLS only.
    """

    def __init__(self, password: str | None, *, tls: bool) -> None:
        self._password = (password or "").encode()
        self._tls = tls
        self._plugin = b""
        self._nonce = b""
        self._wants_key = False

    def first(self, plugin: bytes, nonce: bytes) -> tuple[bytes, bytes]:
        """The plugin and the proof for the first message, for the plugin that the greeting names."""
        if plugin not in (CACHING_SHA2, NATIVE, ED25519):
            plugin = NATIVE  # the server asks for another one if it has to
        self._plugin, self._nonce = plugin, nonce
        return plugin, self._proof()

    def receive(self, payload: bytes) -> bytes | None:
        """The server's payload: what to answer (None: nothing). OK and ERR are the caller's."""
        kind = payload[0] if payload else -1
        if kind == 0xFE:
            switch = AuthSwitchRequest.decode(payload)
            self._plugin, self._nonce = switch.plugin, switch.data
            return self._proof()
        if kind != _MORE:
            raise UpstreamAuthenticationError("the server sent something else than authentication")
        if self._plugin != CACHING_SHA2:
            raise UpstreamAuthenticationError("the server goes on where the plugin is done")
        return self._sha2(payload)

    def _proof(self) -> bytes:
        if self._plugin == CACHING_SHA2:
            return sha2_scramble(self._password, self._nonce[:20])
        if self._plugin == NATIVE:
            return native_scramble(self._password, self._nonce[:20])
        if self._plugin == ED25519:
            return ed25519_scramble(self._password, self._nonce)
        if self._plugin == CLEAR and self._tls:
            return self._password + b"\0"
        name = self._plugin.decode("ascii", "replace")
        raise UnsupportedFeature(f"the database asks for the authentication plugin {name}, which is not supported here")

    def _sha2(self, payload: bytes) -> bytes | None:
        if self._wants_key:
            self._wants_key = False
            return rsa_encrypt(payload[1:], self._password, self._nonce[:20])
        if payload == _FAST_OK:
            return None
        if payload != _FULL:
            raise UpstreamAuthenticationError("the server's authentication makes no sense")
        if self._tls:
            return self._password + b"\0"
        self._wants_key = True
        return _KEY_WANTED
