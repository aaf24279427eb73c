"""Events that are too large for a receiver, so that it gets a whole event with less in it, and not a piece of JSON.

What a receiver does with an event beyond its limit is its own: syslog servers cut it, Loki refuses it, others drop it.
The log itself has everything, under the same ``metadata.sequence``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

SHORTENED: Final = "shortened_for_sink"
"""Among ``metadata.labels`` of an event that was shortened."""
_KEPT: Final = (
    "metadata",
    "time",
    "duration",
    "class_uid",
    "category_uid",
    "activity_id",
    "activity_name",
    "type_uid",
    "severity_id",
    "status_id",
    "status_code",
    "status_detail",
    "action_id",
    "disposition_id",
    "actor",
    "user",
    "service",
    "session",
    "src_endpoint",
    "dst_endpoint",
    "database",
    "policy",
    "api",
    "app",
)
"""What is left where nothing else helps: who, where, what became of it."""
_WORD: Final = 200
"""Characters that a text keeps where nothing else helps."""


def shortened(line: bytes, most: int) -> bytes:
    """The event (a line of JSON with its line feed) in at most ``most`` bytes, if at all; as it is where it fits."""
    if len(line) <= most:
        return line
    event: dict[str, Any] = _decode(line)
    metadata = event["metadata"]
    metadata["is_truncated"] = True
    metadata.setdefault("untruncated_size", -(-len(line) // 1024))
    metadata["labels"] = [*metadata.get("labels", ()), SHORTENED]
    unmapped = event.get("unmapped", {})
    unmapped.pop("parameter_values", None)
    _cut_text(event, most)
    if len(found := _line(event)) <= most:
        return found
    for facts in unmapped.get("statements", ()):
        for name in ("columns_read", "columns_written", "columns_filtered", "functions"):
            facts.pop(name, None)
    for state in ("before", "after"):
        unmapped.get("change", {}).pop(state, None)
    _cut_text(event, most)
    if len(found := _line(event)) <= most:
        return found
    least: dict[str, Any] = {name: event[name] for name in _KEPT if name in event}
    for holder in (least.get("actor", {}), least.get("actor", {}).get("user", {})):
        holder.pop("groups", None)
        if "app_name" in holder:
            holder["app_name"] = holder["app_name"][:_WORD]
    if "query_info" in event:
        text = event["query_info"]["query_string"][:_WORD]
        least["query_info"] = event["query_info"] | {"query_string": text}
    return _line(least)


def _cut_text(event: dict[str, Any], most: int) -> None:
    """Take from the statement's text, or from the message, what is too much."""
    holder, name = (event["query_info"], "query_string") if "query_info" in event else (event, "message")
    text = holder.get(name)
    if not isinstance(text, str):
        return
    beside = len(_line(event)) - len(_encode(text))
    # How long a part of the text is in JSON is only known afterwards: halving what is too much ends soon.
    while text and beside + len(_encode(text)) > most:
        over = beside + len(_encode(text)) - most
        text = text[: max(0, min(len(text) - 1, len(text) - over // 6))] if beside < most else ""
    holder[name] = text


def _line(event: dict[str, Any]) -> bytes:
    return _encode(event) + b"\n"
