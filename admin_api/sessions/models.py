"""Sessions as they are shown, and how they are ended."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field, model_validator


class SessionOut(BaseModel):
    """One live session."""

    id: str = Field(examples=["3f9a0c1d2b4e5f60"])
    gateway: str = Field(description="Empty: the one beside this API", examples=["gw-eu-1"])
    principal: str = Field(examples=["ana@example.com"])
    acts_for: list[str] = Field(description="For whom it acts, in order", examples=[[]])
    user: str = Field(description="The user name as the client gave it", examples=["ana@example.com"])
    resource: str = Field(examples=["shop-prod"])
    database: str = Field(examples=["shop-prod"])
    protocol: str = Field(examples=["postgres"])
    application: str = Field(examples=["psql"])
    client_address: str = Field(examples=["10.0.0.7:50123"])
    tls: bool
    state: str = Field(description="`login`, `idle` or `active`", examples=["idle"])
    started_at: datetime
    active_at: datetime = Field(description="When the client last said something")
    age_seconds: float = Field(ge=0, examples=[42.5])
    statements: int = Field(ge=0, examples=[17])
    fingerprint: str = Field(description="Of the last recorded statement", examples=["3f2a9c0d1e5b7a68"])
    token: str = Field(description="Id of the access token that opened it", examples=["tok-3f9a0c1d2b4e"])


class TerminateIn(BaseModel):
    """Which sessions to end: everything that is named must hold."""

    model_config = {"extra": "forbid"}

    session: str | None = Field(default=None, max_length=100, examples=["3f9a0c1d2b4e5f60"])
    principal: str | None = Field(
        default=None, max_length=1000, description="Also those of agents that act for it", examples=["ana@example.com"]
    )
    resource: str | None = Field(default=None, max_length=63, examples=["shop-prod"])
    token: str | None = Field(default=None, max_length=100, examples=["tok-3f9a0c1d2b4e"])
    reason: str = Field(
        default="ended by an administrator", min_length=1, max_length=500, description="The client reads it"
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.session is self.principal is self.resource is self.token is None:
            raise ValueError("name a session, a principal, a resource or a token")
        return self


class TerminateOut(BaseModel):
    """What was ended."""

    ended: int = Field(ge=0, description="Sessions that are ended here, or were known on other gateways", examples=[1])
