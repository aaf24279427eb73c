"""Where the command line keeps its login: one file that only its owner can read.

``$QUERYGATE_SESSION`` names it; otherwise it is ``querygate/session.json`` in ``$XDG_CONFIG_HOME`` (``~/.config``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import ConfigurationError
from gateway.identity.files import locked, write_private

VARIABLE: Final = "QUERYGATE_SESSION"
_MAX: Final = 256 * 1024
_READABLE_BY_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class OidcLogin:
    """What renews a login of an OpenID Connect issuer."""

    token_endpoint: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSession:
    """A login at an admin API. ``expires`` is when the access token is no longer good, Unix seconds.

    ``oidc`` None: the refresh token is the API's own. ``ca`` is a file with the certificates to trust.
    """

    url: str
    name: str
    access_token: str
    expires: float
    refresh_token: str = ""
    ca: str | None = None
    oidc: OidcLogin | None = None


class SessionFile:
    """The file, and a lock for whoever changes it: a refresh token is good for one use."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        given = environ.get(VARIABLE)
        base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or "~", ".config")
        self.path = Path(given) if given else Path(base).expanduser() / "querygate" / "session.json"

    def load(self) -> ClientSession | None:
        """The login; None where there is none. Raises ``ConfigurationError`` for a file that others can read."""
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(_MAX)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be read: {error.strerror}") from None
        if mode & _READABLE_BY_OTHERS:
            raise ConfigurationError(f"{self.path}: others can read it, and it holds a login; run chmod 600 on it")
        try:
            return msgspec.json.decode(data, type=ClientSession)
        except msgspec.MsgspecError:
            raise ConfigurationError(f"{self.path}: not a login; run querygate login again") from None

    def save(self, session: ClientSession) -> None:
        """Keep a login."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path, msgspec.json.encode(asdict(session)) + b"\n")

    def remove(self) -> bool:
        """Forget it; False where there was none."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold off other processes that renew the login."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.path):
            yield
