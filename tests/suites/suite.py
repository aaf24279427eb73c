"""What a suite is: where it comes from, what it needs, and how it is told the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.suites.endpoints import Endpoint
from tests.suites.sources import pinned

_TOOLS = ("pytest", "pytest-timeout")


@dataclass(frozen=True, slots=True)
class Suite:
    """One distribution's tests against one driver.

    ``keep`` are the files and folders of the source distribution that are unpacked: where its package is not among
    them, the installed one is tested. ``targets`` and ``bounded`` are pytest arguments for everything and for CI.
    """

    name: str
    distribution: str
    targets: tuple[str, ...]
    bounded: tuple[str, ...]
    keep: tuple[str, ...]
    requirements: tuple[str, ...] = ()
    """Distributions in the project's own versions."""
    extras: tuple[str, ...] = ()
    """Distributions that only the suite needs."""
    arguments: Callable[[Endpoint], tuple[str, ...]] = lambda _: ()
    variables: Callable[[Endpoint], Mapping[str, str]] = lambda endpoint: endpoint.variables()
    files: Callable[[Endpoint], Mapping[str, str]] = lambda _: {}
    """What is written into the suite's folder before it runs: contents by path."""
    version: str = ""
    """The source distribution's version where it is not the project's own."""
    server: str = "postgres"
    """The kind of server: ``postgres``, ``mysql`` or ``mongodb``."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The server's, beside those that every server of its kind has."""
    tls: bool = True
    """Whether clients come to the gateway with TLS."""
    patience: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Texts to replace in files of the suite: how long its own set-up waits for an answer, and nothing else."""
    databases: Mapping[str, str] = field(default_factory=dict)
    """Databases to create, each with a script to run in it; what exists already is taken."""

    @property
    def tools(self) -> tuple[str, ...]:
        """What the environment needs in the project's own versions."""
        return (*_TOOLS, *self.requirements)

    @property
    def source(self) -> str:
        """The source distribution as ``name==version``."""
        return f"{self.distribution}=={self.version}" if self.version else pinned(self.distribution)
