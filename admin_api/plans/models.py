"""Plans: what the store is to become, and what that changes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class SectionsIn(BaseModel):
    """Documents as in the configuration file."""

    model_config = {"extra": "forbid"}

    resources: list[dict[str, Any]] = Field(default=[], max_length=100_000)
    principals: list[dict[str, Any]] = Field(default=[], max_length=100_000)
    classifications: list[dict[str, Any]] = Field(default=[], max_length=100_000)
    policies: list[dict[str, Any]] = Field(default=[], max_length=100_000)


class PlanIn(BaseModel):
    """What the store is to become."""

    model_config = {"extra": "forbid"}

    sections: SectionsIn
    prune: bool = Field(default=False, description="Delete what the sections do not name")
    allow_lockout: bool = Field(default=False, description="Also where it takes away your own access to a resource")
    revision: int | None = Field(
        default=None, ge=0, description="The store's revision that a plan was made for: another one is refused"
    )


class ChangeOut(BaseModel):
    """One document that changes. Secrets are not shown."""

    section: str = Field(examples=["policies"])
    name: str = Field(examples=["mask-pii"])
    operation: Literal["create", "update", "delete"]
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class UnmanagedOut(BaseModel):
    """A document that is in the store and not in what was sent; it stays."""

    section: str
    name: str


class PlanOut(BaseModel):
    """What changes, or was changed."""

    revision: int = Field(description="Of the store that the plan was made for", examples=[41])
    applied: bool
    changes: list[ChangeOut]
    unmanaged: list[UnmanagedOut] = []
    warnings: list[str] = Field(default=[], description="What is probably not meant")
    lockouts: list[str] = Field(default=[], description="Resources that you yourself could no longer use")


class ExportOut(BaseModel):
    """All documents of the store, in the form in which they can be applied. Sealed secrets are kept by `apply`."""

    revision: int
    sections: SectionsIn
