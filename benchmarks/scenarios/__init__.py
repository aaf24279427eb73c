"""The scenarios by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.scenarios.base import Scenario
from benchmarks.scenarios.bulk import BULK_MASKED, BULK_UNMASKED
from benchmarks.scenarios.decision import DECISION
from benchmarks.scenarios.documents import MONGODB_MASKED, MONGODB_POINT, MONGODB_SCAN
from benchmarks.scenarios.memory import HELD_MEMORY, HELD_MEMORY_LINKED, IDLE_MEMORY, IDLE_MEMORY_TLS, STALLED_CLIENT
from benchmarks.scenarios.point import (
    AUDIT_BEFORE,
    AUDIT_BUFFERED,
    LATENCY,
    POINT_EXTENDED,
    POINT_PREPARED,
    POINT_SIMPLE,
)
from benchmarks.scenarios.rulings import FIRST_SIGHT
from benchmarks.scenarios.tables import MYSQL_BULK, MYSQL_MASKED, MYSQL_POINT

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            POINT_SIMPLE,
            POINT_EXTENDED,
            POINT_PREPARED,
            AUDIT_BUFFERED,
            AUDIT_BEFORE,
            BULK_UNMASKED,
            BULK_MASKED,
            FIRST_SIGHT,
            MYSQL_POINT,
            MYSQL_BULK,
            MYSQL_MASKED,
            MONGODB_POINT,
            MONGODB_SCAN,
            MONGODB_MASKED,
            STALLED_CLIENT,
            IDLE_MEMORY,
            IDLE_MEMORY_TLS,
            DECISION,
            HELD_MEMORY,
            HELD_MEMORY_LINKED,
            LATENCY,
        )
    }
)
