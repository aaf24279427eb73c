"""Who would be locked out: what a person may open before a change and not after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from admin_api.context import Context
from admin_api.documents.models import Document
from gateway.config.loader import build_config
from gateway.domain.decision import AccessRequest, Effect, SessionContext
from gateway.errors import ConfigurationError
from gateway.policy.evaluate import evaluate_session
from gateway.policy.snapshot import Snapshot

Sections = Mapping[str, Sequence[Document]]


def lost_access(context: Context, name: str, before: Sections, after: Sections) -> list[str]:
    """Resources that the principal could open, and could no longer though they are still there."""
    if all(principal.get("name") != name for principal in before.get("principals", ())):
        return []
    kept = {str(resource.get("name")) for resource in after.get("resources", ())}
    return sorted((_open_to(context, name, before) & kept) - _open_to(context, name, after))


def _open_to(context: Context, name: str, sections: Sections) -> set[str]:
    config = context.config
    try:
        config = build_config(
            config.document,
            sections,
            path=config.path,
            environ=context.environ,
            open_sealed=context.sealer.open,
        )
    except ConfigurationError:
        return set()  # what could not be in force opened nothing
    snapshot = Snapshot.from_config(config)
    principal = snapshot.principals.get(name)
    if principal is None:
        return set()
    session = SessionContext(id="plan", protocol="", client_address="127.0.0.1:0", tls=True, user=name)
    return {
        resource.name
        for resource in snapshot.resources.values()
        if evaluate_session(
            snapshot.policies,
            AccessRequest(principal, resource, session, resource_labels=snapshot.label_index(resource.name).all_labels),
        ).effect
        is Effect.ALLOW
    }
