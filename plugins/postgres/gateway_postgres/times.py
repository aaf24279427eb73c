"""Wire forms of PostgreSQL's dates and times (ISO DateStyle in text; days or microseconds since 2000 in binary).

Every function raises ``ValueError`` or ``OverflowError`` for what it does not cover: infinity, BC, years above 9999,
24:00:00, and text in another DateStyle.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

_DATE = r"(\d{4})-(\d\d)-(\d\d)"
_TIME = r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?"
_OFFSET = r"([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?"
_DATE_PATTERN = re.compile(_DATE, re.ASCII)
_TIME_PATTERN = re.compile(_TIME, re.ASCII)
_TIMESTAMP_PATTERN = re.compile(f"{_DATE} {_TIME}", re.ASCII)
_TIMESTAMPTZ_PATTERN = re.compile(f"{_DATE} {_TIME}{_OFFSET}", re.ASCII)

_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - timestamp without time zone has none
_EPOCH_UTC: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(2000, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = 86_400_000_000
"""Microseconds."""


def date_from_text(text: str) -> date:
    """date."""
    return date(*map(int, _match(_DATE_PATTERN, text).groups()))


def date_to_text(value: date) -> str:
    """date."""
    return value.isoformat()


def date_from_binary(wire: bytes) -> date:
    """date: days."""
    return date.fromordinal(_EPOCH_DAY + _integer(wire, 4))


def date_to_binary(value: date) -> bytes:
    """date: days."""
    return (value.toordinal() - _EPOCH_DAY).to_bytes(4, "big", signed=True)


def time_from_text(text: str) -> time:
    """time without time zone."""
    return _time(_match(_TIME_PATTERN, text).groups())


def time_to_text(value: time) -> str:
    """time without time zone; a zone that the value has is left out."""
    return _clock(value)


def time_from_binary(wire: bytes) -> time:
    """time without time zone: microseconds since midnight."""
    microseconds = _integer(wire, 8)
    if not 0 <= microseconds < _DAY:
        raise ValueError("no time of a day")
    return (_EPOCH + timedelta(microseconds=microseconds)).time()


def time_to_binary(value: time) -> bytes:
    """time without time zone: microseconds since midnight."""
    since = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    return (since // _MICROSECOND).to_bytes(8, "big", signed=True)


def timestamp_from_text(text: str) -> datetime:
    """timestamp without time zone."""
    groups = _match(_TIMESTAMP_PATTERN, text).groups()
    return datetime.combine(date(*map(int, groups[:3])), _time(groups[3:]))


def timestamp_to_text(value: datetime) -> str:
    """timestamp without time zone; a zone that the value has is left out."""
    return f"{value.date().isoformat()} {_clock(value)}"


def timestamp_from_binary(wire: bytes) -> datetime:
    """timestamp without time zone: microseconds."""
    return _EPOCH + timedelta(microseconds=_integer(wire, 8))


def timestamp_to_binary(value: datetime) -> bytes:
    """timestamp without time zone: microseconds."""
    return ((value.replace(tzinfo=None) - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True)


def timestamptz_from_text(text: str) -> datetime:
    """timestamp with time zone; keeps the offset that the server wrote, which is the session's."""
    groups = _match(_TIMESTAMPTZ_PATTERN, text).groups()
    hours, minutes, seconds = (int(part or 0) for part in groups[8:])
    offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    zone = timezone(-offset if groups[7] == "-" else offset)
    return datetime.combine(date(*map(int, groups[:3])), _time(groups[3:7]), zone)


def timestamptz_to_text(value: datetime) -> str:
    """timestamp with time zone; a value without one is UTC."""
    total = int((value.utcoffset() or timedelta()).total_seconds())
    minutes, seconds = divmod(abs(total), 60)
    hours, minutes = divmod(minutes, 60)
    tail = f":{minutes:02d}:{seconds:02d}" if seconds else f":{minutes:02d}" if minutes else ""
    return f"{timestamp_to_text(value)}{'-' if total < 0 else '+'}{hours:02d}{tail}"


def timestamptz_from_binary(wire: bytes) -> datetime:
    """timestamp with time zone: microseconds, UTC."""
    return _EPOCH_UTC + timedelta(microseconds=_integer(wire, 8))


def timestamptz_to_binary(value: datetime) -> bytes:
    """timestamp with time zone: microseconds; a value without one is UTC."""
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return ((aware - _EPOCH_UTC) // _MICROSECOND).to_bytes(8, "big", signed=True)


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError("not in ISO style")
    return found


def _integer(wire: bytes, size: int) -> int:
    if len(wire) != size:
        raise ValueError("wrong size")
    return int.from_bytes(wire, "big", signed=True)


def _time(groups: tuple[str | None, ...]) -> time:
    hour, minute, second = (int(part or 0) for part in groups[:3])
    return time(hour, minute, second, int((groups[3] or "").ljust(6, "0")))


def _clock(value: time | datetime) -> str:
    fraction = f"{value.microsecond:06d}".rstrip("0")
    return f"{value:%H:%M:%S}{'.' + fraction if fraction else ''}"
