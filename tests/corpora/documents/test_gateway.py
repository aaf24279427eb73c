"""The corpora through a gateway: what a client really gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from gateway.testing.shop_documents import DocumentShop
from tests.corpora.documents import vault
from tests.corpora.documents.attacks import attacks
from tests.corpora.documents.compare import difference
from tests.corpora.documents.direct import Answer
from tests.corpora.documents.generated import COLLECTIONS, Generator
from tests.corpora.documents.ordinary import ordinary
from tests.corpora.documents.test_commands import Stage
from tests.fixtures.mongodb import ANALYST, RESOURCE, MongoGateway, StartMongoGateway

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
_REFUSALS = {13, 17, 115, 8000, 40324, 40415}


@dataclass(slots=True)
class Through:
    """The analyst's client, and the server's own."""

    gateway: MongoGateway
    client: MongoClient[Any]
    stage: Stage

    def replies(self, command: Mapping[str, Any], database: str) -> list[bytes]:
        """Every reply, errors included."""
        found: list[bytes] = []
        for _ in range(20):
            try:
                raw = bytes(self.client[database].command(dict(command), codec_options=_RAW).raw)
            except OperationFailure as error:
                found.append(bson.encode(dict(error.details or {})))
                return found
            except PyMongoError as error:
                found.append(bson.encode({"broken": str(error)}))
                return found
            found.append(raw)
            cursor = bson.decode(raw).get("cursor")
            if not isinstance(cursor, Mapping) or not cursor.get("id") or "$changeStream" in str(command)[:200]:
                return found
            command = {"getMore": cursor["id"], "collection": cursor["ns"].partition(".")[2]}
        return found


@pytest.fixture(scope="module")
def through(mongo_shop: DocumentShop, start_mongo_gateway: StartMongoGateway) -> Iterator[Through]:
    with mongo_shop.server.client() as own:
        stage = Stage(own)

        def change(config: dict[str, Any]) -> None:
            config["classifications"] = [
                {"resource": RESOURCE, "label": label, "paths": list(paths)} for label, paths in vault.LABELLED.items()
            ]
            allowed = next(policy for policy in config["policies"] if policy["name"] == "others-may-work")
            allowed["match"]["actions"] = ["*"]
            mask = next(policy for policy in config["policies"] if policy["effect"] == "mask")
            mask["match"]["labels"] = ["pii.*", "pci.*", "hr.*"]

        gateway = start_mongo_gateway(mongo_shop, change=change)
        with gateway.client(ANALYST) as client:
            yield Through(gateway, client, stage)


def test_no_attack_gets_a_labelled_value_through_the_gateway(through: Through) -> None:
    leaks = []
    for attack in attacks():
        sent = b""
        for step in attack.steps:
            sent += bson.encode(step)
            for reply in through.replies(step, attack.database):
                if found := vault.search(reply, sent):
                    leaks.append((attack.name, found))
        if any(through.stage.changed(step) for step in attack.steps):
            through.stage.reset()
    assert leaks == []


def test_ordinary_commands_come_through_the_gateway_as_they_are(through: Through) -> None:
    different = []
    for command in ordinary():
        name = next(iter(command))
        if name in ("hello", "connectionStatus", "whatsmyuri", "buildInfo", "listCommands", "killCursors"):
            continue  # what the gateway says of itself is another matter
        got = through.replies(command, vault.DATABASE)
        direct = through.stage.direct.run(command)
        stripped = tuple(_without_clocks(reply) for reply in got)
        originals = tuple(_without_clocks(reply) for reply in direct.originals)
        broken = any(bson.decode(reply).get("ok") != 1 for reply in got)
        answer = Answer(stripped, originals=originals, error=broken)
        if len(stripped) != len(originals) or (found := difference(answer)):
            different.append((str(command)[:160], found if len(stripped) == len(originals) else "other batches"))
    assert len(different) <= 0.02 * len(ordinary()), different


def _without_clocks(reply: bytes) -> bytes:
    document = bson.decode(reply)
    for name in ("$clusterTime", "operationTime"):
        document.pop(name, None)
    if isinstance(document.get("cursor"), dict):
        document["cursor"].pop("id", None)
    text = str(document)
    if "executionTimeMillis" in text or "serverInfo" in text or "operationTime" in text:
        return bson.encode({"ok": document.get("ok")})  # explain: never twice the same
    if "wiredTiger" in text or "fsUsedSize" in text:
        return bson.encode({"ok": document.get("ok")})
    return bson.encode(document)


def test_generated_pipelines_through_the_gateway(through: Through) -> None:
    leaks = []
    for seed in range(50_000, 50_150):
        generator = Generator(seed)
        command = {"aggregate": generator.rng.choice(COLLECTIONS), "pipeline": generator.pipeline(), "cursor": {}}
        for reply in through.replies(command, vault.DATABASE):
            if found := vault.search(reply):
                leaks.append((seed, found))
    assert leaks == []


def test_a_field_that_occurs_twice_is_refused(through: Through) -> None:
    twice = bson.encode({"x": "$tax"})[4:-1] + bson.encode({"x": "$name"})[4:-1]
    document = (len(twice) + 5).to_bytes(4, "little") + twice + b"\0"
    command = {
        "aggregate": "customers",
        "pipeline": [{"$group": RawBSONDocument(_with(bson.encode({"_id": None}), document))}],
        "cursor": {},
    }
    with pytest.raises(OperationFailure):
        through.client[vault.DATABASE].command(command)


def _with(body: bytes, extra: bytes) -> bytes:
    inner = body[4:-1] + extra[4:-1]
    return (len(inner) + 5).to_bytes(4, "little") + inner + b"\0"
