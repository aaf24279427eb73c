"""What a linked gateway and its control plane say to each other about approvals, under ``/link/approvals``.

Everything is a ``POST`` whose body names the gateway's ``instance``: one run of it. Everything can be said twice, so
that a gateway that has not heard an answer asks again.

=============  =========================================================================================================
``""``         ``Submission``: put a request on the desk. The gateway chose its id and waits for the decision already
``/grant``     ``Question``: an approval that was given before, untouched
``/claim``     ``Claim``: let a session go on with an approval; a statement runs only once this has been granted
``/poll``      ``Poll``: waits for decisions and for changes of granted access
``/ended``     ``Ended``: sessions that are over, and requests that nobody waits for any more
=============  =========================================================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.approval import ApprovalNote, ApprovalRequest, ApprovalRule, ApprovalState

PREFIX: Final = "/link/approvals"
WAIT: Final = 8.0
"""Seconds that a poll asks to be kept waiting."""
LEASE: Final = 20.0
"""Seconds without a word after which a gateway is gone, and what its sessions waited for is withdrawn."""
MAX_WAITING: Final = 20_000
"""Requests that one instance waits for at once."""

Identifier = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[0-9a-f]+$")]
SessionId = Annotated[str, Field(min_length=1, max_length=100)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class _FromInstance(_Message):
    instance: Identifier
    replaces: Identifier | None = None
    """The run of the same gateway before this one, which is over."""


class Submission(_FromInstance):
    """A new request. Its times are the control plane's to set, and its state is pending."""

    request: ApprovalRequest


class Submitted(_Message):
    """The request as it is, or an older one for the same. ``url`` is where people decide; it may be empty."""

    request: ApprovalRequest
    url: str = ""


class Question(_FromInstance):
    """A statement that is about to run. As ``gateway.approvals.grants.Demand``."""

    names: tuple[str, ...]
    resource: str
    database: str
    session: SessionId
    binding: str
    shape: str
    rules: tuple[ApprovalRule, ...]


class Found(_Message):
    """The approval that was found, if one was. One for a single use is to be claimed."""

    note: ApprovalNote | None = None


class Claim(_FromInstance):
    """A session goes on with an approval."""

    id: Identifier
    session: SessionId


class Claimed(_Message):
    """The session may go on, with this in its audit; or not, and why: for the log, and for the client."""

    note: ApprovalNote | None = None
    detail: str = ""
    message: str | None = None


class Poll(_FromInstance):
    """``waiting`` are requests that the control plane has taken and about which nothing has been heard."""

    waiting: tuple[Identifier, ...] = Field(default=(), max_length=MAX_WAITING)
    access: str = Field(default="", max_length=64)
    """The digest of the granted access that is known."""
    wait: float = Field(default=0.0, ge=0, le=60)


class Decision(_Message):
    """What became of a request. Where its state is not ``approved``: why, for the log and for the client."""

    id: str
    state: ApprovalState
    detail: str = ""
    message: str | None = None


class Access(_Message):
    """Membership of a group for some time. An empty resource is every resource."""

    id: str
    principal: str
    resource: str
    group: str
    until: float
    """Unix seconds, by the control plane's clock."""


class News(_Message):
    """What a poll brings. ``granted`` is None where it has not changed."""

    decisions: tuple[Decision, ...] = ()
    access: str = ""
    granted: tuple[Access, ...] | None = None
    now: float = 0.0
    """Unix seconds, by the control plane's clock."""
    url: str = ""


class Ended(_FromInstance):
    """``given_up`` says why, by request. ``leaving`` True: this run of the gateway is over."""

    sessions: tuple[SessionId, ...] = Field(default=(), max_length=MAX_WAITING)
    given_up: dict[Identifier, Annotated[str, Field(max_length=500)]] = Field(default={}, max_length=MAX_WAITING)
    leaving: bool = False


def digest(granted: Iterable[Access]) -> str:
    """Equal for equal grants."""
    rows = sorted((one.id, one.principal, one.resource, one.group, one.until) for one in granted)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
