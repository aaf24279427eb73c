"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest

from gateway.policy.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("10m", 600.0),
        ("500ms", 0.5),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("2d", 172800.0),
        (0, 0.0),
        ("0", 0.0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [30, 30.0, "30", "30 s", "s", "", "-1s", "1y", "1s 2m x", True, False, None, ["1s"]])
def test_not_durations(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 67108864), ("10kB", 10000), ("1.5 GiB", 1610612736), (4096, 4096), ("4096", 4096), ("0B", 0)],
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["64M", "64mib", "MiB", "-1", -1, 1.5, True, None, ""])
def test_not_sizes(text: object) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)
