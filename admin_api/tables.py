"""All tables of the store, so that migrations and their check see every one of them."""

from admin_api.admins.models import AdminRow
from admin_api.auth.models import AdminSessionRow, RefreshTokenRow, SigningKeyRow
from admin_api.classifications.models import ClassificationRow
from admin_api.db import metadata
from admin_api.gateways.models import GatewayCommandRow, GatewayRow
from admin_api.groups.models import GroupRow
from admin_api.idempotency import IdempotencyKey
from admin_api.policies.models import PolicyRow, PolicyVersionRow
from admin_api.principals.models import PrincipalRow
from admin_api.resources.models import ResourceRow
from admin_api.revision import StoreRevision
from admin_api.snapshots.models import SnapshotRow
from admin_api.tokens.models import TokenRow

__all__ = [
    "AdminRow",
    "AdminSessionRow",
    "ClassificationRow",
    "GatewayCommandRow",
    "GatewayRow",
    "GroupRow",
    "IdempotencyKey",
    "PolicyRow",
    "PolicyVersionRow",
    "PrincipalRow",
    "RefreshTokenRow",
    "ResourceRow",
    "SigningKeyRow",
    "SnapshotRow",
    "StoreRevision",
    "TokenRow",
    "metadata",
]
