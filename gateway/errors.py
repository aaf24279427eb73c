"""The error tree. Every error has two texts: what the client may read and what the log may hold.

::

    GatewayError
    ├── ConfigurationError              start-up; exit code 2
    │   └── PluginError                 load, duplicate, wrong API version
    ├── ProtocolError
    │   ├── LocalProtocolError          we tried something illegal: a bug of ours
    │   └── RemoteProtocolError         the peer did
    │       ├── MessageTooLarge
    │       └── UnsupportedFeature
    ├── AuthenticationError
    │   └── TlsRequired
    ├── CredentialExpired               what let the session in is over
    ├── UnknownResource                 the client asked for a database that is not here
    ├── AccessDenied                    a policy said no
    │   ├── MaskedValueWrittenBack      what a mask showed was about to be stored as if it were the value
    │   └── PolicyEvaluationError       a plugin failed or timed out: denied for that reason
    ├── MaskingError                    a value could not be masked: the result is cut off, never passed
    ├── UpstreamError
    │   ├── UpstreamUnavailable
    │   ├── UpstreamTimeout
    │   └── UpstreamAuthenticationError
    ├── StatementCancelled              the client took it back before it ran
    ├── GatewayShutdown                 the gateway or an administrator ends the session
    ├── LimitExceeded                   rows, bytes, sessions
    │   ├── TimeLimitExceeded
    │   ├── BudgetExceeded              what somebody may have in a span of time is used up
    │   └── TooManyChanges              a statement changes more rows than a policy lets it
    └── AuditError                      the audit cannot be written: nothing runs

``str(error)`` is the detail for the log and never holds a value from a statement or a row; ``client_message`` names
the stage that refused and nothing of a policy's inside. A protocol plugin maps the tree to its own codes in one table.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """Base of all errors that Querygate raises on purpose."""

    client_message: ClassVar[str] = "internal gateway error"


class ConfigurationError(GatewayError):
    """The configuration cannot be used. ``str()`` names file, line and key."""

    client_message = "the gateway is not configured correctly"


class PluginError(ConfigurationError):
    """A plugin could not be loaded, is there twice, or speaks another API version."""

    client_message = "a gateway plugin failed"


class ProtocolError(GatewayError):
    """Somebody broke the wire protocol."""

    client_message = "protocol violation"


class LocalProtocolError(ProtocolError):
    """The gateway was about to do something that the protocol forbids: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer did something that the protocol forbids."""


class MessageTooLarge(RemoteProtocolError):
    """A message is longer than the limit for its kind."""

    client_message = "message exceeds the gateway's size limit"


class UnsupportedFeature(RemoteProtocolError):
    """The peer asked for a part of the protocol that the gateway does not relay."""

    client_message = "feature not supported by the gateway"


class AuthenticationError(GatewayError):
    """The credentials are wrong, expired or revoked. The client is never told which."""

    client_message = "authentication failed"


class TlsRequired(AuthenticationError):
    """The client came in clear where only TLS is allowed."""

    client_message = "this gateway accepts encrypted connections only; connect with TLS"


class CredentialExpired(GatewayError):
    """What a session was let in by has come to its end: it takes no more statements."""

    client_message = "the token of this session has expired; log in again with a new one"


class UnknownResource(GatewayError):
    """The client asked for a resource that does not exist, or that is not for it: the two are not told apart."""

    client_message = "no such database behind this gateway"


class AccessDenied(GatewayError):
    """A policy refuses the session or the statement."""

    client_message = "access denied by policy"

    def __init__(self, detail: str, *, message: str | None = None) -> None:
        super().__init__(detail)
        self.message = message
        """What the policy's author wrote for the client, if anything."""


class MaskedValueWrittenBack(AccessDenied):
    """What a mask had put in a value's place was about to be stored as the value."""

    client_message = "access denied: a masked value would overwrite the real one"


class PolicyEvaluationError(AccessDenied):
    """A plugin that takes part in the decision failed or took too long, so the answer is no."""

    client_message = "access denied: the policy could not be evaluated"


class MaskingError(GatewayError):
    """A value or a result could not be masked, so it is not sent."""

    client_message = "the result cannot be masked safely"


class UpstreamError(GatewayError):
    """The database behind the gateway cannot serve the session."""

    client_message = "the database is not available"


class UpstreamUnavailable(UpstreamError):
    """The database cannot be reached, or the connection to it broke."""


class UpstreamTimeout(UpstreamError):
    """The database did not answer in time."""

    client_message = "the database did not answer in time"


class UpstreamAuthenticationError(UpstreamError):
    """The database refused the gateway's own credentials."""

    client_message = "the gateway could not log in to the database"


class StatementCancelled(GatewayError):
    """The client cancelled a statement that had not gone to the database yet."""

    client_message = "canceling statement due to user request"


class GatewayShutdown(GatewayError):
    """The session is ended from the gateway's side, through no fault of the client's."""

    client_message = "the gateway is ending this session; connect again"


class LimitExceeded(GatewayError):
    """A limit (rows, time, bytes, sessions) set by configuration or policy was reached."""

    client_message = "a limit set by policy was reached"


class TimeLimitExceeded(LimitExceeded):
    """A policy's time limit ended the statement."""

    client_message = "a policy's time limit ended the statement"


class BudgetExceeded(LimitExceeded):
    """A budget set by policy is used up. ``hint`` tells the client when something will be left again."""

    client_message = "a budget set by policy is used up"

    def __init__(self, detail: str, *, hint: str | None = None) -> None:
        super().__init__(detail)
        self.hint = hint


class TooManyChanges(LimitExceeded):
    """A statement changed more rows than a policy allows, or a number that nobody can count: it is undone."""

    client_message = "the statement changes more rows than policy allows; nothing was changed"


class AuditError(GatewayError):
    """The audit cannot be written, so nothing may run."""

    client_message = "the audit trail cannot be written; statements are refused until it can"
