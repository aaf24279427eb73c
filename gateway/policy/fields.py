"""Durations and sizes as fields of documents; ``gateway.policy.units`` reads and writes them.

A module of its own, since commands that only print a duration need no pydantic.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from gateway.policy.units import format_duration, parse_duration, parse_size

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "description": "a number with ms, s, m, h or d", "examples": ["30s", "10m"]}),
]
"""Seconds, written as ``30s``."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": ["string", "integer"], "description": "bytes", "examples": ["64MiB", 4096]}),
]
"""Bytes, written as ``64MiB``."""
