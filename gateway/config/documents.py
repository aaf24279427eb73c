"""The shape of the configuration file, before anything in it is looked up."""

from __future__ import annotations

import re
from datetime import date, datetime
from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from gateway.config.approvals import ApprovalsDocument
from gateway.config.secrets import SecretField
from gateway.config.settings import Durability, Network
from gateway.config.verifier import TokenField, VerifierField
from gateway.domain.literals import Literals
from gateway.domain.principal import PrincipalKind
from gateway.domain.resource import UpstreamTlsMode
from gateway.policy.documents import Document, PolicyDocument, Text
from gateway.policy.fields import Duration, Size

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


AddressField = Annotated[
    tuple[str, int],
    BeforeValidator(parse_address),
    WithJsonSchema({"type": "string", "description": "host:port", "examples": ["127.0.0.1:5432", "[::1]:5432"]}),
]
# A symmetric algorithm would let everybody who can check a token make one.
Asymmetric = Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
AdminRole = Literal["viewer", "auditor", "approver", "policy-admin", "owner"]
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


class LiteralsDocument(Document):
    """What the audit keeps of literals and parameters: a word for all, or also by label. See ``LiteralSettings``."""

    default: Literals | None = None
    labels: dict[Text, Literals] = Field(default_factory=dict)


def _literals(value: object) -> object:
    return {"default": value} if isinstance(value, str) else value


LiteralsField = Annotated[LiteralsDocument, BeforeValidator(_literals)]


class ResourceAuditDocument(Document):
    """A resource's own audit settings."""

    durability: DurabilityDocument | None = None
    literals: LiteralsField | None = None


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


class TokenDocument(Document):
    """An access token that was issued: its verifier, never the token. ``resources`` empty means all."""

    id: Annotated[Text, Field(max_length=100)]
    principal: Text
    verifier: VerifierField
    resources: tuple[Text, ...] = ()
    expires: datetime | date | None = None


class KeysDocument(Document):
    """An issuer's public keys: in a file that is followed, or here (JWK, RFC 7517)."""

    file: Text | None = None
    keys: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.file is None) == (not self.keys):
            raise ValueError('needs "file" or "keys", and not both')
        return self


class JwtDocument(Document):
    """An issuer of bearer tokens."""

    issuer: Text
    audience: Text
    algorithms: Annotated[tuple[Asymmetric, ...], Field(min_length=1)]
    jwks: KeysDocument
    username_claim: Text = "sub"
    groups_claim: Text | None = None
    groups: dict[Text, Text] | None = None
    users: tuple[Text, ...] = ()
    client_id: Text | None = None
    scopes: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _groups_have_a_claim(self) -> Self:
        if self.groups is not None and self.groups_claim is None:
            raise ValueError('"groups" maps the values of "groups_claim", which is missing')
        return self


class IdentityDocument(Document):
    """Ways to prove an identity beyond access tokens."""

    jwt: tuple[JwtDocument, ...] = ()
    expiry_leeway: Annotated[Duration, Field(ge=0, le=300)] = 30.0


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


class WitnessDocument(Document):
    """A second place for checkpoints: exactly one of the keys."""

    directory: Text | None = None
    command: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    url: Annotated[StrictStr, Field(pattern="^https?://")] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.directory, self.command, self.url)) != 1:
            raise ValueError('needs exactly one of "directory", "command" and "url"')
        return self


class AuditDocument(Document):
    """The audit."""

    durability: DurabilityDocument = DurabilityDocument()
    literals: LiteralsField = LiteralsDocument(default=Literals.KEEP)
    sinks: Annotated[tuple[SinkDocument, ...], Field(min_length=1)] = (SinkDocument(type="file"),)
    checkpoint_interval: Annotated[Duration, Field(ge=0.1)] = 10.0
    witnesses: tuple[WitnessDocument, ...] = ()
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


class OidcDocument(Document):
    """An OpenID Connect issuer whose people may use the admin API. ``roles`` maps values of a claim to roles."""

    issuer: Annotated[StrictStr, Field(pattern=r"^https://[^\s?#]+$", max_length=500)]
    audience: Text
    algorithms: Annotated[tuple[Asymmetric, ...], Field(min_length=1)] = ("RS256", "ES256")
    username_claim: Text = "email"
    roles_claim: Text = "groups"
    roles: Annotated[dict[Text, AdminRole], Field(min_length=1)]
    ca: Text | None = None


class SecretReferencesDocument(Document):
    """Which secrets of the machine documents in the store may name: environment variables, files of one folder."""

    env: tuple[Text, ...] = ("QUERYGATE_SECRET_*",)
    folder: Text | None = None


def _network(value: object) -> Network:
    """``10.0.0.0/8``, ``10.0.0.5`` or ``2001:db8::/32``. Raises ``ValueError`` for anything else, and for everybody."""
    if not isinstance(value, str):
        raise ValueError('not a network; write "10.0.0.0/8" or "10.0.0.5"')
    network = ip_network(value)
    if network.prefixlen == 0:
        raise ValueError("that is everybody, so that everybody could claim any address; name the proxies")
    return network


class ProxiesDocument(Document):
    """Proxies in front of the admin API that are believed where a request comes from. See ``ProxySettings``."""

    trusted: Annotated[
        tuple[
            Annotated[
                Network,
                BeforeValidator(_network),
                WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8", "10.0.0.5"]}),
            ],
            ...,
        ],
        Field(min_length=1),
    ]
    header: Literal["X-Forwarded-For", "Forwarded"] = "X-Forwarded-For"


class ControlPlaneDocument(Document):
    """The store and the admin API's own security. See ``ControlPlaneSettings``."""

    database: SecretField | None = None
    key: SecretField | None = None
    issuer: Text = "querygate"
    access_token_ttl: Annotated[Duration, Field(ge=60, le=3600)] = 600.0
    refresh_token_ttl: Annotated[Duration, Field(ge=600, le=30 * 86400)] = 12 * 3600.0
    oidc: tuple[OidcDocument, ...] = ()
    plaintext: StrictBool = False
    proxies: ProxiesDocument | None = None
    secrets: SecretReferencesDocument = SecretReferencesDocument()


class ControlDocument(Document):
    """The control plane that this gateway gets its documents from. See ``ControlSettings``."""

    url: Annotated[StrictStr, Field(pattern=r"^https?://[^\s?#]+$", max_length=500)]
    credential: SecretField
    ca: Text | None = None
    trust: Annotated[StrictStr, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")] | None = None
    approval_grace: Annotated[Duration, Field(gt=0, le=300)] = 15.0


class SectionsDocument(Document):
    """What the store keeps, where there is one."""

    resources: tuple[ResourceDocument, ...] = ()
    principals: tuple[PrincipalDocument, ...] = ()
    tokens: tuple[TokenDocument, ...] = ()
    classifications: tuple[ClassificationDocument, ...] = ()
    policies: tuple[PolicyDocument, ...] = ()


class ConfigDocument(SectionsDocument):
    """The whole file."""

    listeners: dict[Word, AddressField] = Field(default_factory=dict)
    admin_api: AddressField | None = None
    control_plane: ControlPlaneDocument | None = None
    control: ControlDocument | None = None
    data_dir: Text = "./data"
    tls: TlsDocument | None = None
    identity: IdentityDocument = IdentityDocument()
    policy_library: tuple[Text, ...] = ()
    audit: AuditDocument = AuditDocument()
    approvals: ApprovalsDocument = ApprovalsDocument()
    plugins: PluginsDocument = PluginsDocument()
    limits: LimitsDocument = LimitsDocument()
