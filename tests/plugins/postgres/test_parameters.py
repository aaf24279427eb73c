from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_postgres.parameters import BoundParameters


def bind(formats: list[int], values: list[bytes | None], results: list[int] | None = None) -> bytes:
    """A Bind message behind its names."""
    parts = [pack("!H", len(formats)), *(pack("!H", code) for code in formats), pack("!H", len(values))]
    for value in values:
        parts.append(pack("!i", -1) if value is None else pack("!i", len(value)) + value)
    parts += [pack("!H", len(results or [])), *(pack("!H", code) for code in results or [])]
    return b"".join(parts)


def types(*oids: int) -> bytes:
    return pack(f"!H{len(oids)}I", len(oids), *oids)


def test_text_is_shown_as_it_is() -> None:
    raw = bind([], [b"4711", None, "größer".encode()])
    assert BoundParameters(raw, b"", "utf-8").values() == ["4711", None, "größer"]
    assert BoundParameters(bind([0], [b"\xe9"]), b"", None).values() == ["é"]


@pytest.mark.parametrize(
    ("oid", "wire", "shown"),
    [
        (23, pack("!i", -7), -7),
        (20, pack("!q", 1 << 40), 1 << 40),
        (16, b"\1", True),
        (25, b"text", "text"),
        (701, pack("!d", 1.5), 1.5),
        (701, pack("!d", float("inf")), "inf"),
        (3802, b"\1{}", "{}"),
        (2950, bytes(16), "00000000-0000-0000-0000-000000000000"),
        (1082, pack("!i", 0), "2000-01-01"),
        (17, b"\xff", "\\xff"),
        (0, b"\1\2", "\\x0102"),
        (23, b"\1", "\\x01"),
    ],
)
def test_binary_is_shown_by_its_type_or_as_bytes(oid: int, wire: bytes, shown: object) -> None:
    assert BoundParameters(bind([1], [wire]), types(oid), "utf-8").values() == [shown]
    assert BoundParameters(bind([0, 1], [b"x", wire]), types(25, oid), "utf-8").values() == ["x", shown]
    assert BoundParameters(bind([1], [wire]), b"", "utf-8").values() == ["\\x" + wire.hex()]


def test_a_value_that_was_not_kept_ends_the_list() -> None:
    raw = bind([], [b"a", b"b" * 100, b"c"])
    assert BoundParameters(raw[:40], b"", "utf-8").values() == ["a", "… (100 bytes)"]


@given(st.binary(), st.binary())
def test_nothing_that_a_client_sends_makes_it_raise(raw: bytes, described: bytes) -> None:
    BoundParameters(raw, described, "utf-8").values()
