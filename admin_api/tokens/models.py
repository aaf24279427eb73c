"""Access tokens: database passwords that were issued. Verifiers only; the token itself is shown once."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, StringConstraints
from pydantic import Field as Described
from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from admin_api.db import Moment
from gateway.policy.fields import Duration

MAX_TTL: Final = 366 * 86400.0


class TokenRow(SQLModel, table=True):
    """An issued token. ``resources`` empty means all of them."""

    __tablename__ = "access_tokens"

    id: str = Field(primary_key=True, max_length=60)
    principal: str = Field(max_length=1000, index=True)
    verifier: str = Field(max_length=500)
    resources: list[str] = Field(sa_type=JSON)
    description: str = Field(default="", max_length=500)
    created_at: datetime = Field(sa_type=Moment)
    created_by: str = Field(max_length=500)
    expires_at: datetime | None = Field(default=None, sa_type=Moment)
    revoked_at: datetime | None = Field(default=None, sa_type=Moment)
    revoked_by: str = Field(default="", max_length=500)
    last_used_at: datetime | None = Field(default=None, sa_type=Moment)


class TokenIn(BaseModel):
    """A token to be issued."""

    model_config = {"extra": "forbid"}

    principal: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = Described(
        examples=["ana@example.com"]
    )
    resources: list[Annotated[str, StringConstraints(min_length=1, max_length=63)]] = Described(
        default=[], max_length=1000, description="Good for these only; empty: for all", examples=[["shop-prod"]]
    )
    ttl: Annotated[Duration, Described(gt=0, le=MAX_TTL)] = Described(
        default=8 * 3600.0, description="How long it is good", examples=["8h"]
    )
    description: Annotated[str, StringConstraints(max_length=500)] = Described(default="", examples=["ana's laptop"])


class TokenOut(BaseModel):
    """An issued token, without the token."""

    id: str = Described(examples=["tok-0192f0c1a2b3"])
    principal: str = Described(examples=["ana@example.com"])
    resources: list[str] = Described(examples=[["shop-prod"]])
    description: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str
    last_used_at: datetime | None = Described(description="The last login with it that the gateways told of")
    state: str = Described(description="`active`, `expired` or `revoked`", examples=["active"])


class TokenIssued(TokenOut):
    """A token that was just issued. ``token`` is not kept and cannot be shown again."""

    token: str = Described(description="The database password. Shown once", examples=["qg_…"])
