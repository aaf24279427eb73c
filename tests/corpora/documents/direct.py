"""The facts, the guard and the masks applied to the replies of a direct connection.

What the relay does, without a relay: interpret, refuse, send, mask. So the corpora do not depend on a wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson
import bson.errors
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from gateway.domain.masking import MaskSpec
from gateway.domain.statement import ColumnRef, ObjectRef
from gateway.masking.functions import BUILTIN_FUNCTIONS, MaskingFunctions
from gateway.masking.guard import guard
from gateway.masking.keys import MaskingKeys
from gateway.masking.plan import plan
from gateway.policy.labels import Classification, LabelIndex
from gateway_mongodb.catalog import MongoCatalog, read_catalog
from gateway_mongodb.documents import DocumentMask, compile_mask, redact_reply
from gateway_mongodb.shapes import result_columns
from gateway_mongodb.statements import analyse_command, result_shape
from tests.corpora.documents import vault

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
REDACT = frozenset({MaskSpec("redact")})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client would get: ``reply`` bytes of every message; ``refusal`` where the database never saw it."""

    replies: tuple[bytes, ...] = ()
    refusal: str = ""
    error: bool = False
    masked: int = 0
    originals: tuple[bytes, ...] = ()

    @property
    def documents(self) -> list[Any]:
        return [bson.decode(reply) for reply in self.replies]


def read_the_catalog(client: MongoClient[Any]) -> MongoCatalog:
    """The catalog, read over a driver."""
    conversation = read_catalog()
    database, command = next(conversation)
    while True:
        try:
            reply: Mapping[str, Any] = client[database].command(command)
        except OperationFailure as error:
            reply = error.details or {"ok": 0}
        try:
            database, command = conversation.send(reply)
        except StopIteration as stop:
            found: MongoCatalog = stop.value
            return found


@dataclass(eq=False)
class Direct:
    """Somebody under a mask, on a direct connection."""

    client: MongoClient[Any]
    labelled: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: vault.LABELLED)
    masks: Mapping[str, frozenset[MaskSpec]] = field(default_factory=dict)
    inference: bool = True

    def __post_init__(self) -> None:
        self.index = LabelIndex(
            Classification.parse(resource="r", label=label, pattern=pattern, path=True)
            for label, patterns in self.labelled.items()
            for pattern in patterns
        )
        self.function = MaskingFunctions(BUILTIN_FUNCTIONS, MaskingKeys(b"k" * 32))
        self.masks = self.masks or dict.fromkeys(self.labelled, REDACT)
        self.catalog = read_the_catalog(self.client)

    def refresh(self) -> None:
        self.catalog = read_the_catalog(self.client)

    def refusal(self, command: Mapping[str, Any], database: str) -> str:
        """Why the gateway would not let it through; empty where it would."""
        analysis = analyse_command(command, database, self.catalog)
        masked = frozenset(self.masks)
        for facts in analysis.statements:
            reason = guard(
                facts,
                labels_of=self.index.labels_of,
                masked=masked,
                inference=self.inference,
                has_masked_columns=lambda target: self._holds(target, masked),
            )
            if reason is not None:
                return reason
        return ""

    def _holds(self, target: ObjectRef, masked: frozenset[str]) -> bool:
        if target.kind not in ("table", "view"):
            return True
        return bool(self.index.labels_of(ColumnRef(target.schema, target.name, "*")) & masked)

    def run(self, command: Mapping[str, Any], database: str = vault.DATABASE, *, session: Any = None) -> Answer:
        """The answer to one command, with all batches of its cursor."""
        raw = bson.encode(command)
        parsed = RawBSONDocument(raw)
        refusal = self.refusal(parsed, database)
        if refusal:
            return Answer(refusal=refusal)
        mask = self._mask(parsed, database)
        replies, originals, masked, error = [], [], 0, False
        for reply in self._replies(command, database, session):
            originals.append(reply)
            error = error or bson.decode(reply).get("ok") != 1
            if mask is not None:
                reply, cells, _ = mask.mask_batch(reply)
                masked += sum(cells)
            replies.append(redact_reply(reply))
        return Answer(tuple(replies), error=error, masked=masked, originals=tuple(originals))

    def mask_of(self, command: Mapping[str, Any], database: str = vault.DATABASE) -> DocumentMask:
        """The mask of a command's replies, for those that are not fetched here."""
        found = self._mask(RawBSONDocument(bson.encode(command)), database)
        assert found is not None
        return found

    def _mask(self, command: Mapping[str, Any], database: str) -> DocumentMask | None:
        shape = result_shape(command, database, self.catalog)
        planned = plan(
            result_columns(shape),
            self.masks,
            labels_of=self.index.labels_of,
            function=self.function,
            paths_of=self.index.paths,
        )
        return compile_mask(shape, planned, self.function)

    def _replies(self, command: Mapping[str, Any], database: str, session: Any) -> Iterator[bytes]:
        for _ in range(20):
            try:
                reply = bytes(self.client[database].command(dict(command), codec_options=_RAW, session=session).raw)
            except OperationFailure as error:
                yield bson.encode(dict(error.details or {"ok": 0.0}))
                return
            yield bytes(reply)
            cursor = bson.decode(reply).get("cursor")
            if not isinstance(cursor, Mapping) or not cursor.get("id") or "awaitData" in command:
                return
            if cursor["ns"].endswith("$cmd.aggregate") or "$changeStream" in str(command)[:200]:
                return
            name = cursor["ns"].partition(".")[2]
            command = {"getMore": cursor["id"], "collection": name}
