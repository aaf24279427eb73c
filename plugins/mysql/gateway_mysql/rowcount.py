"""ROW_COUNT() after a command of the gateway's own, which the server counts instead of the client's last statement.

Where a text asks for it, the call is put into another one that gives what the server would have said: after the
gateway's own commands it says 0 or -1, so ``GREATEST(ROW_COUNT(),5)`` is 5, in the same type. Columns that are named
after the call get their name back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.sql.lexer import Kind, LexError, Token
from gateway.sql.mysql.lexer import tokenize
from gateway.sql.mysql.splitting import split
from gateway.sql.state import MySqlResolution
from gateway_mysql.wire.capabilities import Capability
from gateway_mysql.wire.messages import ColumnDefinition
from gateway_mysql.wire.packets import HEADER

Labels = tuple[tuple[bytes, bytes], ...]
"""What column names have to be changed back: as the server was told, and as the client wrote it."""

_MENTIONED: Final = re.compile(rb"row_count", re.IGNORECASE)
_BEGINNINGS: Final = frozenset({"select", "set", "insert", "replace", "update", "delete", "do", "with", "values", "("})
"""Of statements in which the call is one of the statement's own, not of a body that runs later or again and again."""


def asks(text: bytes) -> bool:
    """Whether a text may ask for the number."""
    return _MENTIONED.search(text) is not None


def with_count(text: str, state: MySqlResolution, count: int) -> tuple[str, Labels] | None:
    """The text with the count of the client's last statement in it; None where the text is better left alone.

    Only the first statement of the text is changed: the others follow one of the client's own.
    """
    try:
        statements = split(tokenize(text, state))
    except LexError:
        return None
    if not statements or statements[0][0].value not in _BEGINNINGS:
        return None
    tokens = statements[0]
    pieces: list[str] = []
    labels: dict[bytes, bytes] = {}
    position = 0
    for index in range(len(tokens) - 2):
        if _is_call(tokens, index):
            start, stop = tokens[index].start, tokens[index + 2].start + 1
            call = text[start:stop]
            changed = f"{'LEAST' if count < 0 else 'GREATEST'}({call},{count})"
            pieces += [text[position:start], changed]
            labels[changed.encode()] = call.encode()
            position = stop
    if not pieces:
        return None
    return "".join(pieces) + text[position:], tuple(labels.items())


def _is_call(tokens: Sequence[Token], index: int) -> bool:
    name, opening, closing = tokens[index : index + 3]
    if name.kind is not Kind.WORD or name.value != "row_count" or (opening.value, closing.value) != ("(", ")"):
        return False
    before = tokens[index - 1] if index else None
    return before is None or before.kind is not Kind.PUNCTUATION or before.value != "."


def relabelled(packets: bytes, labels: Labels, capabilities: Capability) -> bytes:
    """Column definitions with the names that the client expects."""
    output = []
    position = 0
    while position < len(packets):
        stop = position + HEADER + int.from_bytes(packets[position : position + 3], "little")
        output.append(_relabelled(packets[position:stop], labels, capabilities))
        position = stop
    return b"".join(output)


def _relabelled(packet: bytes, labels: Labels, capabilities: Capability) -> bytes:
    if not any(told in packet for told, _ in labels):
        return packet
    column = ColumnDefinition.decode(packet[HEADER:], capabilities)
    name = column.name
    for told, written in labels:
        name = name.replace(told, written)
    payload = replace(column, name=name).encode()
    return len(payload).to_bytes(3, "little") + packet[3:HEADER] + payload
