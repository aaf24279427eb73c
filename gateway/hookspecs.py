"""Every hook that a plugin may implement.

Two families:

* **components** (``register_*``): synchronous, called once at start; they return named parts. A name that is there
  twice stops the start.
* **decisions**: called per session or per statement by the dispatcher (``gateway.plugin.dispatch``), in the configured
  order, one after the other, each under a deadline. They may be plain functions or ``async def``. ``None`` always means
  "I have no opinion". An exception or a time-out always counts against the request.

A plugin may take fewer arguments than a hook offers. Wrapper implementations (``hookwrapper``, ``wrapper``) of decision
hooks are refused at start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway import hookspec

if TYPE_CHECKING:
    from gateway.audit.sinks import AuditSink
    from gateway.domain.decision import AccessRequest, Decision, SessionContext
    from gateway.domain.identity import Login, PasswordCredentials, Proof
    from gateway.domain.masking import MaskingPlan, MaskSpec, ResultColumn
    from gateway.domain.principal import Principal
    from gateway.domain.resource import Resource, UpstreamCredentials
    from gateway.domain.statement import ColumnRef
    from gateway.masking.functions import MaskingFunctionFactory
    from gateway.protocol.adapter import ProtocolAdapter


@hookspec
def register_protocols() -> Iterable[ProtocolAdapter]:  # type: ignore[empty-body]
    """Return the protocols that this plugin speaks.

    Called once at start. Answers are united; a protocol name that is there twice stops the start. An exception stops
    the start.
    """


@hookspec
def register_masking_functions() -> Mapping[str, MaskingFunctionFactory]:  # type: ignore[empty-body]
    """Return masking functions by the name that policies use.

    Called once at start. Answers are united; a name that is there twice stops the start. An exception stops the start.
    """


@hookspec
def register_audit_sinks() -> Mapping[str, type[AuditSink]]:  # type: ignore[empty-body]
    """Return audit sinks by the ``type`` that the configuration uses.

    Called once at start. Answers are united; a name that is there twice stops the start. An exception stops the start.
    """


@hookspec
def find_login(session: SessionContext) -> Login | None:
    """Return what may prove the session's user name, or None if this provider does not know the user.

    Called once per session, before the challenge. The first answer in configured order wins. An exception refuses the
    session.
    """


@hookspec
def authenticate(session: SessionContext, credentials: PasswordCredentials) -> Principal | Proof | None:
    """Return the principal that a clear password or bearer token proves, with its end in a ``Proof`` if it has one.

    Called once per session, inside TLS only. The first answer in configured order wins; raise ``AuthenticationError``
    for "mine, and bad", which refuses the session even if another provider would accept. No answer refuses the session.
    """


@hookspec
def provide_upstream_credentials(resource: Resource, principal: Principal) -> UpstreamCredentials | None:
    """Return what the gateway logs in to the database with on behalf of the principal.

    Called once per session after authorisation. The first answer wins; no answer, or an exception, refuses the session.
    """


@hookspec
def authorize_session(request: AccessRequest) -> Decision | None:
    """Say whether the principal may use the resource at all.

    Called once per session. ``deny`` beats ``require_approval`` beats ``allow``; nothing that allows means deny. An
    exception or time-out denies.
    """


@hookspec
def authorize_statement(request: AccessRequest) -> Decision | None:
    """Say whether the statement may run, and with which obligations.

    Called once per statement text and scope, for the principal and, separately, for whom it acts for. ``deny`` beats
    ``require_approval`` beats ``allow``; obligations are joined, the strictest of each wins; nothing that allows means
    deny. An exception or time-out denies.
    """


@hookspec
def classify_columns(resource: Resource, columns: Sequence[ColumnRef]) -> Mapping[ColumnRef, frozenset[str]] | None:
    """Return labels for stored columns.

    Called when a resource's catalog is read. Labels of all answers are united. An exception makes the resource
    unusable for principals under a mask.
    """


@hookspec
def plan_masking(
    request: AccessRequest, columns: Sequence[ResultColumn], masks: Mapping[str, frozenset[MaskSpec]]
) -> MaskingPlan | None:
    """Return a mask, or None, for each result column.

    Called once per statement text and result description for principals under a mask. Plans are joined per column, the
    strictest function wins. No plan at all, an exception or a time-out refuses the result.
    """
