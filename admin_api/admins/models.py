"""Local administrators."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel
from pydantic import Field as Described
from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from admin_api.auth.models import AdminName, NewPassword
from admin_api.db import Moment
from admin_api.security import Role

Roles = Annotated[list[Role], Described(min_length=1, max_length=5)]


class AdminRow(SQLModel, table=True):
    """An account. ``password`` is an Argon2id hash."""

    __tablename__ = "admins"

    id: str = Field(primary_key=True, max_length=60)
    name: str = Field(unique=True, max_length=200)
    password: str = Field(max_length=300)
    roles: list[str] = Field(sa_type=JSON)
    groups: list[str] = Field(sa_type=JSON)
    disabled: bool = False
    version: int = 1
    created_at: datetime = Field(sa_type=Moment)
    created_by: str = Field(max_length=500)
    updated_at: datetime = Field(sa_type=Moment)
    updated_by: str = Field(max_length=500)
    last_login_at: datetime | None = Field(default=None, sa_type=Moment)


class AdminIn(BaseModel):
    """A new administrator."""

    model_config = {"extra": "forbid"}

    name: AdminName = Described(examples=["olga@example.com"])
    password: NewPassword = Described(examples=["a long pass phrase"], json_schema_extra={"writeOnly": True})
    roles: Roles = Described(examples=[["policy-admin"]])
    groups: list[str] = Described(
        default=[], max_length=100, description="Groups of approvers that they are members of", examples=[["dba"]]
    )


class AdminChange(BaseModel):
    """What may be changed; what is left out stays."""

    model_config = {"extra": "forbid"}

    password: NewPassword | None = Described(default=None, json_schema_extra={"writeOnly": True})
    roles: Roles | None = Described(default=None, examples=[["auditor"]])
    groups: list[str] | None = Described(default=None, max_length=100)
    disabled: bool | None = None


class AdminOut(BaseModel):
    """An administrator."""

    id: str
    name: str = Described(examples=["olga@example.com"])
    roles: list[Role]
    groups: list[str]
    disabled: bool
    version: int = Described(ge=1)
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    last_login_at: datetime | None
