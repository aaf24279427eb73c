"""The configuration resolved: immutable values that the rest of the gateway is built from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.config.approvals import ApprovalSettings
from gateway.config.secrets import Secret
from gateway.domain.identity import ScramVerifier, TokenIssuer
from gateway.domain.literals import Literals, strictest
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.policy.compile import CompiledPolicySet
from gateway.policy.globs import Globs
from gateway.policy.labels import Classification
from gateway.protocol.adapter import Limits

if TYPE_CHECKING:
    from gateway.config.documents import ConfigDocument

Address = tuple[str, int]
"""Host and port."""
Network = IPv4Network | IPv6Network


class TlsMode(StrEnum):
    """How the gateway's own listeners are protected."""

    FILES = "files"
    """Certificate and key are given."""
    SELF_SIGNED = "self_signed"
    """Nothing is given: a pair is made at ``certificate`` and ``key`` on the first start."""
    DISABLE = "disable"
    """Plaintext was asked for."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The listeners' certificate (chain, PEM) and key; both None only where TLS is disabled."""

    mode: TlsMode
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """A principal's access token: the secret itself, or only its verifier. Exactly one of the two is there.

    ``resources`` empty means every resource; ``expires_at`` is Unix seconds (None: does not expire).
    """

    principal: Principal
    secret: Secret | None = None
    scram: ScramVerifier | None = None
    resources: frozenset[str] = frozenset()
    expires_at: float | None = None
    id: str | None = None
    """What the audit calls it; None: numbered."""


@dataclass(frozen=True, slots=True)
class JwtIssuer:
    """An issuer of bearer tokens. ``algorithms`` are asymmetric ones only.

    ``jwks`` is a file with the public keys, or ``keys`` are these. ``groups`` turns values of ``groups_claim`` into
    groups, and drops those that it does not name; None takes them as they are. User names that match one of the
    patterns ``users`` need not be principals of the configuration: the token says who they are. ``for_people`` is
    for clients that get a token for the person in front of them.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    jwks: Path | None = None
    username_claim: str = "sub"
    groups_claim: str | None = None
    keys: tuple[Mapping[str, Any], ...] = ()
    groups: Mapping[str, str] | None = None
    users: tuple[str, ...] = ()
    for_people: TokenIssuer | None = None
    leeway: float = 30.0
    """How long a token is good after its end, seconds."""


class Durability(StrEnum):
    """When an audit event is on disk."""

    BEFORE_FORWARD = "before_forward"
    """Before the database sees the statement."""
    BUFFERED = "buffered"
    """Soon afterwards, from a bounded buffer."""


@dataclass(frozen=True, slots=True)
class DurabilitySettings:
    """Durability by what a statement does: ``write`` for everything that is not proven to read only."""

    write: Durability = Durability.BEFORE_FORWARD
    read: Durability = Durability.BUFFERED


@dataclass(frozen=True, slots=True)
class LiteralSettings:
    """What the audit keeps of literals and parameters: by the labels that a statement touches, or else ``default``.

    ``labels`` are patterns over labels. ``default`` None is for a resource that says nothing but labels of its own.
    """

    default: Literals | None = None
    labels: Mapping[str, Literals] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, label: str) -> Literals | None:
        """What the patterns say of a label, the strictest of several; None where none matches."""
        found = [choice for pattern, choice in self.labels.items() if Globs([pattern], ignore_case=True).matches(label)]
        return strictest(found) if found else None

    def all(self) -> frozenset[Literals]:
        """Every choice that is made here."""
        return frozenset(choice for choice in (self.default, *self.labels.values()) if choice is not None)


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """An audit sink by type with its own options; secrets among them are ``Secret``."""

    type: str
    options: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


_NOTHING_OF_ITS_OWN: Final = LiteralSettings()


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """``max_bytes`` bounds what the audit takes on disk (None: the disk); ``min_free`` bytes must stay free there.

    A checkpoint is signed every ``checkpoint_interval`` seconds and given to the ``witnesses``.
    """

    durability: DurabilitySettings = DurabilitySettings()
    durability_by_resource: Mapping[str, DurabilitySettings] = field(default_factory=lambda: MappingProxyType({}))
    literals: LiteralSettings = LiteralSettings()
    literals_by_resource: Mapping[str, LiteralSettings] = field(default_factory=lambda: MappingProxyType({}))
    """What a resource says itself: its default in place of the one for all, its labels before those for all."""
    sinks: tuple[SinkSettings, ...] = (SinkSettings("file"),)
    checkpoint_interval: float = 10.0
    witnesses: tuple[Mapping[str, object], ...] = ()
    max_bytes: int | None = None
    min_free: int = 256 * 1024 * 1024

    def durability_of(self, resource: str) -> DurabilitySettings:
        """A resource's own choice, or the one for all."""
        return self.durability_by_resource.get(resource, self.durability)

    def literals_of(self, resource: str, labels: Iterable[str] | None) -> Literals:
        """What is kept of the values in a statement that touches these labels of a resource.

        ``labels`` None means that nobody knows what it touches: the strictest of all that could apply.
        """
        own = self.literals_by_resource.get(resource, _NOTHING_OF_ITS_OWN)
        least = own.default or self.literals.default or Literals.KEEP
        if labels is None:
            return strictest(own.all() | self.literals.all(), least)
        if not own.labels and not self.literals.labels:
            return least
        return strictest((own.of(label) or self.literals.of(label) or least for label in labels), least)

    def strictest_literals(self) -> Literals:
        """The strictest choice that is made anywhere."""
        made = (settings.all() for settings in (self.literals, *self.literals_by_resource.values()))
        return strictest(frozenset[Literals]().union(*made))


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Limits of the data plane: sizes in bytes, times in seconds, the rest counts."""

    max_message: int = 256 * 1024 * 1024
    """Bytes of one protocol message."""
    max_statement: int = 64 * 1024 * 1024
    """Bytes of one statement's text."""
    login_timeout: float = 30.0
    """Seconds from accepting a connection to an open session."""
    max_sessions: int = 1000
    """Sessions at one time; more are refused."""
    idle_timeout: float | None = None
    """Seconds without a byte from the client after which a session ends; None: never."""
    drain_timeout: float = 30.0
    """Seconds that running sessions get when the gateway stops."""
    statement_cache: int = 10_000
    """Statement texts whose facts and rulings are remembered."""

    def for_protocols(self) -> Limits:
        """The part that a protocol's relay enforces."""
        return Limits(max_message=self.max_message, max_statement=self.max_statement, login_timeout=self.login_timeout)


