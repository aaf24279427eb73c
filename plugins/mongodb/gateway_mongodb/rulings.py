"""What was decided for a command and how its replies are masked: known, or asked of the host."""

from __future__ import annotations

from typing import Any, Final

from gateway.domain.masking import MaskingPlan
from gateway.domain.ruling import Ruling
from gateway.errors import AccessDenied, LocalProtocolError, MaskingError
from gateway.protocol.adapter import Opened
from gateway.protocol.effects import AskPlan, AskRuling
from gateway_mongodb.claims import ArgumentRefused
from gateway_mongodb.core import Core
from gateway_mongodb.cursors import Cursor
from gateway_mongodb.documents import compile_mask
from gateway_mongodb.keys import names_twice
from gateway_mongodb.requests import Request
from gateway_mongodb.shapes import result_columns
from gateway_mongodb.statements import analyse_command, cache_key, result_shape
from gateway_mongodb.wire.codec import decode

_STATE: Final = None
"""Facts of a command depend on no state of its session."""


class CursorUnknown(AccessDenied):
    """getMore for a cursor that is exhausted, forgotten, or somebody else's: the three are not told apart."""

    client_message = "cursor not found"


def known_ruling(core: Core, opened: Opened, request: Request) -> Ruling | None:
    """The ruling, if it is known; otherwise it is asked for."""
    book = opened.rulings
    if request.name == "getMore":
        cursor = _cursor(core, request)
        request.cursor = cursor
        request.mask = cursor.mask
        if cursor.ruling.epoch is book.epoch and cursor.ruling.epoch is not None:
            request.masks_known = True
            return cursor.ruling
        command = decode(cursor.body)
        facts = analyse_command(command, cursor.database, opened.catalog())
        core.put(AskRuling(cursor.text, _STATE, None, facts))
        return None
    sequences = request.sequences()
    key = cache_key(request.msg.body, sequences)
    if key is not None:
        ruling = book.find(_STATE, key)
        if ruling is not None:
            return ruling
    if names_twice(request.msg.body, sequences):
        raise ArgumentRefused("a document of the command has two fields of one name, or is malformed")
    command = request.command()
    facts = analyse_command(command, request.scan.database, opened.catalog())
    core.put(AskRuling(request.described(), _STATE, key, facts, template=key is not None))
    return None


def known_masks(core: Core, opened: Opened, request: Request, ruling: Ruling) -> bool:
    """Find out how the replies are masked; False while that is being asked."""
    plans = ruling.plans
    if request.cursor is not None:
        command, database = decode(request.cursor.body), request.cursor.database
    elif _STATE in plans:
        request.mask, request.masks_known = plans[_STATE], True
        return True
    else:
        command, database = request.command(), request.scan.database
    shape = result_shape(command, database, opened.catalog())
    request.asked_plan = shape
    core.put(AskPlan(ruling, result_columns(shape), _STATE))
    return False


def take_ruling(request: Request, result: object) -> None:
    """The host has decided."""
    if not isinstance(result, Ruling):
        raise LocalProtocolError(f"{type(result).__name__} is no ruling")
    request.ruling = result
    if request.cursor is not None:
        request.cursor.ruling = result
        request.masks_known = False


def take_plan(core: Core, request: Request, ruling: Ruling, result: object) -> None:
    """The host says how the replies are masked."""
    if not isinstance(result, MaskingPlan):
        raise MaskingError("there is no masking plan")
    shape: Any = request.asked_plan
    mask = compile_mask(shape, result, core.settings.masking_function)
    request.mask, request.masks_known = mask, True
    if request.cursor is not None:
        request.cursor.mask = mask
    else:
        ruling.plans[_STATE] = mask


def _cursor(core: Core, request: Request) -> Cursor:
    cursor_id = request.scan.value
    found = None
    if isinstance(cursor_id, int):
        found = core.shared.cursors.find(core.resource, cursor_id, core.owner)
    if found is None:
        raise CursorUnknown("getMore for a cursor that is not known to be the client's own")
    return found
