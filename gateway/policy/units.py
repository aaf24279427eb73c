"""Durations and sizes as people write them in YAML: ``10m``, ``500ms``, ``64MiB``.

A bare number is refused for durations, since nobody can tell seconds from milliseconds by looking at it.
"""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_BYTES = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_duration(value: object) -> float:
    """Seconds of ``90s``, ``1h30m``, ``500ms``, ``0``. Raises ``ValueError`` for anything else."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if isinstance(value, str):
        text = value.strip()
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum(float(number) * _SECONDS[unit] for number, unit in parts)
        if text == "0":
            return 0.0
    raise ValueError("not a duration; write a number with ms, s, m, h or d, such as 30s or 10m")


def format_duration(seconds: float) -> str:
    """``90s``, ``500ms``: what ``parse_duration`` reads as the same time, to the millisecond."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def parse_size(value: object) -> int:
    """Bytes of ``64MiB``, ``10kB``, ``4096``. Raises ``ValueError`` for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())) is not None:
        number, unit = found.groups()
        if unit in _BYTES:
            return int(float(number) * _BYTES[unit])
    raise ValueError("not a size; write bytes or a number with KiB, MiB, GiB, kB, MB or GB, such as 64MiB")
