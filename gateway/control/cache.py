"""What a linked gateway keeps on its disk: the last good snapshot, and the keys that make it worth something.

====================  ==========================================================================================
``snapshot.signed``   the last snapshot that was in force, as it came: signed, secrets sealed
``snapshot.key``      the sealing key, wrapped for this gateway's own key pair
``link.key``          the private half of that pair (X25519, mode 0600)
``control.trust``     the signing key that this gateway trusts, if the configuration does not name it
====================  ==========================================================================================

Everything is verified again when it is read: who can write these files can stop a gateway, but not change its policies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.control.document import MAX_BYTES
from gateway.control.sealing import Sealer, public_key_of, unwrap
from gateway.control.signing import SignedSnapshot, parse_key
from gateway.errors import ConfigurationError
from gateway.identity.files import load_or_create_secret, write_private

_MAX_SMALL: Final = 4096


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot with what opens its secrets. ``identity_secret`` is what salts are derived from (32 bytes)."""

    signed: SignedSnapshot
    sealer: Sealer
    identity_secret: bytes


class SnapshotCache:
    """The files in ``data_dir``. ``trust`` is the signing key from the configuration, None to trust the first one."""

    def __init__(self, data_dir: Path, *, trust: str | None = None) -> None:
        if trust is not None:
            parse_key(trust)
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._signed = data_dir / "snapshot.signed"
        self._wrapped = data_dir / "snapshot.key"
        self._trust_file = data_dir / "control.trust"
        self._configured = trust
        self._private = load_or_create_secret(data_dir / "link.key")

    @property
    def public_key(self) -> bytes:
        """What secrets are wrapped for."""
        return public_key_of(self._private)

    @property
    def trusted(self) -> str | None:
        """The signing key that counts; None before the first contact."""
        if self._configured is not None:
            return self._configured
        text = _read(self._trust_file, _MAX_SMALL)
        return None if text is None else text.decode("ascii", "replace").strip()

    def trust_first(self, key: str) -> None:
        """Trust a key for good, where none is trusted yet. ``ConfigurationError`` where another one is."""
        parse_key(key)
        known = self.trusted
        if known is None:
            write_private(self._trust_file, key.encode("ascii") + b"\n")
        elif known != key:
            raise ConfigurationError(
                f"the control plane signs with {key}, and this gateway trusts {known}: if the key was replaced on "
                f"purpose, set control.trust or remove {self._trust_file}"
            )

    def open(self, data: bytes, wrapped: bytes) -> Kept:
        """Verify a snapshot and unwrap its key. ``ConfigurationError`` for what is not good."""
        trusted = self.trusted
        if trusted is None:
            raise ConfigurationError("no signing key is trusted yet")
        signed = SignedSnapshot.decode(data, trusted=trusted)
        key, identity_secret = unwrap(wrapped, self._private)
        return Kept(signed, Sealer(key), identity_secret)

    def load(self) -> Kept | None:
        """The last good snapshot; None where there is none yet. ``ConfigurationError`` for a damaged or foreign one."""
        data, wrapped = _read(self._signed, MAX_BYTES + _MAX_SMALL), _read(self._wrapped, _MAX_SMALL)
        return None if data is None or wrapped is None else self.open(data, wrapped)

    def keep(self, data: bytes, wrapped: bytes) -> None:
        """Keep what is in force now. Raises ``OSError``."""
        write_private(self._wrapped, wrapped)
        write_private(self._signed, data)


def _read(path: Path, limit: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise ConfigurationError(f"{path}: larger than it can be")
    return data