@dataclass(frozen=True, slots=True)
class OidcIssuer:
    """An OpenID Connect issuer for the admin API. ``roles`` maps values of ``roles_claim`` to roles."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    username_claim: str
    roles_claim: str
    roles: Mapping[str, str]
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Proxies that are believed from where a request comes. ``header`` is the one that they write: no other is read."""

    trusted: tuple[Network, ...]
    header: str = "X-Forwarded-For"


@dataclass(frozen=True, slots=True)
class ControlPlaneSettings:
    """The store and the admin API's own security. Times are seconds.

    ``database`` None means SQLite in ``data_dir``; ``key`` None means a key that is made there. Documents in the store
    may name as secrets only environment variables that match ``secret_variables`` and files in ``secret_folder``.
    ``plaintext``: the admin API is in clear on any address, because a proxy in front of it ends TLS. ``proxies`` None
    means that a request comes from the socket's peer, whatever its headers say.
    """

    database: Secret | None = None
    key: Secret | None = None
    issuer: str = "querygate"
    access_token_ttl: float = 600.0
    refresh_token_ttl: float = 12 * 3600.0
    oidc: tuple[OidcIssuer, ...] = ()
    secret_variables: tuple[str, ...] = ("QUERYGATE_SECRET_*",)
    secret_folder: Path | None = None
    plaintext: bool = False
    proxies: ProxySettings | None = None


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The control plane on another machine. ``credential`` is what it gave out for this gateway.

    ``ca`` None means the system's trust store. ``trust`` is the key that snapshots must be signed with; None trusts the
    one that the control plane names at the first contact, for good. ``approval_grace`` is for how many seconds held
    statements outlive the control plane's absence.
    """

    url: str
    credential: Secret
    ca: Path | None = None
    trust: str | None = None
    approval_grace: float = 15.0


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """Plugins to load, in order; None means the built-in ones and the three protocols where they are installed."""

    enabled: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration file, checked. Holds secrets, none of which its ``repr`` shows."""

    path: Path
    listeners: Mapping[str, Address]
    """By protocol."""
    admin_api: Address | None
    control_plane: ControlPlaneSettings | None
    """None: this configuration is the source of truth for everything, and there is no store."""
    control: ControlSettings | None
    """None: nobody else tells this gateway what to do."""
    data_dir: Path
    tls: TlsSettings
    resources: Mapping[str, Resource]
    credentials: Mapping[str, UpstreamCredentials]
    """By resource; one without credentials needs a plugin that provides them."""
    parameters: Mapping[str, Mapping[str, str]]
    """Session parameters for the upstream connection, by resource."""
    principals: Mapping[str, Principal]
    tokens: tuple[TokenSettings, ...]
    bearers: frozenset[str]
    """Names of principals that prove themselves by a bearer token."""
    jwt: tuple[JwtIssuer, ...]
    classifications: tuple[Classification, ...]
    policies: CompiledPolicySet = field(repr=False)
    audit: AuditSettings
    approvals: ApprovalSettings
    plugins: PluginSettings
    limits: LimitSettings
    document: ConfigDocument = field(repr=False)
    """What it was made from."""
    warnings: tuple[str, ...]
    """What the file's author should look at, each with file, line and key."""

    @property
    def can_decide(self) -> bool:
        """Whether anybody could decide about a statement that waits. Where nobody could, it is refused at once."""
        return self.control is not None or self.control_plane is not None
