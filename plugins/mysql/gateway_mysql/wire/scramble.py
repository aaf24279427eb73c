"""What the authentication plugins compute (pages "Caching_sha2_password information" and "Native Authentication";
MariaDB's client_ed25519)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from nacl import bindings

from gateway.errors import RemoteProtocolError

CACHING_SHA2: Final = b"caching_sha2_password"
NATIVE: Final = b"mysql_native_password"
CLEAR: Final = b"mysql_clear_password"
ED25519: Final = b"client_ed25519"
NONCE_SIZE: Final = 20
SHA2_SIZE: Final = 32


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def sha2_scramble(password: bytes, nonce: bytes) -> bytes:
    """The client's proof; empty for an empty password."""
    if not password:
        return b""
    first = hashlib.sha256(password).digest()
    return _xor(first, hashlib.sha256(hashlib.sha256(first).digest() + nonce).digest())


def sha2_matches(scramble: bytes, nonce: bytes, verifier: bytes) -> bool:
    """Whether a proof was made with the password behind ``verifier``."""
    if len(scramble) != SHA2_SIZE:
        return False
    first = _xor(scramble, hashlib.sha256(verifier + nonce).digest())
    return hmac.compare_digest(hashlib.sha256(first).digest(), verifier)


def native_scramble(password: bytes, nonce: bytes) -> bytes:
    """mysql_native_password's proof (SHA-1 is the protocol's, not a choice); empty for an empty password."""
    if not password:
        return b""
    first = hashlib.sha1(password, usedforsecurity=False).digest()
    second = hashlib.sha1(first, usedforsecurity=False).digest()
    return _xor(first, hashlib.sha1(nonce + second, usedforsecurity=False).digest())


def ed25519_scramble(password: bytes, nonce: bytes) -> bytes:
    """client_ed25519's proof: a signature over the nonce whose private scalar comes from the password itself.

    As in Ed25519, but the hashed seed is the password and not 32 random bytes (MariaDB, plugin/auth_ed25519).
    """
    digest = hashlib.sha512(password).digest()
    scalar = bytearray(digest[:32])
    scalar[0] &= 248
    scalar[31] = (scalar[31] & 127) | 64
    secret = bytes(scalar)
    public = bindings.crypto_scalarmult_ed25519_base_noclamp(secret)
    r = bindings.crypto_core_ed25519_scalar_reduce(hashlib.sha512(digest[32:] + nonce).digest())
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(r)
    k = bindings.crypto_core_ed25519_scalar_reduce(hashlib.sha512(point + public + nonce).digest())
    reduced = bindings.crypto_core_ed25519_scalar_reduce(secret + bytes(32))
    s = bindings.crypto_core_ed25519_scalar_add(bindings.crypto_core_ed25519_scalar_mul(k, reduced), r)
    return bytes(point + s)


def mask_password(password: bytes, nonce: bytes) -> bytes:
    """The password with its final NUL, XORed with the nonce over and over: what is encrypted with the RSA key."""
    return bytes(byte ^ nonce[index % len(nonce)] for index, byte in enumerate(password + b"\0"))


def rsa_encrypt(public_key: bytes, password: bytes, nonce: bytes) -> bytes:
    """The password for a server's RSA key (PEM); OAEP with SHA-1, as the protocol has it."""
    try:
        key = serialization.load_pem_public_key(public_key.rstrip(b"\0"))
    except ValueError:
        raise RemoteProtocolError("the server's public key cannot be read") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise RemoteProtocolError("the server's public key is not an RSA key")
    return key.encrypt(mask_password(password, nonce), _oaep())


def rsa_decrypt(key: rsa.RSAPrivateKey, message: bytes, nonce: bytes) -> bytes | None:
    """The password in a client's message, or None where there is none to be found in it."""
    try:
        masked = key.decrypt(message, _oaep())
    except ValueError:
        return None
    password = bytes(byte ^ nonce[index % len(nonce)] for index, byte in enumerate(masked))
    return password[:-1] if password.endswith(b"\0") else None


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    """The key's public half, as clients want it."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _oaep() -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303
