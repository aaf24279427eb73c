"""The scenarios by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.scenarios.base import Scenario
from benchmarks.scenarios.bulk import BULK_MASKED, BULK_UNMASKED
from benchmarks.scenarios.memory import IDLE_MEMORY, IDLE_MEMORY_TLS, STALLED_CLIENT
from benchmarks.scenarios.point import DURABILITY, LATENCY, POINT_EXTENDED, POINT_PREPARED, POINT_SIMPLE
from benchmarks.scenarios.rulings import FIRST_SIGHT

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            POINT_SIMPLE,
            POINT_EXTENDED,
            POINT_PREPARED,
            BULK_UNMASKED,
            BULK_MASKED,
            FIRST_SIGHT,
            STALLED_CLIENT,
            IDLE_MEMORY,
            IDLE_MEMORY_TLS,
            LATENCY,
            DURABILITY,
        )
    }
)
