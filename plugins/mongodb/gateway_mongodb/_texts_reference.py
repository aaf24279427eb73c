"""Commands as text, from their BSON: the specification, and what runs where nothing is compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bson import json_util

from gateway_mongodb.commands import OF_ACCOUNTS, SECRET
from gateway_mongodb.wire.codec import decode, document_size, elements

COMPILED: Final = False
LEFT_OUT: Final = frozenset(
    "$db lsid $clusterTime txnNumber autocommit startTransaction apiVersion apiStrict apiDeprecationErrors".split()
)
"""What the audit's text does not repeat with every command."""
SECRETS: Final = SECRET
_JSON: Final = json_util.RELAXED_JSON_OPTIONS


def command_text(body: bytes, sequences: Sequence[tuple[str, bytes]] = ()) -> str:
    """A command as relaxed Extended JSON without its envelope; of a command with secrets what ``secret_text`` shows.

    ``sequences`` are the names and raw documents of sections of kind 1. ``RemoteProtocolError`` for malformed BSON.
    """
    name = next((name.decode("utf-8", "replace") for _, name, _, _ in elements(body, 0, len(body))), "")
    if name.lower() in SECRETS:
        return secret_text(name, decode(body))
    shown = {key: value for key, value in decode(body).items() if key not in LEFT_OUT}
    for key, data in sequences:
        shown[key] = [decode(document) for document in _split(data)]
    return json_util.dumps(shown, json_options=_JSON)


def secret_text(name: str, command: Mapping[str, object]) -> str:
    """What may be told of a command with secrets: its name; of one that makes an account also whose, and its roles."""
    account = command.get(name)
    if name.lower() not in ("createuser", "updateuser") or not isinstance(account, str):
        return json_util.dumps({name: "***"}, json_options=_JSON)
    shown = {name: account} | {key: value for key, value in command.items() if key in OF_ACCOUNTS}
    hidden = {key: "***" for key in command if key not in shown and key not in LEFT_OUT}
    return json_util.dumps(shown | hidden, json_options=_JSON)


def value_text(document: bytes) -> str:
    """The value of the only element of a document, whose name is ``v``."""
    return json_util.dumps(decode(document), json_options=_JSON)[len('{"v": ') : -1]


def _split(data: bytes) -> list[bytes]:
    found, position = [], 0
    while position < len(data):
        size = document_size(data, position, len(data))
        found.append(data[position : position + size])
        position += size
    return found
