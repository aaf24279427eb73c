"""The same conversations, held with the server and with a gateway that allows everything, get the same bytes.

What may differ, and is made equal here: OIDs and schema names of temporary objects, which each session makes for
itself, and the process id in notifications. At login the secret of BackendKeyData differs; nothing else does.
"""

from __future__ import annotations

import re
import struct

import pytest

from gateway.testing.shop import Shop
from tests.fixtures.gateway import ADMIN, RESOURCE, RunningGateway
from tests.integration.postgres.conversations import Conversation, conversations
from tests.integration.postgres.raw import Message, RawClient

FIRST_USER_OID = 16384
_TEMPORARY_SCHEMA = re.compile(rb"pg_temp_\d+")


class Session:
    """A session that holds conversations and makes answers comparable."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self._objects: dict[int, int] = {}

    def hold(self, conversation: Conversation) -> list[Message]:
        answer: list[Message] = []
        for data, waits in conversation.steps:
            self.client.send(data)
            for kind in waits:
                answer += self.client.until(kind)
        return [(kind, self._comparable(kind, body)) for kind, body in answer]

    def _comparable(self, kind: str, body: bytes) -> bytes:
        if kind == "A":
            return body[4:]
        if kind == "T":
            return self._description(bytearray(body))
        return _TEMPORARY_SCHEMA.sub(b"pg_temp", body)

    def _description(self, body: bytearray) -> bytes:
        (count,) = struct.unpack_from("!H", body)
        position = 2
        for _ in range(count):
            position = body.index(0, position) + 1
            (oid,) = struct.unpack_from("!I", body, position)
            if oid >= FIRST_USER_OID:
                struct.pack_into("!I", body, position, self._objects.setdefault(oid, len(self._objects)))
            position += 18
        return bytes(body)


@pytest.mark.parametrize(("encoding", "step"), [("UTF8", 1), ("LATIN1", 6)])
def test_every_answer_is_the_same_through_the_gateway(
    plain_gateway: RunningGateway, shop_database: Shop, encoding: str, step: int
) -> None:
    held = conversations()
    assert len(held) > 300
    held = held[::step]
    settings = {"client_encoding": encoding, "application_name": "differential", "options": "-c geqo=off"}
    with (
        RawClient.connect(
            shop_database.server.port,
            user=shop_database.user,
            password=shop_database.password,
            database=shop_database.database,
            **settings,
        ) as direct,
        RawClient.connect(
            plain_gateway.port, user=ADMIN, password=plain_gateway.token, database=RESOURCE, **settings
        ) as through,
    ):
        assert through.login.parameters == direct.login.parameters
        assert through.login.status == direct.login.status
        assert through.login.notices == direct.login.notices
        at_server, at_gateway = Session(direct), Session(through)
        different = []
        for conversation in held:
            expected, got = at_server.hold(conversation), at_gateway.hold(conversation)
            if got != expected:
                different.append((conversation.name, expected, got))
    assert not different, "\n".join(f"{name}\n  direct  {direct}\n  gateway {got}" for name, direct, got in different)
