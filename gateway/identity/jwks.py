"""An issuer's public keys from a JWKS file (RFC 7517), one exact key for each key id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.errors import AuthenticationError, ConfigurationError

MAX_FILE: Final = 1 << 20
MIN_RSA_BITS: Final = 2048

CURVES: Final[Mapping[str, str]] = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
"""The one curve that each ECDSA algorithm means (RFC 7518 section 3.4)."""
RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512"})
ALGORITHMS: Final = RSA_ALGORITHMS | CURVES.keys()

Jwk = Mapping[str, object]

_PUBLIC: Final = ("kty", "kid", "alg", "n", "e", "crv", "x", "y")


class FixedKeys:
    """Keys that are at hand."""

    def __init__(self, keys: Sequence[Jwk]) -> None:
        self._keys = tuple(keys)

    def find(self, kid: object, algorithm: str) -> Jwk:
        """The one public key with this id, fit for verifying with ``algorithm``. ``AuthenticationError`` otherwise."""
        return _find(self._keys, kid, algorithm)


class KeySet:
    """The keys in a file, read anew when the file changes.

    A file that cannot be read at start raises ``ConfigurationError``; one that breaks later leaves the last good keys.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._read_stamp()
        self._keys = _read(path)

    def find(self, kid: object, algorithm: str) -> Jwk:
        """The one public key with this id, fit for verifying with ``algorithm``. ``AuthenticationError`` otherwise."""
        self._refresh()
        return _find(self._keys, kid, algorithm)

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _refresh(self) -> None:
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = _read(self._path)
        except ConfigurationError:
            # Half-written, or gone for a moment: the keys that were good stay good until a readable file is there.
            return


def _find(keys: Sequence[Jwk], kid: object, algorithm: str) -> Jwk:
    if not isinstance(kid, str) or not kid:
        raise AuthenticationError("bearer token: the header names no key")
    found = [key for key in keys if key.get("kid") == kid]
    if len(found) != 1:
        raise AuthenticationError("bearer token: the named key is unknown or ambiguous")
    key = found[0]
    _check_fit(key, algorithm)
    return {name: key[name] for name in _PUBLIC if name in key}


def _check_fit(key: Jwk, algorithm: str) -> None:
    usable = key.get("use", "sig") == "sig"
    operations = key.get("key_ops", ["verify"])
    usable = usable and isinstance(operations, list) and "verify" in operations
    usable = usable and key.get("alg", algorithm) == algorithm
    if algorithm in CURVES:
        usable = usable and key.get("kty") == "EC" and key.get("crv") == CURVES[algorithm]
    else:
        usable = usable and algorithm in RSA_ALGORITHMS and key.get("kty") == "RSA" and _rsa_bits(key) >= MIN_RSA_BITS
    if not usable:
        raise AuthenticationError("bearer token: the named key is not for this algorithm")


def _rsa_bits(key: Jwk) -> int:
    modulus = key.get("n")
    return len(modulus.rstrip("=")) * 6 if isinstance(modulus, str) else 0


def _read(path: Path) -> tuple[Jwk, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        document = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: a key set (JWKS) cannot be read from it") from error
    keys = document.get("keys") if isinstance(document, dict) else None
    if len(data) > MAX_FILE or not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ConfigurationError(f"{path}: not a key set (JWKS)")
    return tuple(keys)
