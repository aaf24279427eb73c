"""Audit events in the shapes that log engines take. Pure: lines of the trail (whole OCSF events) in, bytes out.

The event itself always goes along whole; what stands beside it is what each engine indexes by: time, host, a few labels
of few values, and OpenTelemetry's ``db.*`` names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from gateway.audit.redact import redact_text
from gateway.domain.literals import Literals

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

Event = Mapping[str, Any]

_SEVERITIES: Final = {1: (9, "INFO"), 2: (13, "WARN"), 3: (13, "WARN"), 4: (17, "ERROR"), 5: (21, "FATAL")}
"""OCSF's severity_id as OpenTelemetry's number and text (logs data model, "Severity Fields")."""
_SYSLOG_SEVERITIES: Final = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2}
_LOG_AUDIT: Final = 13
"""Syslog facility "log audit" (RFC 5424, 6.2.1)."""
_SYSTEMS: Final = {"postgres": "postgresql", "mysql": "mysql", "mongodb": "mongodb"}
_CLIENT: Final = 3
_LONGEST_TEXT: Final = 16 * 1024
"""Characters of a text that goes into a span: more is in the log, by the span's fingerprint."""
_ERROR: Final = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Who sends: the machine, and the name under which a log engine knows the gateway."""

    host: str
    service: str = "querygate"


def splunk(lines: Sequence[bytes], place: Place, *, index: str = "", sourcetype: str = "querygate:ocsf") -> bytes:
    """A batch for Splunk's HTTP Event Collector: one envelope after the other."""
    head = _encode({"host": place.host, "source": place.service, "sourcetype": sourcetype} | _some(index=index))
    return b"".join(
        b'%b,"time":%.3f,"event":%b}' % (head[:-1], _milliseconds(_decode(line)) / 1000, line.rstrip(b"\n"))
        for line in lines
    )


def loki(lines: Sequence[bytes], place: Place, *, labels: Mapping[str, str]) -> bytes:
    """A push for Loki, by streams of one protocol and resource each."""
    streams: dict[tuple[str, str], list[list[str]]] = {}
    for line in lines:
        event = _decode(line)
        key = (_protocol(event), _resource(event))
        streams.setdefault(key, []).append([str(_milliseconds(event) * 1_000_000), line.rstrip(b"\n").decode()])
    common = {"service_name": place.service, "host": place.host, **labels}
    return _encode(
        {
            "streams": [
                {"stream": common | _some(protocol=protocol, resource=resource), "values": values}
                for (protocol, resource), values in streams.items()
            ]
        }
    )


def datadog(lines: Sequence[bytes], place: Place, *, tags: Mapping[str, str]) -> bytes:
    """A batch for Datadog's log intake."""
    joined = ",".join(f"{key}:{value}" for key, value in tags.items())
    entries = []
    for line in lines:
        event = _decode(line)
        entries.append(
            {
                "ddsource": "querygate",
                "ddtags": joined,
                "hostname": place.host,
                "service": place.service,
                "status": _severity(event)[1].lower(),
                "timestamp": _milliseconds(event),
                "message": line.rstrip(b"\n").decode(),
            }
        )
    return _encode(entries)


def json_lines(lines: Sequence[bytes]) -> bytes:
    """One event on each line, as in the trail."""
    return b"".join(lines)


def otlp_logs(lines: Iterable[bytes], place: Place, *, attributes: Mapping[str, str]) -> bytes:
    """An ExportLogsServiceRequest in OTLP's JSON encoding."""
    records = []
    for line in lines:
        event = _decode(line)
        number, text = _severity(event)
        records.append(
            {
                "timeUnixNano": str(_milliseconds(event) * 1_000_000),
                "observedTimeUnixNano": str(_milliseconds(event) * 1_000_000),
                "severityNumber": number,
                "severityText": text,
                "eventName": f"querygate.{event['metadata'].get('event_code', 'event')}",
                "body": {"stringValue": line.rstrip(b"\n").decode()},
                "attributes": _attributes(event),
                "traceId": _trace_id(event),
            }
        )
    scope = {"scope": {"name": "querygate.audit"}, "logRecords": records}
    return _encode({"resourceLogs": [{"resource": _otlp_resource(place, attributes), "scopeLogs": [scope]}]})


def otlp_traces(lines: Iterable[bytes], place: Place, *, attributes: Mapping[str, str]) -> bytes | None:
    """An ExportTraceServiceRequest: a span for each statement, a trace for each session. None without a statement."""
    spans = []
    for line in lines:
        event = _decode(line)
        if event["metadata"].get("event_code") != "statement":
            continue
        start = int(event["time"]) * 1_000_000
        duration = int(event.get("unmapped", {}).get("duration_us", 0)) * 1000
        status = event.get("status_id")
        spans.append(
            {
                "traceId": _trace_id(event),
                "spanId": hashlib.sha256(event["metadata"]["uid"].encode()).hexdigest()[:16],
                "name": _summary(event) or "statement",
                "kind": _CLIENT,
                "startTimeUnixNano": str(start),
                "endTimeUnixNano": str(start + duration),
                "attributes": _attributes(event, {"db.query.text": _query_text(event)}),
                "status": {"code": _ERROR, "message": event.get("status_detail", "")} if status == _ERROR else {},
            }
        )
    if not spans:
        return None
    scope = {"scope": {"name": "querygate.statements"}, "spans": spans}
    return _encode({"resourceSpans": [{"resource": _otlp_resource(place, attributes), "scopeSpans": [scope]}]})


