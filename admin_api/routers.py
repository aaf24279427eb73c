"""All endpoints that need a store."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from admin_api.admins.endpoints import router as admins
from admin_api.approvals.endpoints import access_router as access_requests
from admin_api.approvals.endpoints import router as approvals
from admin_api.audit_events.endpoints import router as audit_events
from admin_api.auth.endpoints import router as auth
from admin_api.classifications.endpoints import router as classifications
from admin_api.connect.endpoints import router as connect
from admin_api.exchange.endpoints import router as exchange
from admin_api.explain.endpoints import router as explain
from admin_api.gateways.approvals import router as link_approvals
from admin_api.gateways.endpoints import router as gateways
from admin_api.gateways.link import router as link
from admin_api.groups.endpoints import router as groups
from admin_api.plans.endpoints import router as plans
from admin_api.plugins.endpoints import router as plugins
from admin_api.policies.endpoints import library
from admin_api.policies.endpoints import router as policies
from admin_api.principals.endpoints import router as principals
from admin_api.reference.endpoints import router as reference
from admin_api.resources.endpoints import router as resources
from admin_api.sessions.endpoints import router as sessions
from admin_api.settings.endpoints import router as settings
from admin_api.snapshots.endpoints import router as snapshots
from admin_api.tokens.endpoints import router as tokens

ROUTERS: Final[tuple[APIRouter, ...]] = (
    reference,
    auth,
    resources,
    principals,
    groups,
    tokens,
    classifications,
    policies,
    library,
    connect,
    plans,
    snapshots,
    sessions,
    gateways,
    link,
    link_approvals,
    exchange,
    explain,
    approvals,
    access_requests,
    audit_events,
    plugins,
    settings,
    admins,
)
