"""The plugin that registers the sinks of this package."""

from __future__ import annotations

from collections.abc import Mapping

from gateway import hookimpl
from gateway.audit.shipping.archive import ArchiveSink
from gateway.audit.shipping.http import DatadogSink, LokiSink, OtlpLogsSink, OtlpTracesSink, SplunkSink, WebhookSink
from gateway.audit.shipping.syslog import SyslogSink
from gateway.audit.sinks import AuditSink


class ShippingSinks:
    """Everything that is shipped from the log."""

    @hookimpl
    def register_audit_sinks(self) -> Mapping[str, type[AuditSink]]:
        """By the ``type`` that ``audit.sinks`` uses."""
        return {
            "archive": ArchiveSink,
            "datadog": DatadogSink,
            "loki": LokiSink,
            "otlp": OtlpLogsSink,
            "otlp_traces": OtlpTracesSink,
            "splunk": SplunkSink,
            "syslog": SyslogSink,
            "webhook": WebhookSink,
        }
