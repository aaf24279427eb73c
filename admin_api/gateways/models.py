"""Gateways in the store, and as they are shown."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints
from pydantic import Field as Described
from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from admin_api.db import Moment

GatewayName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class GatewayRow(SQLModel, table=True):
    """A gateway that may ask for snapshots. ``credential`` is the SHA-256 of its secret."""

    __tablename__ = "gateways"

    id: str = Field(primary_key=True, max_length=60)
    name: str = Field(unique=True, max_length=63)
    description: str = Field(default="", max_length=500)
    credential: str = Field(max_length=64)
    created_at: datetime = Field(sa_type=Moment)
    created_by: str = Field(max_length=500)
    seen_at: datetime | None = Field(default=None, sa_type=Moment)
    address: str = Field(default="", max_length=100)
    report: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    """The last ``gateway.control.wire.LinkReport``."""


class GatewayCommandRow(SQLModel, table=True):
    """Something that all gateways are to do at once."""

    __tablename__ = "gateway_commands"

    sequence: int | None = Field(default=None, primary_key=True)
    command: dict[str, Any] = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=Moment, index=True)


class GatewayIn(BaseModel):
    """A gateway to be let in."""

    model_config = {"extra": "forbid"}

    name: GatewayName = Described(examples=["gw-eu-1"])
    description: Annotated[str, StringConstraints(max_length=500)] = Described(default="", examples=["Frankfurt"])


class GatewayOut(BaseModel):
    """A gateway as it last told about itself."""

    name: str = Described(examples=["gw-eu-1"])
    description: str
    created_at: datetime
    created_by: str
    seen_at: datetime | None = Described(description="When it last reported")
    state: str = Described(description="`serving`, `troubled`, `lost` or `never_seen`", examples=["serving"])
    detail: str = Described(description="What is wrong, if something is", examples=[""])
    address: str = Described(examples=["10.1.2.3"])
    host: str = Described(default="", examples=["gw-7d9f"])
    version: str = Described(default="", description="Of the software", examples=["0.1.0"])
    sessions: int = Described(default=0, ge=0, examples=[12])
    statements: int = Described(default=0, ge=0, examples=[48210])
    snapshot: int = Described(default=0, ge=0, description="Number of the snapshot in force there", examples=[42])
    up_to_date: bool = Described(default=False, description="Whether that is the newest one", examples=[True])


class GatewayIssued(GatewayOut):
    """A gateway with its credential, which is shown once."""

    credential: str = Described(description="For `control.credential`. Shown once", examples=["qgw_…"])
    signing_key: str = Described(description="For `control.trust`", examples=["ed25519:…"])
