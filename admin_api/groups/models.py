"""Groups of principals: words that policies speak of, with a description and members."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, StringConstraints
from pydantic import Field as Described
from sqlmodel import Field, SQLModel

from admin_api.db import Moment

GroupName = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f/]+$")]


class GroupRow(SQLModel, table=True):
    """A group. Who is in it stands in the principals' documents."""

    __tablename__ = "groups"

    id: str = Field(primary_key=True, max_length=60)
    name: str = Field(unique=True, max_length=1000)
    description: str = Field(default="", max_length=1000)
    version: int = 1
    created_at: datetime = Field(sa_type=Moment)
    created_by: str = Field(max_length=500)
    updated_at: datetime = Field(sa_type=Moment)
    updated_by: str = Field(max_length=500)


class GroupIn(BaseModel):
    """A new group."""

    model_config = {"extra": "forbid"}

    name: GroupName = Described(examples=["analysts"])
    description: Annotated[str, StringConstraints(max_length=1000)] = Described(default="", examples=["read, masked"])


class GroupChange(BaseModel):
    """What can be changed about a group."""

    model_config = {"extra": "forbid"}

    description: Annotated[str, StringConstraints(max_length=1000)] = Described(examples=["read, masked"])


class GroupOut(BaseModel):
    """A group with the names of its members."""

    id: str
    name: str = Described(examples=["analysts"])
    description: str
    members: list[str] = Described(examples=[["ana@example.com"]])
    version: int = Described(ge=1)
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