def syslog(line: bytes, place: Place, process: int) -> bytes:
    """One RFC 5424 message with the event as its text, in front of it its size (RFC 5425, 4.3)."""
    event = _decode(line)
    priority = _LOG_AUDIT * 8 + _SYSLOG_SEVERITIES.get(event.get("severity_id", 1), 6)
    moment = _timestamp(_milliseconds(event))
    code = str(event["metadata"].get("event_code", "-"))[:32]
    head = f"<{priority}>1 {moment} {place.host[:255] or '-'} {place.service[:48]} {process} {code} - \ufeff"
    message = head.encode() + line.rstrip(b"\n")
    return b"%d %b" % (len(message), message)


def _attributes(event: Event, more: Mapping[str, object] | None = None) -> list[dict[str, object]]:
    """OpenTelemetry's names ("Semantic conventions for database client calls") for what an event knows."""
    query, database = event.get("query_info", {}), event.get("database", {})
    user = event.get("actor", {}).get("user", {})
    unmapped = event.get("unmapped", {})
    acts_for = [person.get("name", "") for person in unmapped.get("session", {}).get("acts_for", [])]
    protocol = _protocol(event)
    server, client = event.get("dst_endpoint", {}), event.get("src_endpoint", {})
    failed = event.get("status_id") == _ERROR
    found: dict[str, object] = {
        "event.name": event["metadata"].get("event_code"),
        "db.system.name": _SYSTEMS.get(protocol, protocol),
        "db.namespace": database.get("name"),
        "db.operation.name": _operation(event),
        "db.collection.name": _collection(event),
        "db.query.summary": _summary(event),
        "db.response.status_code": event.get("status_code"),
        "db.response.returned_rows": unmapped.get("rows"),
        "error.type": (event.get("status_code") or event.get("status_detail")) if failed else None,
        "server.address": server.get("hostname"),
        "server.port": server.get("port"),
        "client.address": client.get("ip"),
        "client.port": client.get("port"),
        "user.name": user.get("name"),
        "session.id": event.get("actor", {}).get("session", {}).get("uid"),
        "querygate.resource": _resource(event),
        "querygate.acts_for": ",".join(acts_for),
        "querygate.outcome": event.get("status_detail"),
        "querygate.policy": event.get("policy", {}).get("name"),
        "querygate.masked_cells": unmapped.get("masked_cells"),
        "querygate.masked_labels": ",".join(sorted(unmapped.get("masked_by_label", ()))),
        "querygate.fingerprint": query.get("uid"),
        **(more or {}),
    }
    return [{"key": key, "value": _any_value(value)} for key, value in found.items() if value not in (None, "")]


def _any_value(value: object) -> dict[str, object]:
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}


def _otlp_resource(place: Place, attributes: Mapping[str, str]) -> dict[str, object]:
    found = {"service.name": place.service, "host.name": place.host, **attributes}
    return {"attributes": [{"key": key, "value": {"stringValue": value}} for key, value in found.items()]}


def _summary(event: Event) -> str:
    """Operation and target, such as ``SELECT public.customers``: few values, and no literal."""
    statements = event.get("unmapped", {}).get("statements") or []
    words = []
    for facts in statements[:3]:
        named = facts.get("writes") or facts.get("reads") or []
        target = named[0] if named and isinstance(named[0], str) else ""
        words.append(f"{str(facts.get('kind', '')).upper()} {target}".strip())
    return "; ".join(word for word in words if word)[:255]


def _operation(event: Event) -> str:
    """What the only statement of a text is called in its language; a text of several has no such name."""
    statements = event.get("unmapped", {}).get("statements") or []
    kind = str(statements[0].get("kind", "")) if len(statements) == 1 else ""
    return kind if _protocol(event) == "mongodb" else kind.upper()


def _collection(event: Event) -> str:
    """The table or collection, where the text has to do with a single one."""
    statements = event.get("unmapped", {}).get("statements") or []
    named = {str(name) for facts in statements for part in ("reads", "writes") for name in facts.get(part) or ()}
    return named.pop() if len(named) == 1 else ""


def _query_text(event: Event) -> str:
    """The text without its literals, as the conventions ask for; nothing where that is not certain, or not SQL."""
    text = str(event.get("query_info", {}).get("query_string", ""))
    if not text or len(text) > _LONGEST_TEXT or _protocol(event) == "mongodb":
        return ""
    # Double quotes hold values in MySQL: what stands in them counts as a literal.
    sanitised = redact_text(text, Literals.DROP)
    return "" if sanitised.endswith("withheld]") else sanitised


def _protocol(event: Event) -> str:
    endpoint = event.get("dst_endpoint", {})
    return str(endpoint.get("svc_name") or event.get("service", {}).get("name") or "")


def _resource(event: Event) -> str:
    endpoint = event.get("dst_endpoint", {})
    return str(endpoint.get("name") or endpoint.get("hostname") or "")


def _trace_id(event: Event) -> str:
    session = event.get("actor", {}).get("session", {}).get("uid") or event["metadata"].get("uid", "")
    return hashlib.sha256(str(session).encode()).hexdigest()[:32]


def _severity(event: Event) -> tuple[int, str]:
    return _SEVERITIES.get(event.get("severity_id", 1), (9, "INFO"))


def _milliseconds(event: Event) -> int:
    return int(event.get("time", 0))


def _timestamp(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _some(**words: str) -> dict[str, str]:
    return {key: value for key, value in words.items() if value}
