"""Masks on documents: a ``MaskingPlan`` compiled for a shape, applied to the raw BSON of replies.

The kernel exists twice: compiled (``_documents``, used where it was built) and in plain Python
(``_documents_reference``), which is the specification and the fallback. ``QUERYGATE_PURE_PYTHON=1`` in the environment
forces the second.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import bson

from gateway.domain.masking import MaskingFunction, MaskingPlan, MaskSpec
from gateway.errors import GatewayError
from gateway_mongodb.masks import Compiler, Node, Slots
from gateway_mongodb.shapes import Place, Shape
from gateway_mongodb.tally import Tally, compile_tally
from gateway_mongodb.wire.codec import skip_elements

if TYPE_CHECKING or os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
    from gateway_mongodb._documents_reference import COMPILED, BatchMask, mask_document
else:
    try:
        from gateway_mongodb._documents import COMPILED, BatchMask, mask_document
    except ImportError:
        from gateway_mongodb._documents_reference import COMPILED, BatchMask, mask_document

__all__ = ["COMPILED", "BatchMask", "DocumentMask", "MaskedResults", "compile_mask", "mask_document", "redact_reply"]

_SAID: Final = "the database's message about this statement is hidden"


class DocumentMask:
    """How the replies to one command (and to the getMore of its cursor) are masked, and what in them is counted."""

    __slots__ = ("_node", "_result", "_slots", "tally")

    def __init__(
        self,
        node: Node | None,
        slots: Slots,
        tally: Tally | None = None,
        result: Node | None = None,
    ) -> None:
        self._node = node
        self._result = result
        self._slots = slots
        self.tally = tally

    def labels(self) -> tuple[tuple[str, ...], ...]:
        """The labels behind each count of masked values, for replies that were masked already."""
        return tuple(self._slots.labels)

    def mask_batch(self, reply: bytes) -> tuple[bytes, tuple[int, ...], int]:
        """A complete reply document masked: its new bytes, masked values, documents (or values) in it.

        A reply without values (an error, an empty acknowledgement) comes back as it is. Raises ``MaskingError`` at
        bytes that are no document, and what a masking function raises; nothing of the reply may be sent then.
        """
        return (reply, (), 0) if self._node is None else mask_document(reply, self._node)

    def results(self) -> MaskedResults | None:
        """For a cursor's results as they come in; None where a reply has to be looked at as a whole."""
        if self._result is None or self.tally is not None:
            return None
        return MaskedResults(BatchMask(self._result), self.labels)


class MaskedResults:
    """The results of one reply, masked as they come in. ``error`` is why nothing of them may be sent, if so."""

    __slots__ = ("_mask", "error", "labels")

    def __init__(self, mask: BatchMask, labels: Callable[[], tuple[tuple[str, ...], ...]]) -> None:
        self._mask = mask
        self.labels = labels
        self.error: GatewayError | None = None

    def take(self, data: bytes, position: int, end: int) -> tuple[int, int]:
        """As ``wire.stream.Take``. After an error what follows is jumped over."""
        if self.error is None:
            try:
                return self._mask.take(data, position, end)
            except GatewayError as error:
                self.error = error
        return skip_elements(data, position, end)

    def masked(self) -> tuple[list[bytes], int, tuple[int, ...]]:
        """All of them in pieces, the bytes that they have, and the values that were masked."""
        pieces = self._mask.results()
        return pieces, self._mask.size, self._mask.masked


def compile_mask(
    shape: Shape, plan: MaskingPlan, masking_function: Callable[[MaskSpec], MaskingFunction]
) -> DocumentMask | None:
    """The plan for replies of this shape; None where it hides and counts nothing, so that replies pass as they are.

    Raises ``MaskingError`` where plan and shape do not fit, or where the shape cannot be masked at all.
    """
    compiler = Compiler(plan, masking_function)
    node, tally = compiler.compile(shape), compile_tally(shape, plan)
    if node is None and tally is None:
        return None
    result = (
        None if node is None or shape.place is not Place.CURSOR else node.child(b"cursor").child(b"nextBatch").inner
    )
    return DocumentMask(node, compiler.slots, tally, result)


def redact_reply(reply: bytes) -> bytes:
    """A reply without what an error may quote: codes, labels and counts stay, texts and values go.

    The texts of errors name the values that they are about: a duplicate key, a number that cannot be parsed, a document
    that a validator refuses (``keyValue``, ``errInfo``, ``writeErrors[].errmsg``). A reply without an error comes back
    as it is. Raises ``bson.errors.InvalidBSON`` at bytes that are no document.
    """
    if b"errmsg" not in reply and b"$err" not in reply:
        return reply
    document = bson.decode(reply)
    redacted = _redacted(document)
    return reply if redacted == document else bson.encode(redacted)


_TEXTS: Final = frozenset({"errmsg", "$err", "err"})
_VALUES: Final = frozenset(
    {"keyValue", "keyPattern", "errInfo", "writeErrorDetails", "collectionUUID", "expectedValue"}
)
_ERRORS: Final = frozenset({"writeErrors", "writeConcernError", "writeConcernErrors"})


def _redacted(document: Mapping[str, Any]) -> dict[str, Any]:
    is_error = "errmsg" in document or "$err" in document
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key in _TEXTS and isinstance(value, str):
            found[key] = _SAID
        elif key in _ERRORS:
            items = value if isinstance(value, list) else [value]
            cleaned = [_redacted(item) for item in items if isinstance(item, Mapping)]
            found[key] = cleaned if isinstance(value, list) else (cleaned[0] if cleaned else {})
        elif key == "cursor" and isinstance(value, Mapping):
            # The results of bulkWrite are a cursor, errors among them.
            found[key] = {
                name: [_redacted(item) if isinstance(item, Mapping) and item.get("ok") == 0 else item for item in inner]
                if isinstance(inner, list)
                else inner
                for name, inner in value.items()
            }
        elif not is_error or key in _KEPT:
            found[key] = value
    return found


_KEPT: Final = frozenset(
    """ok code codeName errorLabels operationTime $clusterTime index idx n nModified topologyVersion signature
    $configServerState $gleStats lastCommittedOpTime electionId opTime""".split()
)
"""Fields of an error that say nothing of stored values."""
