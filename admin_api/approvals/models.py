"""What the API shows of requests for approval, and what it takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.approvals.rules import missing
from gateway.domain.approval import ApprovalRequest, ApprovalState, GrantScope, RequestKind


class RuleOut(BaseModel):
    """What one policy asks for."""

    policy: str = Field(examples=["schema-change-needs-a-human"])
    approvers: list[str] = Field(description="Groups whose members may decide", examples=[["dba"]])
    count: int = Field(examples=[1])
    scopes: list[GrantScope] = Field(examples=[["once"]])
    max_window_seconds: float = Field(examples=[3600.0])
    break_glass: list[str] = Field(description="Groups whose members may approve their own", examples=[[]])


class StatementOut(BaseModel):
    """The statement, and what is known of it."""

    text: str = Field(examples=["ALTER TABLE orders ADD COLUMN note text"])
    normalised: str
    fingerprint: str
    actions: list[str] = Field(examples=[["alter"]])
    reads: list[str]
    writes: list[str] = Field(examples=[["public.orders"]])
    labels: list[str]
    predicate: str = Field(description="Whether a predicate bounds it", examples=["not_applicable"])
    opaque: list[str] = Field(description="Why the facts may be incomplete; empty if they are proven")
    parameters: list[str] = Field(description="The bound parameters in order, as JSON spells them; NULL for none")
    estimated_rows: int | None = Field(
        description="What the database expects; null where it was not safe to ask, or it did not know"
    )
    before: list[str] = Field(description="What the session ran last, oldest first")


class VerdictOut(BaseModel):
    """One approver's word."""

    approver: str = Field(examples=["dora@example.com"])
    approve: bool
    reason: str
    time: datetime
    break_glass: bool
    lapsed: bool = Field(description="The approver may not decide any more, and this does not count")


class ApprovalOut(BaseModel):
    """A request in its present state."""

    id: str = Field(examples=["5f0c9a51d2"])
    kind: RequestKind
    state: ApprovalState
    created_at: datetime
    expires_at: datetime
    valid_until: datetime | None = Field(description="Until when it can be used; null while nothing is granted")
    ended_at: datetime | None
    principal: str = Field(examples=["ana@example.com"])
    principal_kind: str = Field(examples=["human"])
    acts_for: list[str]
    session: str
    gateway: str = Field(description="The linked gateway of the session; empty: the one beside this API")
    client_address: str
    application: str
    resource: str = Field(examples=["shop-prod"])
    environment: str = Field(examples=["production"])
    protocol: str = Field(examples=["postgres"])
    database: str
    snapshot: str = Field(description="Version of the policies that asked for it")
    rules: list[RuleOut]
    approvals_missing: int = Field(description="How many approvals are still wanted", examples=[1])
    reason: str = Field(description="Why the requester wants it", examples=["INC-42"])
    scope: GrantScope
    group: str = Field(description="The group that an access request asks for")
    duration_seconds: float
    statement: StatementOut | None
    verdicts: list[VerdictOut]
    note: str


class DecisionIn(BaseModel):
    """An approver's word."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "reject"] = Field(examples=["approve"])
    reason: str = Field(default="", max_length=1000, examples=["reviewed in CHG-7"])
    scope: GrantScope = GrantScope.ONCE
    window_seconds: float | None = Field(default=None, gt=0, description='Only with scope "window"', examples=[None])


class RevocationIn(BaseModel):
    """What was granted is taken back."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=1000, examples=["dora has left the team"])


class CallbackIn(DecisionIn):
    """A decision by whoever a webhook's receiver says it is.

    The signature covers the body alone, so the body says what it is about: it is good for no other request.
    """

    id: str = Field(min_length=1, max_length=100, description="As in the path", examples=["5f0c9a51d2"])
    user: str = Field(min_length=1, max_length=200, description="One of the webhook's `users`", examples=["U024BE7LH"])


class AccessIn(BaseModel):
    """Membership of a group for some time."""

    model_config = ConfigDict(extra="forbid")

    group: str = Field(min_length=1, max_length=200, examples=["pii-readers"])
    resource: str = Field(min_length=1, max_length=200, examples=["shop-prod"])
    duration_seconds: float = Field(gt=0, le=30 * 86400, examples=[7200.0])
    reason: str = Field(min_length=1, max_length=500, examples=["INC-42"])


def approval_out(request: ApprovalRequest) -> ApprovalOut:
    """The answer for a request."""
    subject, statement = request.subject, request.statement
    return ApprovalOut(
        id=request.id,
        kind=request.kind,
        state=request.state,
        created_at=_moment(request.created),
        expires_at=_moment(request.expires),
        valid_until=None if request.valid_until is None else _moment(request.valid_until),
        ended_at=None if request.ended is None else _moment(request.ended),
        principal=subject.principal,
        principal_kind=subject.kind,
        acts_for=list(subject.acts_for),
        session=subject.session_id,
        gateway=request.gateway,
        client_address=subject.client_address,
        application=subject.application,
        resource=request.resource,
        environment=request.environment,
        protocol=request.protocol,
        database=request.database,
        snapshot=request.snapshot,
        rules=[
            RuleOut(
                policy=rule.policy,
                approvers=sorted(rule.approvers),
                count=rule.count,
                scopes=sorted(rule.scopes),
                max_window_seconds=rule.max_window,
                break_glass=sorted(rule.break_glass),
            )
            for rule in request.rules
        ],
        approvals_missing=sum(number for _, number in missing(request.rules, request.verdicts)),
        reason=request.reason,
        scope=request.scope,
        group=request.group,
        duration_seconds=request.duration,
        statement=None
        if statement is None
        else StatementOut(
            text=statement.text,
            normalised=statement.normalised,
            fingerprint=statement.fingerprint,
            actions=list(statement.actions),
            reads=list(statement.reads),
            writes=list(statement.writes),
            labels=list(statement.labels),
            predicate=statement.predicate,
            opaque=list(statement.opaque),
            parameters=list(statement.parameters),
            estimated_rows=statement.estimated_rows,
            before=list(statement.before),
        ),
        verdicts=[
            VerdictOut(
                approver=verdict.approver,
                approve=verdict.approve,
                reason=verdict.reason,
                time=_moment(verdict.time),
                break_glass=verdict.break_glass,
                lapsed=verdict.lapsed,
            )
            for verdict in request.verdicts
        ],
        note=request.note,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
