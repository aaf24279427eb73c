"""Snapshots in the store."""

from datetime import datetime

from pydantic import BaseModel
from pydantic import Field as Described
from sqlalchemy import LargeBinary
from sqlmodel import Field, SQLModel

from admin_api.db import Moment


class SnapshotRow(SQLModel, table=True):
    """A snapshot that was published. ``signed`` is its signed form, compressed by zlib."""

    __tablename__ = "snapshots"

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    name: str = Field(unique=True, max_length=64)
    documents: str = Field(max_length=64, index=True)
    """Digest of everything but the tokens."""
    created_at: datetime = Field(sa_type=Moment)
    size: int
    signed: bytes = Field(sa_type=LargeBinary)


class SnapshotOut(BaseModel):
    """A snapshot."""

    number: int = Described(ge=1, examples=[42])
    name: str = Described(description="SHA-256 of its bytes", examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"])
    created_at: datetime
    size: int = Described(ge=0, description="Bytes, not compressed", examples=[18250])
    current: bool = Described(description="Whether it is the newest", examples=[True])
    gateways: list[str] = Described(
        default=[], description="The gateways that decide by it, as they last told", examples=[["gw-1"]]
    )


class SnapshotContent(SnapshotOut):
    """A snapshot with its documents. Secrets and verifiers are not shown."""

    sections: dict[str, list[dict[str, object]]]


class RestoreIn(BaseModel):
    """How to go back to a snapshot."""

    model_config = {"extra": "forbid"}

    allow_lockout: bool = Described(default=False, description="Also where it takes away your own access")


class SigningKeyOut(BaseModel):
    """The key that gateways trust."""

    key: str = Described(examples=["ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="])
