"""What a resource's ``parameters`` say about connections to its database; the names are MySQL's own clients'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import ConfigurationError, UpstreamError
from gateway_mysql.wire.capabilities import NONE, Capability
from gateway_mysql.wire.compression import DEFAULT_LEVEL

ALGORITHMS: Final = "compression_algorithms"
LEVEL: Final = "zstd_compression_level"
_FLAGS: Final[Mapping[str, Capability]] = {
    "zlib": Capability.COMPRESS,
    "zstd": Capability.ZSTD,
    "uncompressed": NONE,
}


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """How sessions are compressed towards the database: ``algorithms`` best first, as flags (none: not at all)."""

    algorithms: tuple[Capability, ...] = (NONE,)
    level: int = DEFAULT_LEVEL

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> UpstreamOptions:
        """From a resource's parameters; raises ``ConfigurationError`` for what makes no sense."""
        if unknown := parameters.keys() - {ALGORITHMS, LEVEL}:
            raise ConfigurationError(f"parameters: {min(unknown)!r} is not one of {ALGORITHMS}, {LEVEL}")
        names = [name.strip() for name in parameters.get(ALGORITHMS, "uncompressed").split(",")]
        if wrong := [name for name in names if name not in _FLAGS]:
            raise ConfigurationError(f"{ALGORITHMS}: {wrong[0]!r} is not one of {', '.join(_FLAGS)}")
        level = parameters.get(LEVEL, str(DEFAULT_LEVEL))
        if not level.isascii() or not level.isdecimal() or not 1 <= int(level) <= 22:
            raise ConfigurationError(f"{LEVEL}: {level!r} is not a number from 1 to 22")
        return cls(tuple(_FLAGS[name] for name in names), int(level))

    def choose(self, server: Capability) -> Capability:
        """The first algorithm that the server has; raises ``UpstreamError`` where it has none of them."""
        for flag in self.algorithms:
            if server & flag == flag:
                return flag
        raise UpstreamError(f"the database server has none of the resource's {ALGORITHMS}")
