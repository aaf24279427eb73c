"""Finding a server's programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.testing.servers.errors import ServerUnavailable


@dataclass(frozen=True, slots=True)
class Installation:
    """Programs of one server version. ``version`` is (major, minor); ``library_path`` goes to ``LD_LIBRARY_PATH``."""

    bindir: Path
    version: tuple[int, int]
    tls: bool
    source: str
    library_path: Path | None = None

    def environment(self) -> dict[str, str]:
        """The whole environment for this installation's programs: nothing of the caller's gets in."""
        base = {"PATH": f"{self.bindir}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        return base if self.library_path is None else base | {"LD_LIBRARY_PATH": str(self.library_path)}


@dataclass(frozen=True, slots=True)
class Source:
    """A place to look in. ``find`` yields what is there, best first; ``remote`` sources download and are asked last."""

    name: str
    find: Callable[[], Iterable[Installation]]
    remote: bool = False
    hint: str = ""
    """What a person can do so that this source has something."""


def choose(
    what: str, sources: Sequence[Source], *, tls: bool | None = None, version: int | None = None
) -> Installation:
    """The first installation that fits, in the order of ``sources``.

    ``tls`` True asks for a build with TLS; None prefers one among what is on the machine, but downloads nothing for it.
    ``version`` is the major version. ``ServerUnavailable`` if nothing fits.
    """
    seen: list[str] = []

    def fitting(source: Source) -> Iterator[Installation]:
        try:
            found = list(source.find())
        except ServerUnavailable as error:
            seen.append(f"{source.name}: {error}")
            return
        if not found:
            seen.append(f"{source.name}: nothing found")
        for item in found:
            if (version is not None and item.version[0] != version) or (tls and not item.tls):
                seen.append(f"{source.name}: version {item.version[0]}, {'with' if item.tls else 'without'} TLS")
            else:
                yield item

    fallback: Installation | None = None
    for source in sources:
        if source.remote and fallback is not None:
            break
        for item in fitting(source):
            if item.tls or tls is False:
                return item
            fallback = fallback or item
    if fallback is not None:
        return fallback
    wanted = what + (f" {version}" if version is not None else "") + (" with TLS" if tls else "")
    hints = [f"  - {source.hint}" for source in sources if source.hint]
    tried = [f"  - {line}" for line in seen]
    raise ServerUnavailable("\n".join([f"no {wanted} on this machine. Any of these helps:", *hints, "Tried:", *tried]))
