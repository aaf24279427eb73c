"""Policies, and every version that each of them had."""

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel
from pydantic import Field as Described
from sqlalchemy import JSON, UniqueConstraint
from sqlmodel import Field, SQLModel

from admin_api.db import Moment
from admin_api.documents.models import Document, DocumentRow, Meta
from gateway.domain.decision import Mode
from gateway.policy.documents import PolicyDocument


class PolicyRow(DocumentRow, table=True):
    """A policy's document as it is in force."""

    __tablename__ = "policies"


class PolicyVersionRow(SQLModel, table=True):
    """A version that a policy had. Kept when the policy is deleted, so that it can come back."""

    __tablename__ = "policy_versions"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: str = Field(primary_key=True, max_length=60)
    name: str = Field(max_length=1000, index=True)
    version: int
    document: Document = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=Moment)
    created_by: str = Field(max_length=500)
    note: str = Field(default="", max_length=1000)


class PolicyIn(PolicyDocument):
    """One policy, as in the configuration file."""

    meta: Any = Described(default=None, description="Ignored, so that an answer can be sent back")


class PolicyOut(PolicyDocument):
    """One policy, and what the store knows about it."""

    meta: Meta


class PolicyVersionOut(BaseModel):
    """A version that a policy had."""

    version: int = Described(ge=1, examples=[2])
    document: PolicyDocument
    created_at: datetime
    created_by: str = Described(examples=["root"])
    note: str = Described(examples=["rolled back to version 1"])


class ModeIn(BaseModel):
    """Where in its life a policy is: `draft` decides nothing and is recorded, `warn` tells, `enforce` decides."""

    model_config = {"extra": "forbid"}

    mode: Mode = Described(examples=["warn"])


class RollbackIn(BaseModel):
    """Which version to go back to."""

    model_config = {"extra": "forbid"}

    version: int = Described(ge=1, le=2_147_483_647, examples=[1])


EXAMPLE: Final[dict[str, Any]] = {
    "name": "mask-pii",
    "effect": "mask",
    "match": {"labels": ["pii.*"], "except_groups": ["support"]},
    "mask": {"function": "redact"},
}
ALLOW_EXAMPLE: Final[dict[str, Any]] = {
    "name": "readers-may-read",
    "effect": "allow",
    "match": {"groups": ["analysts"], "actions": ["read", "session"]},
}
