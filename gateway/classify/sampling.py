"""Reads samples through the gateway's own way to the database, and weighs them as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from gateway.assembly import GATEWAY, inspect
from gateway.classify.detectors import detectors
from gateway.classify.propose import Proposal, fold, propose
from gateway.config import Config
from gateway.domain.resource import Resource
from gateway.errors import ConfigurationError
from gateway.protocol.adapter import Exchange, UpstreamHandle
from gateway.protocol.optional import SampledTable, SamplesValues

SAMPLING_TIMEOUT = 3600.0
"""Seconds for all tables together; each has a time limit of its own in the database."""

Progress = Callable[[str, int, int], None]
"""Takes a table's name, its number (from 1) and how many there are."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in a database. ``unread`` are tables that could not be read, each with the reason."""

    database: str
    proposals: tuple[Proposal, ...]
    labelled: tuple[Proposal, ...]
    """For columns that carry a label already."""
    tables: int
    rows: int
    unread: tuple[tuple[str, str], ...]
    paths: bool = False
    """Whether the columns are paths of documents."""


async def classify(
    config: Config,
    resource: Resource,
    *,
    database: str | None,
    rows: int,
    min_score: float,
    today: date,
    progress: Progress,
) -> Findings:
    """Sample every table of a database. Raises ``ConfigurationError`` and ``UpstreamError``."""
    inspection = inspect(config)
    adapter = inspection.components.protocols[resource.protocol]
    if not isinstance(adapter, SamplesValues):
        raise ConfigurationError(f"the protocol plugin {resource.protocol} cannot read samples")
    sampler = adapter
    name = database or resource.database or resource.name
    known = inspection.databases.get(resource, name)
    await inspection.databases.refresh(known)
    credentials = await inspection.dispatcher.provide_upstream_credentials(resource, GATEWAY)
    looked_for = detectors(today)
    found: list[Proposal] = []
    unread: list[tuple[str, str]] = []
    counts = [0, 0]

    def seen(table: SampledTable, number: int, of: int) -> None:
        counts[0] += 1
        counts[1] += table.rows
        if table.problem:
            unread.append((f"{table.schema}.{table.name}", table.problem))
        found.extend(propose(table, looked_for, min_score=min_score))
        progress(f"{table.schema}.{table.name}", number, of)

    def begin(handle: UpstreamHandle) -> Exchange:
        return sampler.sample(resource, credentials, name, handle, rows=rows, seen=seen)

    await inspection.upstreams.exchange(resource, adapter, begin, doing="sampling", timeout=SAMPLING_TIMEOUT)
    catalog = known.catalog
    folded = found if catalog is None else fold(found, catalog.related_columns)
    return Findings(
        name,
        tuple(item for item in folded if not known.labels_of(item.column)),
        tuple(item for item in folded if known.labels_of(item.column)),
        counts[0],
        counts[1],
        tuple(unread),
        paths=getattr(adapter, "samples_paths", False) is True,
    )
