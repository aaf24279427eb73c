"""What can be wrong with a decision. The texts are for the person who decides."""

from __future__ import annotations

from gateway.errors import AccessDenied, GatewayError


class ApprovalError(GatewayError):
    """A decision or request that cannot be taken."""

    client_message = "the approval could not be processed"


class RequestNotFound(ApprovalError):
    """There is no such request."""


class NotEligible(ApprovalError):
    """This person may not decide this request."""


class AlreadyDecided(ApprovalError):
    """The request is not pending any more."""


class InvalidDecision(ApprovalError):
    """The decision asks for something that the policy does not offer."""


class StandingUnknown(ApprovalError):
    """Whether those who approved may still decide cannot be found out."""

    client_message = "the statement's approval could not be checked; run it again"


class ApprovalRefused(AccessDenied):
    """The statement may not run: rejected, expired, withdrawn, or to be run again after an approval."""

    client_message = "the statement was not approved"
