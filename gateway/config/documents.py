"""The shape of the configuration file, before anything in it is looked up."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StrictStr

from gateway.config.secrets import SecretField
from gateway.config.settings import Durability, Literals
from gateway.config.verifier import TokenField
from gateway.domain.principal import PrincipalKind
from gateway.domain.resource import UpstreamTlsMode
from gateway.policy.documents import Document, PolicyDocument, Text
from gateway.policy.units import Duration, Size

_RESOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,31}")


def parse_address(value: object) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``. Raises ``ValueError`` for anything else."""
    if isinstance(value, str):
        host, colon, port = value.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        plain = bracketed or ":" not in host
        if colon and host and plain and port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65_536:
            return host, int(port)
    raise ValueError('not an address; write "host:port", such as "127.0.0.1:5432" or "[::1]:5432"')


def _resource_name(name: str) -> str:
    # "/" and "#" separate the resource from the database and from the user in what clients send.
    if _RESOURCE_NAME.fullmatch(name) is None:
        raise ValueError("a resource's name has letters, digits, dots, dashes and underscores only, at most 63")
    return name


def _principal_name(name: str) -> str:
    if "#" in name or not name.isprintable() or name != name.strip():
        raise ValueError('a principal\'s name has no "#", no control characters and no spaces around it')
    return name


def _word(name: str) -> str:
    if _WORD.fullmatch(name) is None:
        raise ValueError("lower-case letters, digits and underscores only")
    return name


AddressField = Annotated[tuple[str, int], BeforeValidator(parse_address)]
# A symmetric algorithm would let everybody who can check a token make one.
Asymmetric = Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
Word = Annotated[StrictStr, AfterValidator(_word)]


class TlsDocument(Document):
    """``{certificate, key}`` or ``{mode: disable}``."""

    mode: Literal["files", "disable"] | None = None
    certificate: Text | None = None
    key: Text | None = None


class UpstreamTlsDocument(Document):
    """TLS towards one database."""

    mode: UpstreamTlsMode = UpstreamTlsMode.VERIFY_FULL
    ca: Text | None = None
    certificate: Text | None = None
    key: Text | None = None


class CredentialsDocument(Document):
    """What the gateway logs in to a database with."""

    username: Text
    password: SecretField | None = None


class DurabilityDocument(Document):
    """When audit events are on disk."""

    write: Durability = Durability.BEFORE_FORWARD
    read: Durability = Durability.BUFFERED


class ResourceAuditDocument(Document):
    """A resource's own audit settings."""

    durability: DurabilityDocument


class ResourceDocument(Document):
    """One database server."""

    name: Annotated[StrictStr, AfterValidator(_resource_name)]
    protocol: Word
    address: AddressField
    database: Text | None = None
    credentials: CredentialsDocument | None = None
    tls: UpstreamTlsDocument = UpstreamTlsDocument()
    environment: StrictStr = ""
    labels: dict[Text, StrictStr] = Field(default_factory=dict)
    listen: AddressField | None = None
    parameters: dict[Text, StrictStr] = Field(default_factory=dict)
    audit: ResourceAuditDocument | None = None


class PrincipalDocument(Document):
    """Somebody who acts."""

    name: Annotated[Text, AfterValidator(_principal_name)]
    kind: PrincipalKind = PrincipalKind.HUMAN
    groups: tuple[Text, ...] = ()
    attributes: dict[Text, StrictStr] = Field(default_factory=dict)
    acts_for: Text | None = None
    token: TokenField | None = None
    resources: tuple[Text, ...] = ()
    expires: datetime | date | None = None
    bearer: StrictBool = False


class KeysDocument(Document):
    """Where an issuer's public keys are."""

    file: Text


class JwtDocument(Document):
    """An issuer of bearer tokens."""

    issuer: Text
    audience: Text
    algorithms: Annotated[tuple[Asymmetric, ...], Field(min_length=1)]
    jwks: KeysDocument
    username_claim: Text = "sub"
    groups_claim: Text | None = None


class IdentityDocument(Document):
    """Ways to prove an identity beyond access tokens."""

    jwt: tuple[JwtDocument, ...] = ()


class ClassificationDocument(Document):
    """A label on columns (``schema.table.column``) or paths (``database.collection.path``)."""

    resource: Text
    label: Text
    columns: tuple[Text, ...] = ()
    paths: tuple[Text, ...] = ()


class SinkDocument(Document):
    """An audit sink; every key but ``type`` is the sink's own."""

    model_config = Document.model_config | {"extra": "allow"}
    __pydantic_extra__: dict[str, Any]

    type: Word


class AuditDocument(Document):
    """The audit."""

    durability: DurabilityDocument = DurabilityDocument()
    literals: Literals = Literals.KEEP
    sinks: Annotated[tuple[SinkDocument, ...], Field(min_length=1)] = (SinkDocument(type="file"),)
    max_bytes: Size | None = None
    min_free: Size = 256 * 1024 * 1024


class PluginsDocument(Document):
    """Plugins to load, in order."""

    enabled: tuple[Text, ...] | None = None


class LimitsDocument(Document):
    """Limits of the data plane; see ``LimitSettings`` for units."""

    max_message: Annotated[Size, Field(ge=16 * 1024)] = 256 * 1024 * 1024
    max_statement: Annotated[Size, Field(ge=1024)] = 64 * 1024 * 1024
    login_timeout: Annotated[Duration, Field(gt=0)] = 30.0
    max_sessions: Annotated[StrictInt, Field(ge=1)] = 1000
    idle_timeout: Duration | None = None
    drain_timeout: Duration = 30.0
    statement_cache: Annotated[StrictInt, Field(ge=0)] = 10_000


class ConfigDocument(Document):
    """The whole file."""

    listeners: dict[Word, AddressField] = Field(default_factory=dict)
    admin_api: AddressField | None = None
    data_dir: Text = "./data"
    tls: TlsDocument | None = None
    resources: tuple[ResourceDocument, ...] = ()
    principals: tuple[PrincipalDocument, ...] = ()
    identity: IdentityDocument = IdentityDocument()
    classifications: tuple[ClassificationDocument, ...] = ()
    policies: tuple[PolicyDocument, ...] = ()
    policy_library: tuple[Text, ...] = ()
    audit: AuditDocument = AuditDocument()
    plugins: PluginsDocument = PluginsDocument()
    limits: LimitsDocument = LimitsDocument()
