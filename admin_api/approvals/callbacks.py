"""Decisions that come back from webhooks: signed by the webhook's secret, by people that its settings name.

Nobody is logged in here. A body is read, bounded and verified before anything in it is believed, and every refusal
looks the same to somebody without the secret.
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import parse_qs

from pydantic import ValidationError

from admin_api.approvals.models import CallbackIn, DecisionIn
from admin_api.approvals.service import ApprovalService
from admin_api.context import Context
from admin_api.errors import BadRequest, Forbidden, Unauthenticated
from gateway.approvals.signature import HEADER, verify, verify_slack
from gateway.config.approvals import WebhookFormat, WebhookSettings
from gateway.domain.approval import ApprovalRequest

MAX_BODY: Final = 64 * 1024


async def take_callback(context: Context, identifier: str, body: bytes, signature: str) -> ApprovalRequest:
    """A JSON decision under our own signature."""
    now = context.clock().timestamp()
    for webhook in context.config.approvals.webhooks:
        if webhook.format is WebhookFormat.JSON and verify(webhook.secret.reveal(), body, signature, now):
            try:
                decision = CallbackIn.model_validate_json(body)
            except ValidationError as error:
                raise BadRequest(f"the decision has {error.error_count()} mistakes; see the OpenAPI document") from None
            if decision.id != identifier:
                raise Forbidden("the signed decision is about another request")
            return await _decide(context, webhook, decision.user, identifier, decision)
    raise Unauthenticated(f"{HEADER}: not a signature of a webhook of ours, or too old")


async def take_slack(context: Context, body: bytes, headers: dict[str, str]) -> ApprovalRequest:
    """A button of a Slack message that was pressed (Slack documentation, "block_actions payload")."""
    now = context.clock().timestamp()
    for webhook in context.config.approvals.webhooks:
        if webhook.format is WebhookFormat.SLACK and verify_slack(webhook.secret.reveal(), body, headers, now):
            try:
                payload = json.loads(parse_qs(body.decode())["payload"][0])
                action, user = payload["actions"][0], payload["user"]["id"]
                decision = DecisionIn(decision=action["action_id"])
                return await _decide(context, webhook, str(user), str(action["value"]), decision)
            except (LookupError, TypeError, ValueError):
                raise BadRequest("not a pressed button of one of our messages") from None
    raise Unauthenticated("X-Slack-Signature: not a signature of a webhook of ours, or too old")


async def _decide(
    context: Context, webhook: WebhookSettings, user: str, identifier: str, decision: DecisionIn
) -> ApprovalRequest:
    principal = webhook.users.get(user)
    if principal is None:
        raise Forbidden("the webhook's settings do not say who this user is")
    return await ApprovalService(context).decide(identifier, await context.approvers.named(principal), decision)
