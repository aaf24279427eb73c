"""What a webhook is told of a request. Statements leave the machine only as far as the webhook's settings say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from gateway.approvals.rules import missing
from gateway.config.approvals import Shown, WebhookFormat, WebhookSettings
from gateway.domain.approval import ApprovalRequest, ApprovalState, RequestKind, StatementSummary
from gateway.domain.statement import Predicate

_MAX_TEXT: Final = 2500
"""Characters of a statement in a message; Slack takes 3000 in one block."""


def message(request: ApprovalRequest, webhook: WebhookSettings, url: str) -> dict[str, object]:
    """The JSON document for one request in its present state. ``url`` (may be empty) is where people decide."""
    where = f"{url.rstrip('/')}/{request.id}" if url else ""
    match webhook.format:
        case WebhookFormat.JSON:
            return _document(request, webhook.statement, where)
        case WebhookFormat.SLACK:
            return _slack(request, webhook.statement, where)


def statement_text(statement: StatementSummary | None, shown: Shown) -> str:
    """As much of a statement's text as may be shown."""
    if statement is None or shown is Shown.NONE:
        return ""
    return statement.text if shown is Shown.FULL else statement.normalised


def _document(request: ApprovalRequest, shown: Shown, where: str) -> dict[str, object]:
    subject, statement = request.subject, request.statement
    return {
        "event": f"approval.{request.state.value}",
        "id": request.id,
        "url": where,
        "kind": request.kind.value,
        "state": request.state.value,
        "created": _moment(request.created),
        "expires": _moment(request.expires),
        "principal": subject.principal,
        "acts_for": list(subject.acts_for),
        "resource": request.resource,
        "environment": request.environment,
        "protocol": request.protocol,
        "database": request.database,
        "policies": [rule.policy for rule in request.rules],
        "approvals_missing": sum(number for _, number in missing(request.rules, request.verdicts)),
        "reason": request.reason,
        "group": request.group,
        "duration_seconds": request.duration,
        "statement": None
        if statement is None
        else {
            "text": statement_text(statement, shown)[:_MAX_TEXT],
            "parameters": list(statement.parameters) if shown is Shown.FULL else [],
            "fingerprint": statement.fingerprint,
            "actions": list(statement.actions),
            "reads": list(statement.reads),
            "writes": list(statement.writes),
            "labels": list(statement.labels),
            "predicate": statement.predicate,
            "estimated_rows": statement.estimated_rows,
        },
        "verdicts": [
            {
                "approver": verdict.approver,
                "approve": verdict.approve,
                "reason": verdict.reason,
                "lapsed": verdict.lapsed,
            }
            for verdict in request.verdicts
        ],
    }


def _slack(request: ApprovalRequest, shown: Shown, where: str) -> dict[str, object]:
    subject = request.subject
    who = subject.principal + (f" (for {', '.join(subject.acts_for)})" if subject.acts_for else "")
    lines = [f"*{_escape(who)}* on *{_escape(request.resource)}*" + (f" ({_escape(request.environment)})")]
    if request.kind is RequestKind.ACCESS:
        lines.append(f"asks for the group *{_escape(request.group)}* for {request.duration / 3600:.1f} h")
    statement = request.statement
    if statement is not None:
        facts = [
            f"{', '.join(statement.actions)} on {', '.join(statement.writes or statement.reads) or 'nothing named'}"
        ]
        if statement.predicate != Predicate.NOT_APPLICABLE:
            facts.append(f"predicate {statement.predicate}")
        if statement.estimated_rows is not None:
            facts.append(f"about {statement.estimated_rows:,} rows")
        lines.append(_escape("; ".join(facts)))
    if request.reason:
        lines.append(f"_{_escape(request.reason)}_")
    title = {
        ApprovalState.PENDING: "A statement waits for an approval",
        ApprovalState.APPROVED: "Approved",
        ApprovalState.USED: "Approved and run",
        ApprovalState.REJECTED: "Rejected",
        ApprovalState.EXPIRED: "Nobody decided in time",
        ApprovalState.WITHDRAWN: "Withdrawn",
        ApprovalState.REVOKED: "Revoked",
    }[request.state]
    if request.verdicts:
        title += " by " + ", ".join(verdict.approver for verdict in request.verdicts)
    blocks: list[dict[str, object]] = [
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": f"*{_escape(title)}* `{request.id}`\n" + "\n".join(lines)},
        }
    ]
    if text := statement_text(statement, shown):
        if statement is not None and shown is Shown.FULL and statement.parameters:
            text = f"{text[: _MAX_TEXT - 500]}\nparameters: {', '.join(statement.parameters)}"
        shown_text = _escape(text[:_MAX_TEXT]).replace("```", "'''")
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"```{shown_text}```"}})
    if request.state is ApprovalState.PENDING:
        buttons = [
            _button("approve", "Approve", "primary", request.id),
            _button("reject", "Reject", "danger", request.id),
        ]
        if where:
            look = {"type": "plain_text", "text": "Look at it"}
            buttons.append({"type": "button", "action_id": "open", "text": look, "url": where})
        blocks.append({"type": "actions", "block_id": f"querygate:{request.id}", "elements": buttons})
    return {"text": f"{title}: {who} on {request.resource} ({request.id})", "blocks": blocks}


def _button(action: str, text: str, style: str, value: str) -> dict[str, object]:
    label = {"type": "plain_text", "text": text}
    return {"type": "button", "action_id": action, "text": label, "style": style, "value": value}


def _escape(text: str) -> str:
    """Slack's three characters with a meaning."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
