"""Prometheus metrics. What happens for every statement is a few additions; everything else is worked out when asked.

Names follow Prometheus's customs (base units, ``_total``); labels have few values by their nature: resources,
protocols, outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from gateway.domain.audit import StatementRecord

if TYPE_CHECKING:
    from gateway.control.port import DataPlane

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = 28
"""Powers of two of microseconds: from 1 µs to 67 s."""
_LABELS: Final = ("resource", "protocol", "outcome")


class _Series:
    __slots__ = ("buckets", "bytes", "masked", "microseconds", "rows")

    def __init__(self) -> None:
        self.buckets = [0] * (_BUCKETS + 1)
        self.microseconds = self.rows = self.masked = self.bytes = 0


class StatementMetrics:
    """Counts statements by resource, protocol and outcome, with their durations."""

    __slots__ = ("_masked", "_series")

    def __init__(self) -> None:
        self._masked: dict[tuple[str, str, str], int] = {}
        """Masked values by resource, protocol and label, of which there are as many as somebody wrote down."""
        self._series: dict[tuple[str, str, str], _Series] = {}

    def observe(self, resource: str, protocol: str, record: StatementRecord) -> None:
        """One execution that is over."""
        key = (resource, protocol, record.outcome._value_)  # without the detour by which an enum member is hashed
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        microseconds = record.duration // 1000
        series.buckets[min(microseconds.bit_length(), _BUCKETS)] += 1
        series.microseconds += microseconds
        series.rows += record.rows
        series.masked += record.masked_cells
        series.bytes += record.bytes_out
        if record.masked_by_label is not None:
            for label, number in record.masked_by_label.items():
                place = (resource, protocol, label)
                self._masked[place] = self._masked.get(place, 0) + number

    def collect(self) -> Iterator[Metric]:
        """The families."""
        durations = HistogramMetricFamily(
            "querygate_statement_duration_seconds", "From the statement to its last answer", labels=_LABELS
        )
        rows = CounterMetricFamily("querygate_rows", "Rows sent to clients", labels=_LABELS)
        masked = CounterMetricFamily("querygate_masked_cells", "Values masked before they left", labels=_LABELS)
        sent = CounterMetricFamily("querygate_sent_bytes", "Bytes of results sent to clients", labels=_LABELS)
        for key, series in list(self._series.items()):
            count, buckets = 0, list[tuple[str, float]]()
            for exponent, number in enumerate(series.buckets[:_BUCKETS]):
                count += number
                buckets.append((repr((1 << exponent) / 1e6), count))
            buckets.append(("+Inf", count + series.buckets[_BUCKETS]))
            labels = [str(part) for part in key]
            durations.add_metric(labels, buckets, series.microseconds / 1e6)
            rows.add_metric(labels, series.rows)
            masked.add_metric(labels, series.masked)
            sent.add_metric(labels, series.bytes)
        by_label = CounterMetricFamily(
            "querygate_masked_cells_by_label",
            "Values masked before they left; one under several labels counts for each",
            labels=("resource", "protocol", "label"),
        )
        for place, number in list(self._masked.items()):
            by_label.add_metric(place, number)
        yield from (durations, rows, masked, by_label, sent)


class _Plane(Collector):
    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    @override
    def collect(self) -> Iterator[Metric]:
        plane = self._plane
        health, counters = plane.health(), plane.counters()
        if (statements := plane.statement_metrics()) is not None:
            yield from statements.collect()
        for name, text, value in (
            ("querygate_sessions", "Sessions that are open", health.sessions),
            ("querygate_ready", "1 while clients are taken", int(health.ready)),
            ("querygate_audit_writable", "1 while the audit can be written", int(not health.audit)),
            ("querygate_approvals_waiting", "Requests that wait for people", plane.approvals_waiting),
            ("querygate_start_time_seconds", "When the gateway started, Unix seconds", counters.started),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        for name, text, value in (
            ("querygate_sessions_opened", "Sessions that were opened", counters.sessions_opened),
            ("querygate_sessions_refused", "Sessions that were refused", counters.sessions_refused),
            ("querygate_sessions_terminated", "Sessions that an administrator ended", counters.sessions_terminated),
        ):
            yield CounterMetricFamily(name, text, value=value)
        snapshot = GaugeMetricFamily("querygate_snapshot_info", "The policies in force", labels=("version",))
        snapshot.add_metric([health.snapshot], 1)
        yield snapshot
        delivered = CounterMetricFamily("querygate_audit_delivered", "Events that arrived", labels=("sink",))
        failures = CounterMetricFamily("querygate_audit_failures", "Deliveries that failed", labels=("sink",))
        behind = GaugeMetricFamily("querygate_audit_behind", "Events still to be delivered", labels=("sink",))
        failing = GaugeMetricFamily("querygate_audit_failing", "1 while deliveries fail", labels=("sink",))
        refused = GaugeMetricFamily(
            "querygate_audit_refused", "1 while the receiver refuses: waiting does not help", labels=("sink",)
        )
        aside = CounterMetricFamily("querygate_audit_set_aside", "Events refused and set aside", labels=("sink",))
        for name, progress, left in plane.audit_sinks():
            failing.add_metric([name], int(bool(progress.failing)))
            refused.add_metric([name], int(progress.blocked))
            aside.add_metric([name], progress.set_aside)
            delivered.add_metric([name], progress.delivered)
            failures.add_metric([name], progress.failures)
            behind.add_metric([name], left)
        yield from (delivered, failures, behind, failing, refused, aside)
        away = GaugeMetricFamily(
            "querygate_audit_witness_failing",
            "1 while a witness does not take checkpoints, or remembers more of the log than there is",
            labels=("witness",),
        )
        covered = GaugeMetricFamily(
            "querygate_audit_witness_lines", "Lines of the log that a witness can vouch for", labels=("witness",)
        )
        for name, failed, lines in plane.audit_witnesses():
            away.add_metric([name], int(failed))
            covered.add_metric([name], lines)
        yield from (away, covered)


def exposition(plane: DataPlane) -> bytes:
    """Everything in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Plane(plane))
    return generate_latest(registry)
