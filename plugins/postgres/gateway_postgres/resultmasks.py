"""Which mask is on the rows of which answer.

For people under a mask no row passes before its mask is known. A plan is asked for once for each ruling and result
description and kept with the ruling; compiled for the wire types and formats at hand, it is kept there, too.
"""

from __future__ import annotations

from typing import Final

from gateway.domain.budget import CellMeter
from gateway.domain.masking import MaskingPlan
from gateway.domain.ruling import Ruling
from gateway.domain.statement import StatementFacts
from gateway.errors import GatewayError, MaskingError
from gateway.protocol.effects import AskPlan
from gateway.sql.catalog import Catalog
from gateway_postgres.core import Core
from gateway_postgres.masks import compile_row_mask, result_columns
from gateway_postgres.pipeline import Described, Pending
from gateway_postgres.rows import RowMask, mask_rows
from gateway_postgres.wire.backend import RowDescription

_MAX_PLANS: Final = 64


class Blocked(Exception):
    """The message waits for an answer; nothing of it has been processed."""


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

    def describe(self, pending: Pending, body: bytes | None) -> None:
        """Keep a description for the executions to come."""
        ruling = pending.ruling
        if ruling is None or not ruling.masked:
            return
        portal, prepared = pending.portal, pending.prepared
        if portal is not None:
            seen = portal.prepared.seen
            if seen is not None and seen.ruling is ruling and seen.body == body:
                portal.described = seen
                return
        if body is not None:
            self.plan(ruling, body, 0)
        described = Described(body, ruling)
        if prepared is not None:
            prepared.described = described
        elif portal is not None:
            portal.described = portal.prepared.seen = described

    def plan(self, ruling: Ruling, body: bytes, statement: int) -> MaskingPlan | GatewayError:
        """The plan for a description; raises ``Blocked`` after asking for it."""
        key = (statement, body)
        plan: MaskingPlan | GatewayError | None = ruling.plans.get(key)
        if plan is None:
            plan, self._failure = self._failure, None
        if plan is None:
            core = self._core
            statements = ruling.analysis.statements
            facts: StatementFacts | None = statements[statement] if statement < len(statements) else None
            catalog = core.opened.catalog()
            fields = RowDescription.decode(body).fields
            columns = result_columns(fields, facts, catalog if isinstance(catalog, Catalog) else None)
            core.ask_up = ask = AskPlan(ruling, columns, key)
            core.effects.append(ask)
            raise Blocked
        return plan

    def use(
        self, pending: Pending, ruling: Ruling, body: bytes, formats: tuple[int, ...] | None, statement: int
    ) -> None:
        """Set the pending answer's row mask, or limit it to nothing where it cannot be masked."""
        key = (statement, body, formats, self._core.tracker.codec)
        plans = ruling.plans
        mask: RowMask | GatewayError | None
        meters: tuple[CellMeter, ...] = ()
        known = plans.get(key)
        if known is not None:
            mask, meters = known
        else:
            plan = self.plan(ruling, body, statement)
            if isinstance(plan, GatewayError):
                mask = plan
            else:
                meters = plan.meters
                try:
                    function, codec = self._core.settings.masking_function, self._core.tracker.codec
                    mask = compile_row_mask(plan, RowDescription.decode(body).fields, formats, function, codec)
                except Exception as error:  # noqa: BLE001 - masking functions are plugins: what they raise is a refusal
                    mask = MaskingError(f"a masking function is not usable here: {type(error).__name__}: {error}")
                plans[key] = mask, meters
        if isinstance(mask, GatewayError):
            pending.limited = mask
            mask = None
        pending.count_and_mask(mask, meters)

    def use_for_execute(self, pending: Pending) -> None:
        """The row mask of an Execute, by the portal's own description or its statement's."""
        ruling, portal = pending.ruling, pending.portal
        described: Described | None = None
        formats: tuple[int, ...] | None = None
        if portal is not None:
            described = portal.described
            if described is None:
                described, formats = portal.prepared.described, portal.formats
                if formats is None:
                    described = None  # bound before the mask came into force: the formats are not known
        if ruling is None or described is None or described.body is None:
            pending.limited = MaskingError("rows came for a statement whose result nobody described")
            pending.mask_known = True
            return
        codec = self._core.tracker.codec
        if described.ready and described.ruling is ruling and described.codec == codec and described.formats == formats:
            pending.count_and_mask(described.mask, described.meters)
            return
        self.use(pending, ruling, described.body, formats, 0)
        if pending.limited is None:
            described.ready, described.formats, described.codec = True, formats, codec
            described.mask, described.meters = pending.mask, pending.meters


def mask_whole(data: bytes, start: int, stop: int, pending: Pending) -> bytes | None:
    """The rows under their mask; None where something is amiss, which the careful way then finds again."""
    record, mask = pending.record, pending.mask
    if record is None or mask is None:
        return None
    try:
        _, _, cells, output = mask_rows(data, start, stop, mask)
    except Exception:  # noqa: BLE001 - a masking function may raise anything; nothing of these rows is sent
        return None
    if cells:
        record.count_masked(mask.labels, cells)
    return output
