"""Principals: who may come through the gateway."""

from typing import Any, Final

from pydantic import Field

from admin_api.documents.models import DocumentRow, Meta
from admin_api.resources.models import AnySecret
from gateway.config.documents import PrincipalDocument


class PrincipalRow(DocumentRow, table=True):
    """A principal's document."""

    __tablename__ = "principals"


class PrincipalIn(PrincipalDocument):
    """Somebody who acts, as in the configuration file."""

    token: AnySecret = None
    meta: Any = Field(default=None, description="Ignored, so that an answer can be sent back")


class PrincipalOut(PrincipalDocument):
    """Somebody who acts, and what the store knows about them."""

    token: AnySecret = None
    meta: Meta


EXAMPLE: Final[dict[str, Any]] = {"name": "ana@example.com", "kind": "human", "groups": ["analysts"]}
AGENT_EXAMPLE: Final[dict[str, Any]] = {
    "name": "copilot",
    "kind": "agent",
    "groups": ["agents"],
    "acts_for": "ana@example.com",
}
