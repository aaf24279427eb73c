"""What the sinks still have to get."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from gateway.audit.intake import Batch
from gateway.audit.sinks import AttachedSink


class Delivery:
    """Batches on their way to the sinks. Used by the writer's thread only.

    A batch goes to every sink once. A required sink is owed it until it takes it; any other sink has one chance.
    """

    def __init__(self, sinks: Sequence[AttachedSink]) -> None:
        self._sinks = sinks
        self._fresh: list[Batch] = []
        self._owed: dict[AttachedSink, deque[Batch]] = {sink: deque() for sink in sinks if sink.required}

    def add(self, batch: Batch, events: list[bytes]) -> None:
        """Take over the events of a batch that is in the log. One that is written again is not given again."""
        if batch.delivered:
            return
        batch.delivered = True
        if not events:
            return
        batch.events = events
        self._fresh.append(batch)
        for owed in self._owed.values():
            owed.append(batch)

    def run(self) -> Iterator[Batch]:
        """Hand over what can be handed over; yields batches that a required sink has taken."""
        fresh, self._fresh = self._fresh, []
        for attached in self._sinks:
            owed = self._owed.get(attached)
            if owed is None:
                for batch in fresh:
                    attached.deliver(batch.events)
                continue
            while owed and attached.deliver(owed[0].events):
                yield owed.popleft()

    def owes(self, batch: Batch) -> bool:
        """Whether a required sink has yet to take the batch."""
        return any(batch in owed for owed in self._owed.values())

    @property
    def problem(self) -> str:
        """Why the log is not healthy because of a required sink, if so."""
        for attached, owed in self._owed.items():
            if owed:
                return f"audit sink {attached.name} failed: {attached.failing}"
        return ""

    def close(self) -> None:
        """Close every sink."""
        for attached in self._sinks:
            attached.close()
