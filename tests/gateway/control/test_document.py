"""Snapshots as documents: canonical bytes, names, and what is not one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.control.document import FORMAT, SECTIONS, SnapshotDocument
from gateway.errors import ConfigurationError

NOW = datetime(2026, 11, 25, 9, 30, 0, 5, tzinfo=UTC)
SHOP: dict[str, object] = {"name": "shop", "protocol": "postgres", "address": "127.0.0.1:5432"}
CRM: dict[str, object] = {"name": "crm", "protocol": "mongodb", "address": "127.0.0.1:27017"}


def build(number: int = 1, created: datetime = NOW, **sections: list[dict[str, object]]) -> SnapshotDocument:
    return SnapshotDocument.build(number=number, created=created, sections=sections)


def test_equal_content_gives_equal_bytes_whatever_the_order() -> None:
    one = build(resources=[SHOP, CRM])
    other = build(resources=[dict(reversed(CRM.items())), SHOP], created=NOW.astimezone(timezone(timedelta(hours=2))))
    assert one.body == other.body
    assert one.name == other.name


def test_policies_keep_their_order() -> None:
    first: dict[str, object] = {"name": "b"}
    second: dict[str, object] = {"name": "a"}
    assert build(policies=[first, second]).name != build(policies=[second, first]).name


def test_number_and_time_change_the_name_and_not_the_content() -> None:
    one, other = build(1, resources=[SHOP]), build(2, NOW + timedelta(hours=1), resources=[SHOP])
    assert one.name != other.name
    assert one.content == other.content


def test_what_is_built_can_be_parsed() -> None:
    document = build(7, resources=[SHOP], principals=[{"name": "ana@example.com", "groups": ["é"]}])
    parsed = SnapshotDocument.parse(document.body)
    assert (parsed.number, parsed.name, parsed.sections) == (7, document.name, document.sections)
    assert parsed.created == NOW.replace(microsecond=0)
    assert set(parsed.sections) == set(SECTIONS)


@pytest.mark.parametrize(
    "change",
    [
        {"format": FORMAT + 1},
        {"number": 0},
        {"number": "1"},
        {"created": "yesterday"},
        {"sections": {"resources": []}},
        {"sections": {**{name: [] for name in SECTIONS}, "resources": {}}},
        {"sections": {**{name: [] for name in SECTIONS}, "resources": ["shop"]}},
        {"extra": 1},
    ],
)
def test_refuses_what_is_none(change: dict[str, object]) -> None:
    value = json.loads(build().body) | change
    with pytest.raises(ConfigurationError):
        SnapshotDocument.parse(json.dumps(value).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_refuses_what_is_no_json_object(data: bytes) -> None:
    with pytest.raises(ConfigurationError, match="not a snapshot"):
        SnapshotDocument.parse(data)


def test_refuses_to_build_nonsense() -> None:
    for number, created in ((0, NOW), (1, datetime(2026, 1, 1))):  # noqa: DTZ001 - that is the point
        with pytest.raises(ConfigurationError):
            SnapshotDocument.build(number=number, created=created, sections={})
    with pytest.raises(ConfigurationError, match="no section listeners"):
        build(listeners=[{}])
    with pytest.raises(ConfigurationError, match="no JSON form"):
        build(resources=[{"name": "x", "port": float("nan")}])
