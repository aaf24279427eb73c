"""Resources: the databases behind the gateway."""

from typing import Annotated, Any, Final

from pydantic import Field, WithJsonSchema

from admin_api.documents.models import DocumentRow, Meta
from gateway.config.documents import CredentialsDocument, ResourceDocument
from gateway.config.secrets import SECRET_SCHEMA

SECRET: Final = {
    "description": "{env: NAME}, {file: path} or the secret itself, which is sealed and never shown. "
    "Shown as {sealed: true}; sent back like that it stays as it is",
    "anyOf": [
        *SECRET_SCHEMA["anyOf"],
        {
            "type": "object",
            "properties": {"sealed": {"const": True}},
            "required": ["sealed"],
            "additionalProperties": False,
        },
    ],
}
AnySecret = Annotated[Any, WithJsonSchema(SECRET)]


class ResourceRow(DocumentRow, table=True):
    """A resource's document."""

    __tablename__ = "resources"


class CredentialsIn(CredentialsDocument):
    """What the gateway logs in to the database with."""

    password: AnySecret = None


class ResourceIn(ResourceDocument):
    """One database server, as in the configuration file."""

    credentials: CredentialsIn | None = None
    meta: Any = Field(default=None, description="Ignored, so that an answer can be sent back")


class ResourceOut(ResourceDocument):
    """One database server, and what the store knows about it."""

    credentials: CredentialsIn | None = None
    meta: Meta


EXAMPLE: Final[dict[str, Any]] = {
    "name": "shop-prod",
    "protocol": "postgres",
    "address": "127.0.0.1:5432",
    "database": "shop",
    "credentials": {"username": "gateway", "password": {"env": "QUERYGATE_SECRET_SHOP"}},
    "tls": {"mode": "verify-full", "ca": "ca.pem"},
    "environment": "production",
    "labels": {"team": "shop"},
}
