"""Which mask is on the rows of which result.

For people under a mask no row passes before its mask is known. A plan is asked for once for each ruling and result
description and kept with the ruling; compiled for text or binary rows, it is kept there, too.
"""

from __future__ import annotations

from typing import Final

from gateway.domain.budget import CellMeter
from gateway.domain.masking import MaskingPlan
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, StatementFacts
from gateway.errors import GatewayError, MaskingError
from gateway.protocol.effects import AskPlan
from gateway_mysql.core import Core
from gateway_mysql.masks import compile_row_mask, result_columns
from gateway_mysql.pending import Pending
from gateway_mysql.rows import RowMask
from gateway_mysql.values import width_of
from gateway_mysql.wire.messages import ColumnDefinition

_MAX_PLANS: Final = 64
_MANY_RESULTS: Final = frozenset({Action.CALL, Action.UNKNOWN})


class Blocked(Exception):
    """The packet waits for an answer; nothing of it has been processed."""


class ResultMasks:
    """Plans and row masks of one session's results."""

    __slots__ = ("_core", "_failure")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._failure: GatewayError | None = None
        """Why the plan that was asked for cannot be had; good for one result only, since the reason may pass."""

    def answered(self, ask: AskPlan, plan: MaskingPlan | GatewayError) -> None:
        """The answer to ``AskPlan``."""
        if isinstance(plan, GatewayError):
            self._failure = plan
            return
        plans = ask.ruling.plans
        if len(plans) >= _MAX_PLANS:
            plans.clear()
        plans[ask.key] = plan

    def use(self, pending: Pending, ruling: Ruling, definitions: bytes, payloads: list[bytes]) -> None:
        """Set the mask for a result with these column definitions (the packets as they came, and their payloads).

        Raises ``Blocked`` after asking for the plan, and ``GatewayError`` where the result cannot be masked.
        """
        key = (pending.index, definitions, pending.binary)
        plans = ruling.plans
        mask: RowMask | GatewayError | None
        meters: tuple[CellMeter, ...] = ()
        widths: tuple[int, ...] | None = None
        known = plans.get(key)
        if known is not None:
            mask, meters, widths = known
        else:
            flags = self._core.server_flags
            fields = [ColumnDefinition.decode(payload, flags) for payload in payloads]
            plan = self._plan(pending, ruling, (pending.index, definitions), fields)
            try:
                mask = compile_row_mask(plan, fields, self._core.settings.masking_function, binary=pending.binary)
                meters = plan.meters
                widths = tuple(width_of(field.type) for field in fields) if meters and pending.binary else None
            except Exception as error:  # noqa: BLE001 - masking functions are plugins: what they raise is a refusal
                mask = MaskingError(f"a masking function is not usable here: {type(error).__name__}: {error}")
            plans[key] = mask, meters, widths
        if isinstance(mask, GatewayError):
            raise mask
        pending.mask, pending.meters, pending.widths = mask, meters, widths

    def _plan(
        self, pending: Pending, ruling: Ruling, key: tuple[int, bytes], fields: list[ColumnDefinition]
    ) -> MaskingPlan:
        plan: MaskingPlan | None = ruling.plans.get(key)
        if plan is not None:
            return plan
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        core = self._core
        columns = result_columns(fields, facts_of(ruling, pending.index), core.opened.catalog())
        core.ask_up = ask = AskPlan(ruling, columns, key)
        core.effects.append(ask)
        raise Blocked


def facts_of(ruling: Ruling, index: int) -> StatementFacts | None:
    """The facts of the statement that the result of this number belongs to; None where that is not certain.

    Each statement of a text has one answer, but a procedure, or what nobody knows, has any number.
    """
    statements = ruling.analysis.statements
    if index >= len(statements):
        return None
    for facts in statements[:index]:
        if facts.opaque or not facts.actions.isdisjoint(_MANY_RESULTS):
            return None
    return statements[index]
