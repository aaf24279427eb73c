"""The built-in source of upstream credentials: what the configuration says, fetched when a session needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gateway import hookimpl
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.errors import ConfigurationError

MAX_SECRET: Final = 64 * 1024
"""Longest secret file, bytes."""

CredentialsSource = Callable[[], UpstreamCredentials]


class ConfiguredCredentials:
    """Gives a resource's credentials, the same for every principal.

    ``sources`` gives the current configuration's, by resource name: either ready, or a callable that fetches them.
    """

    def __init__(self, sources: Callable[[], Mapping[str, UpstreamCredentials | CredentialsSource]]) -> None:
        self._sources = sources

    @hookimpl
    def provide_upstream_credentials(self, resource: Resource, principal: Principal) -> UpstreamCredentials | None:
        """The credentials, or None for a resource that the configuration gives none for."""
        source = self._sources().get(resource.name)
        if source is None or isinstance(source, UpstreamCredentials):
            return source
        return source()


def from_environment(username: str, variable: str, *, environ: Mapping[str, str]) -> CredentialsSource:
    """The password from an environment variable. Fetching raises ``ConfigurationError`` if it is missing or empty."""

    def fetch() -> UpstreamCredentials:
        password = environ.get(variable)
        if not password:
            raise ConfigurationError(f"the environment variable {variable} with an upstream password is missing")
        return UpstreamCredentials(username, password)

    return fetch


def from_file(username: str, path: Path) -> CredentialsSource:
    """The password from a file, read anew for each session so that a rotated secret is used at once.

    One newline at the end does not count. Fetching raises ``ConfigurationError`` if the file is unusable.
    """

    def fetch() -> UpstreamCredentials:
        try:
            with path.open("rb") as file:
                data = file.read(MAX_SECRET + 1)
            password = data.decode().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: an upstream password cannot be read from it") from error
        if not password or len(data) > MAX_SECRET:
            raise ConfigurationError(f"{path}: empty, or too long for an upstream password")
        return UpstreamCredentials(username, password)

    return fetch
