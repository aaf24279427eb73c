"""Sessions of administrators, their refresh tokens, and the keys that sign their access tokens."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, StringConstraints
from pydantic import Field as Described
from sqlmodel import Field, SQLModel

from admin_api.db import Moment

MAX_PASSWORD = 1024
Password = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PASSWORD)]
NewPassword = Annotated[str, StringConstraints(min_length=12, max_length=MAX_PASSWORD)]
AdminName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f/#]+$")]


class AdminSessionRow(SQLModel, table=True):
    """What one login opened: the family of its refresh tokens."""

    __tablename__ = "admin_sessions"

    id: str = Field(primary_key=True, max_length=60)
    admin_id: str = Field(max_length=60, index=True)
    created_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    client_address: str = Field(max_length=100)
    revoked_at: datetime | None = Field(default=None, sa_type=Moment)
    revoked_because: str = Field(default="", max_length=200)


class RefreshTokenRow(SQLModel, table=True):
    """One refresh token, by its digest. Each is good for one use."""

    __tablename__ = "refresh_tokens"

    digest: str = Field(primary_key=True, max_length=64)
    session_id: str = Field(max_length=60, index=True)
    created_at: datetime = Field(sa_type=Moment)
    used_at: datetime | None = Field(default=None, sa_type=Moment)


class SigningKeyRow(SQLModel, table=True):
    """A key that signs, or signed, access tokens. The private half is sealed."""

    __tablename__ = "signing_keys"

    kid: str = Field(primary_key=True, max_length=60)
    private_key: str
    created_at: datetime = Field(sa_type=Moment)


class LoginIn(BaseModel):
    """Name and password of a local administrator."""

    model_config = {"extra": "forbid"}

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Described(examples=["root"])
    password: Password = Described(examples=["a long pass phrase"], json_schema_extra={"writeOnly": True})


class BootstrapIn(BaseModel):
    """The first administrator. ``token`` is what the first start wrote to ``data_dir/bootstrap-token``."""

    model_config = {"extra": "forbid"}

    token: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Described(examples=["qgb_…"])
    name: AdminName = Described(examples=["root"])
    password: NewPassword = Described(examples=["a long pass phrase"])


class RefreshIn(BaseModel):
    """A refresh token, which is used up by this."""

    model_config = {"extra": "forbid"}

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Described(examples=["qgr_…"])


class PasswordIn(BaseModel):
    """A change of one's own password."""

    model_config = {"extra": "forbid"}

    current: Password
    new: NewPassword


class Tokens(BaseModel):
    """What a login gives."""

    access_token: str = Described(description="Send it as `Authorization: Bearer …`")
    token_type: str = Described(default="Bearer")
    expires_in: int = Described(description="Seconds", examples=[600])
    refresh_token: str = Described(description="Good for one `POST /v1/auth/refresh`")


class Me(BaseModel):
    """Who calls."""

    name: str = Described(examples=["root"])
    roles: list[str] = Described(examples=[["owner"]])
    issuer: str = Described(description="The OIDC issuer; empty for a local administrator", examples=[""])
