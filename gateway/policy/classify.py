"""The built-in classifier: labels from the snapshot's classifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway import hookimpl
from gateway.domain.resource import Resource
from gateway.domain.statement import ColumnRef
from gateway.policy.snapshot import Snapshot


class ConfiguredClassifier:
    """Answers ``classify_columns`` from the snapshot that is current when it is asked."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    @hookimpl
    def classify_columns(self, resource: Resource, columns: Sequence[ColumnRef]) -> Mapping[ColumnRef, frozenset[str]]:
        """The labelled ones among the columns. Raises ``KeyError`` for a resource that the snapshot does not have."""
        return self._snapshot().label_index(resource.name).spread(columns)
