"""The shapes in which events are sent, held against what the engines document, and OTLP against its own schema."""

from __future__ import annotations

import json

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.audit.shipping import forms
from gateway.audit.shipping.forms import Place
from tests.gateway.audit.shipping.events import event

PLACE = Place("gw-1")
LINES = [event(1), event(2)]


def test_splunk_gets_one_envelope_after_the_other():
    decoder = json.JSONDecoder()
    text = forms.splunk(LINES, PLACE, index="audit").decode()
    first, end = decoder.raw_decode(text)
    second, end = decoder.raw_decode(text, end)
    assert end == len(text)
    assert first["time"] == 1_700_000_000.001
    assert (first["host"], first["source"], first["index"]) == ("gw-1", "querygate", "audit")
    assert first["event"] == json.loads(LINES[0])
    assert second["event"]["metadata"]["sequence"] == 2


def test_loki_gets_a_stream_for_each_protocol_and_resource_with_times_in_nanoseconds():
    other = event(3, dst_endpoint={"name": "crm", "svc_name": "mongodb"})
    pushed = json.loads(forms.loki([*LINES, other], PLACE, labels={"team": "dba"}))
    streams = {stream["stream"]["resource"]: stream for stream in pushed["streams"]}
    assert streams["shop-prod"]["stream"] == {
        "service_name": "querygate",
        "host": "gw-1",
        "team": "dba",
        "protocol": "postgres",
        "resource": "shop-prod",
    }
    assert [value[0] for value in streams["shop-prod"]["values"]] == ["1700000000001000000", "1700000000002000000"]
    assert json.loads(streams["crm"]["values"][0][1]) == json.loads(other)


def test_datadog_gets_messages_with_status_and_tags():
    (first, _) = json.loads(forms.datadog([event(1, severity_id=3), event(2)], PLACE, tags={"env": "prod"}))
    assert first["ddsource"] == "querygate"
    assert (first["ddtags"], first["status"], first["hostname"]) == ("env:prod", "warn", "gw-1")
    assert json.loads(first["message"])["metadata"]["sequence"] == 1


def test_otlp_logs_are_what_the_protocols_own_schema_reads():
    request = Parse(
        forms.otlp_logs(LINES, PLACE, attributes={"deployment.environment.name": "production"}),
        ExportLogsServiceRequest(),
    )
    (resource,) = request.resource_logs
    assert {a.key: a.value.string_value for a in resource.resource.attributes} == {
        "service.name": "querygate",
        "host.name": "gw-1",
        "deployment.environment.name": "production",
    }
    first, second = resource.scope_logs[0].log_records
    assert first.time_unix_nano == 1_700_000_000_001_000_000
    assert first.event_name == "querygate.statement"
    assert json.loads(first.body.string_value) == json.loads(LINES[0])
    attributes = {a.key: a.value for a in first.attributes}
    assert attributes["db.system.name"].string_value == "postgresql"
    assert attributes["db.query.summary"].string_value == "SELECT public.customers"
    assert attributes["db.response.returned_rows"].int_value == 3
    assert attributes["user.name"].string_value == "ana@example.com"
    assert "db.query.text" not in attributes, "literals stay in the event, under the audit's own rules"
    assert first.trace_id == second.trace_id


def test_otlp_traces_hold_statements_only_a_trace_for_a_session():
    login = event(3, metadata={"uid": "s1.login", "event_code": "session.login"})
    failed = event(4, status_id=2, status_detail="failure", actor={"user": {}, "session": {"uid": "s2"}})
    body = forms.otlp_traces([event(1), login, failed], PLACE, attributes={})
    assert body is not None
    request = Parse(body, ExportTraceServiceRequest())
    good, bad = request.resource_spans[0].scope_spans[0].spans
    assert good.name == "SELECT public.customers"
    assert good.end_time_unix_nano - good.start_time_unix_nano == 2_500_000
    assert (len(good.trace_id), len(good.span_id)) == (24, 12), "as JSON says hex and protobuf reads base64"
    assert good.trace_id != bad.trace_id
    assert bad.status.code == 2
    told = {a.key: a.value.string_value or a.value.int_value for a in good.attributes}
    assert (
        told
        | {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.operation.name": "SELECT",
            "db.collection.name": "public.customers",
            "db.query.summary": "SELECT public.customers",
            "db.query.text": "SELECT ?",
            "db.response.returned_rows": 3,
            "server.address": "db.example.com",
            "server.port": 5432,
            "client.address": "127.0.0.1",
            "querygate.resource": "shop-prod",
        }
        == told
    ), "the stable names of the conventions, and a text without literals"
    assert "error.type" not in told
    assert {a.key: a.value.string_value for a in bad.attributes}["error.type"] == "failure"
    assert forms.otlp_traces([login], PLACE, attributes={}) is None


def test_a_syslog_message_says_its_size_in_bytes():
    message = forms.syslog(event(1, severity_id=3), PLACE, 42)
    size, _, rest = message.partition(b" ")
    assert len(rest) == int(size)
    head, _, text = rest.decode().partition("\ufeff")
    assert head == "<108>1 2023-11-14T22:13:20.001Z gw-1 querygate 42 statement - "
    assert json.loads(text)["query_info"]["query_string"] == "SELECT 'ä\u2028'"


@pytest.mark.parametrize(
    ("protocol", "text", "shown"),
    [
        ("postgres", "SELECT id FROM t WHERE a = 'x' AND b = 5 -- c", "SELECT id FROM t WHERE a = ? AND b = ?  "),
        ("mysql", 'SELECT id FROM t WHERE a = "x"', "SELECT id FROM t WHERE a = ?"),
        ("postgres", "SELECT 'unfinished", None),
        ("postgres", "SELECT 1" + " " * 20_000, None),
        ("mongodb", '{"find": "t", "filter": {"a": "x"}}', None),
    ],
)
def test_a_span_has_the_text_only_where_it_is_certain_to_hold_no_literal(protocol, text, shown):
    line = event(1, query_info={"query_string": text, "uid": "f"}, dst_endpoint={"name": "r", "svc_name": protocol})
    body = forms.otlp_traces([line], PLACE, attributes={})
    assert body is not None
    (span,) = json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    told = {item["key"]: item["value"].get("stringValue") for item in span["attributes"]}
    assert told.get("db.query.text") == shown
