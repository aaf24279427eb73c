"""The section ``approvals``: how people learn of what waits for them, and what may be asked for beside statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import Field, StrictInt, StrictStr

from gateway.config.secrets import Secret, SecretField, SecretSource
from gateway.domain.approval import ApprovalRule
from gateway.policy.documents import Document, Text
from gateway.policy.fields import Duration
from gateway.policy.problems import Location


class WebhookFormat(StrEnum):
    """What a webhook is sent."""

    JSON = "json"
    """A document of our own, see docs/approvals.md."""
    SLACK = "slack"
    """A message with buttons, for Slack and what understands its form."""


class Shown(StrEnum):
    """How much of a statement leaves with a webhook."""

    FULL = "full"
    NORMALISED = "normalised"
    """Literals replaced."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where requests for approval are told. ``secret`` signs what is sent and what comes back.

    ``users`` maps the receiver's names of people (a Slack user id) to principals; others cannot decide there.
    """

    url: str
    secret: Secret
    format: WebhookFormat = WebhookFormat.JSON
    statement: Shown = Shown.NORMALISED
    users: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class AccessOffer:
    """Membership of ``group`` that members of ``groups`` may ask for, for at most ``max_duration`` seconds.

    ``resources`` empty means every resource. ``rule`` says who decides.
    """

    group: str
    groups: frozenset[str]
    resources: frozenset[str]
    max_duration: float
    rule: ApprovalRule


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """``url`` is where people decide (a request's id is put behind it); empty where nobody was told."""

    url: str = ""
    webhooks: tuple[WebhookSettings, ...] = ()
    access: tuple[AccessOffer, ...] = ()


class WebhookDocument(Document):
    """Where requests for approval are told. See ``WebhookSettings``."""

    url: Annotated[StrictStr, Field(pattern=r"^https?://[^\s#]+$", max_length=2000)]
    secret: SecretField
    format: WebhookFormat = WebhookFormat.JSON
    statement: Shown = Shown.NORMALISED
    users: dict[Text, Text] = Field(default_factory=dict)


class AccessDocument(Document):
    """Membership of a group for some time. See ``AccessOffer``."""

    group: Text
    approvers: Annotated[tuple[Text, ...], Field(min_length=1)]
    groups: Annotated[tuple[Text, ...], Field(min_length=1)]
    resources: tuple[Text, ...] = ()
    max_duration: Annotated[Duration, Field(gt=0)] = 8 * 3600.0
    timeout: Annotated[Duration, Field(gt=0)] = 3600.0
    count: Annotated[StrictInt, Field(ge=1, le=10)] = 1


class ApprovalsDocument(Document):
    """The section."""

    url: Annotated[StrictStr, Field(pattern=r"^https?://[^\s?#]+$", max_length=500)] | None = None
    webhooks: tuple[WebhookDocument, ...] = ()
    access: tuple[AccessDocument, ...] = ()


def resolve_approvals(
    document: ApprovalsDocument, secret: Callable[[SecretSource, Location], Secret | None]
) -> ApprovalSettings:
    """The section with its secrets fetched; a webhook whose secret cannot be read is left out (and reported)."""
    webhooks = []
    for index, webhook in enumerate(document.webhooks):
        found = secret(webhook.secret, ("approvals", "webhooks", index, "secret"))
        if found is not None:
            users = MappingProxyType(dict(webhook.users))
            webhooks.append(WebhookSettings(webhook.url, found, webhook.format, webhook.statement, users))
    return ApprovalSettings(document.url or "", tuple(webhooks), tuple(map(_offer, document.access)))


def _offer(document: AccessDocument) -> AccessOffer:
    return AccessOffer(
        group=document.group,
        groups=frozenset(document.groups),
        resources=frozenset(document.resources),
        max_duration=document.max_duration,
        rule=ApprovalRule(
            policy=f"access to {document.group}",
            approvers=frozenset(document.approvers),
            count=document.count,
            timeout=document.timeout,
            hold=False,
        ),
    )
