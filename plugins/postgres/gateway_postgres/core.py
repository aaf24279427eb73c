"""What both directions of an open session share: the pipeline, the state, and the effects collected so far."""

from __future__ import annotations

from gateway.domain.audit import Outcome, StatementRecord
from gateway.domain.statement import Action, opaque_analysis
from gateway.errors import GatewayError
from gateway.protocol.adapter import Opened, RelaySettings
from gateway.protocol.core import OpenCore
from gateway.protocol.effects import Close, SendDownstream
from gateway_postgres.cursors import Cursors
from gateway_postgres.errors import error_response, notice_response, sqlstate
from gateway_postgres.pipeline import Pipeline
from gateway_postgres.session import StateTracker


class Core(OpenCore):
    """The shared part of an open session."""

    __slots__ = (
        "catalog_touched",
        "catalog_uncertain",
        "cursors",
        "pipeline",
        "private_name",
        "replication_facts",
        "said",
        "tracker",
        "waiting_for_drain",
        "wrapped",
    )

    def __init__(self, settings: RelaySettings, opened: Opened, *, replication: bool) -> None:
        super().__init__(settings, opened)
        self.replication_facts = (
            opaque_analysis("REPLICATION", Action.REPLICATE, "a replication session") if replication else None
        )
        """Facts of every statement of a replication session, whose language is not SQL."""
        self.pipeline = Pipeline()
        self.cursors = Cursors()
        self.tracker = StateTracker()
        self.private_name = b"querygate " + settings.random(8).hex().encode()
        """A name of a statement and portal that no client can have made: for probes, and, since it does not exist
        otherwise, what the server is asked to execute instead of a refused portal."""
        self.said = b""
        """What the startup packet set, for an approval: the same text may do something else under it."""
        self.waiting_for_drain = False
        """The client's next message waits until nothing is pending, so that the state can be probed."""
        self.catalog_uncertain = False
        """A schema change was sent, and its transaction has not ended yet."""
        self.catalog_touched = False
        """A schema change was made, and its transaction has not ended yet."""
        self.wrapped = False
        """The transaction is the gateway's own, around one statement."""

    # --- records ------------------------------------------------------------------------------------------------

    def refuse(self, record: StatementRecord, error: GatewayError) -> bytes:
        """Record a refusal; the error message to send in the place of the database's answer."""
        self.finish(record, Outcome.REFUSED, sqlstate(error, fatal=False))
        return error_response(error, reference=record.id, fatal=False)

    def warn(self, warnings: tuple[str, ...], record: StatementRecord | None) -> bytes:
        """NOTICE messages for policies that only warn."""
        reference = "" if record is None else record.id
        return b"".join(notice_response(text, reference=reference) for text in warnings)

    # --- ends ---------------------------------------------------------------------------------------------------

    def lose_everything(self) -> None:
        """The session ends with answers outstanding: whether they happened is not known, and the audit says so."""
        self.forget_intent()
        for pending in self.pipeline.queue:
            if pending.record is not None:
                self.finish(pending.record, Outcome.LOST)
                pending.record = None
        self.pipeline.queue.clear()

    def fail(self, error: GatewayError) -> None:
        """End the session with a native FATAL error."""
        if self.closed:
            return
        self.closed = True
        self.effects.append(SendDownstream(error_response(error, reference=self.session_id, fatal=True)))
        self.lose_everything()
        self.effects.append(Close(error))
