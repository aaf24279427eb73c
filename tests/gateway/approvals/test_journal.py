"""What the audit holds of a request for approval."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

from gateway.approvals.journal import ApprovalJournal
from gateway.domain.approval import ApprovalRequest, ApprovalState, RequestKind, Subject
from gateway.domain.audit import AdminRecord


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[AdminRecord] = []

    def record_admin(self, record: AdminRecord) -> None:
        self.records.append(record)

    async def commit(self) -> None: ...


def test_what_a_request_is_bound_to_can_be_told_apart_and_not_be_tried_out() -> None:
    request = ApprovalRequest(
        id="r-1",
        kind=RequestKind.STATEMENT,
        state=ApprovalState.PENDING,
        subject=Subject("ana", "human"),
        resource="shop",
        environment="production",
        protocol="postgres",
        database="shop",
        rules=(),
        snapshot="1",
        created=0.0,
        expires=60.0,
        binding="digest-of-a-text",
    )
    log, other = Log(), Log()
    for item in (request, request, replace(request, binding="digest-of-another")):
        asyncio.run(ApprovalJournal(log, clock=lambda: 1, key=b"k").record("requested", item, "ana"))
    asyncio.run(ApprovalJournal(other, clock=lambda: 1, key=b"another key").record("requested", request, "ana"))
    shown = [record.after["binding"] for record in (*log.records, *other.records) if record.after is not None]
    assert shown[0] == shown[1]
    assert len(set(shown)) == 3
    assert "digest-of" not in json.dumps([record.after for record in log.records])
