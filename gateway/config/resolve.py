"""From the file's shape to domain values: secrets are fetched, paths made absolute, names looked up."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.config.documents import (
    AuditDocument,
    ClassificationDocument,
    ConfigDocument,
    ControlDocument,
    ControlPlaneDocument,
    DurabilityDocument,
    IdentityDocument,
    LimitsDocument,
    LiteralsDocument,
    PrincipalDocument,
    ResourceDocument,
    TlsDocument,
    TokenDocument,
)
from gateway.config.findings import Findings
from gateway.config.secrets import InlineSource, Secret, SecretSource, parse_source, read_secret
from gateway.config.settings import (
    AuditSettings,
    ControlPlaneSettings,
    ControlSettings,
    DurabilitySettings,
    JwtIssuer,
    LimitSettings,
    LiteralSettings,
    OidcIssuer,
    ProxySettings,
    SinkSettings,
    TlsMode,
    TlsSettings,
    TokenSettings,
)
from gateway.domain.identity import ScramVerifier, TokenIssuer
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.resource import Resource, UpstreamCredentials, UpstreamTls, UpstreamTlsMode
from gateway.policy.labels import Classification
from gateway.policy.problems import Location, suggestion

_SHORT_TOKEN: Final = 20
"""Characters below which a token is probably a password that somebody made up."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """What is needed to look things up: the file's folder, the environment, and where to say what is wrong."""

    folder: Path
    environ: Mapping[str, str]
    findings: Findings
    open_sealed: Callable[[str], str] | None = None

    def file(self, text: str, location: Location) -> Path:
        """A file that must be there and readable, as an absolute path."""
        path = self.folder / text
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            self.findings.problem(location, f"cannot read {path}: {error.strerror}")
        return path

    def key_file(self, text: str, location: Location) -> Path:
        """A private key: like ``file``, and others should not be able to read it."""
        path = self.file(text, location)
        if path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            self.findings.warning(location, f"{path} can be read by others than its owner")
        return path

    def optional(self, text: str | None, location: Location, read: Callable[[str, Location], Path]) -> Path | None:
        """The same where there may be none."""
        return None if text is None else read(text, location)

    def secret(self, source: SecretSource, location: Location) -> Secret | None:
        """A secret's value; None (and a problem) where it cannot be read."""
        if isinstance(source, InlineSource):
            self.findings.warning(location, "a secret stands in the file itself; use {env: NAME} or {file: path}")
        try:
            return read_secret(source, environ=self.environ, folder=self.folder, open_sealed=self.open_sealed)
        except ValueError as error:
            self.findings.problem(location, str(error))
            return None


def resolve_tls(document: TlsDocument | None, data_dir: Path, resolver: Resolver) -> TlsSettings:
    """The listeners' TLS; nothing said means a self-signed pair in ``data_dir``."""
    if document is None:
        return TlsSettings(TlsMode.SELF_SIGNED, data_dir / "gateway.crt", data_dir / "gateway.key")
    given = {"certificate": document.certificate, "key": document.key}
    if document.mode == "disable":
        for name, value in given.items():
            if value is not None:
                resolver.findings.problem(("tls", name), "has no meaning while TLS is disabled")
        return TlsSettings(TlsMode.DISABLE)
    for name, value in given.items():
        if value is None:
            resolver.findings.problem(("tls",), f'the key "{name}" is missing')
    return TlsSettings(
        TlsMode.FILES,
        resolver.optional(document.certificate, ("tls", "certificate"), resolver.file),
        resolver.optional(document.key, ("tls", "key"), resolver.key_file),
    )


def resolve_resource(document: ResourceDocument, index: int, resolver: Resolver) -> Resource:
    """One resource, without its credentials."""
    place: Location = ("resources", index, "tls")
    tls = document.tls
    if (tls.certificate is None) != (tls.key is None):
        resolver.findings.problem(place, '"certificate" and "key" go together')
    if tls.mode is UpstreamTlsMode.VERIFY_CA and tls.ca is None:
        resolver.findings.problem(
            place, '"verify-ca" needs "ca": the system trusts any certificate that anybody can buy'
        )
    if tls.mode is UpstreamTlsMode.DISABLE and not is_loopback(document.address[0]):
        resolver.findings.warning(place, "the connection to the database is not encrypted")
    if tls.mode is UpstreamTlsMode.REQUIRE:
        resolver.findings.warning(place, 'with "require" nobody checks that the server is the right one')
    return Resource(
        name=document.name,
        protocol=document.protocol,
        host=document.address[0],
        port=document.address[1],
        database=document.database,
        environment=document.environment,
        labels=MappingProxyType(dict(document.labels)),
        tls=UpstreamTls(
            mode=tls.mode,
            ca=resolver.optional(tls.ca, (*place, "ca"), resolver.file),
            certificate=resolver.optional(tls.certificate, (*place, "certificate"), resolver.file),
            key=resolver.optional(tls.key, (*place, "key"), resolver.key_file),
        ),
        listen=document.listen,
        parameters=MappingProxyType(dict(document.parameters)),
    )


def resolve_credentials(document: ResourceDocument, index: int, resolver: Resolver) -> UpstreamCredentials | None:
    """What to log in with; None where a plugin must provide it, or where the secret cannot be read."""
    place: Location = ("resources", index, "credentials")
    if document.credentials is None:
        resolver.findings.warning(place[:-1], "no credentials: a plugin must provide them")
        return None
    password: Secret | None = None
    if document.credentials.password is not None:
        password = resolver.secret(document.credentials.password, (*place, "password"))
    return UpstreamCredentials(document.credentials.username, None if password is None else password.reveal())


def resolve_principals(documents: tuple[PrincipalDocument, ...], resolver: Resolver) -> dict[str, Principal]:
    """All principals by name, each holding whom it acts for."""
    by_name = {document.name: (index, document) for index, document in enumerate(documents)}
    done: dict[str, Principal] = {}

    def build(name: str, above: tuple[str, ...]) -> Principal:
        if name in done:
            return done[name]
        index, document = by_name[name]
        place: Location = ("principals", index, "acts_for")
        target: Principal | None = None
        if document.acts_for is not None:
            if document.acts_for in (*above, name):
                resolver.findings.problem(place, "principals act for each other in a circle")
            elif document.acts_for not in by_name:
                hint = suggestion(document.acts_for, by_name)
                resolver.findings.problem(place, f'there is no principal "{document.acts_for}"{hint}')
            else:
                target = build(document.acts_for, (*above, name))
            if document.kind is PrincipalKind.HUMAN:
                resolver.findings.problem(place, "a human acts for nobody else; only services and agents do")
        done[name] = Principal(
            name=name,
            kind=document.kind,
            groups=frozenset(document.groups),
            attributes=MappingProxyType(dict(document.attributes)),
            acts_for=target,
        )
        return done[name]

    return {name: build(name, ()) for name in by_name}


def resolve_token(
    document: PrincipalDocument, index: int, principal: Principal, resolver: Resolver
) -> TokenSettings | None:
    """The principal's access token, if it has one that can be read."""
    place: Location = ("principals", index, "token")
    if document.token is None:
        return None
    scram: ScramVerifier | None = None
    secret: Secret | None = None
    if isinstance(document.token, ScramVerifier):
        scram = document.token
    else:
        secret = resolver.secret(document.token, place)
        if secret is None:
            return None
        if len(secret.reveal()) < _SHORT_TOKEN:
            resolver.findings.warning(
                place, f"shorter than {_SHORT_TOKEN} characters; tokens should be random and long"
            )
    expires = None if document.expires is None else _timestamp(document.expires)
    return TokenSettings(principal, secret, scram, frozenset(document.resources), expires)


def resolve_issued(
    documents: tuple[TokenDocument, ...], principals: Mapping[str, Principal], resolver: Resolver
) -> tuple[TokenSettings, ...]:
    """Tokens that were issued; one of a principal who is no longer there proves nothing, and is left out."""
    issued = []
    seen: set[str] = set()
    for index, document in enumerate(documents):
        if document.id in seen:
            resolver.findings.problem(("tokens", index, "id"), f'the token "{document.id}" is there twice')
        seen.add(document.id)
        if (principal := principals.get(document.principal)) is not None:
            expires = None if document.expires is None else _timestamp(document.expires)
            resources = frozenset(document.resources)
            issued.append(TokenSettings(principal, None, document.verifier, resources, expires, document.id))
    return tuple(issued)


def resolve_jwt(document: IdentityDocument, resolver: Resolver) -> tuple[JwtIssuer, ...]:
    """Issuers of bearer tokens."""
    return tuple(
        JwtIssuer(
            issuer=item.issuer,
            audience=item.audience,
            algorithms=item.algorithms,
            jwks=resolver.optional(item.jwks.file, ("identity", "jwt", index, "jwks", "file"), resolver.file),
            username_claim=item.username_claim,
            groups_claim=item.groups_claim,
            keys=item.jwks.keys,
            groups=None if item.groups is None else MappingProxyType(dict(item.groups)),
            users=item.users,
            for_people=None if item.client_id is None else TokenIssuer(item.issuer, item.client_id, item.scopes),
            leeway=document.expiry_leeway,
        )
        for index, item in enumerate(document.jwt)
    )


def resolve_control(document: ControlDocument | None, resolver: Resolver) -> ControlSettings | None:
    """The link to a control plane, where there is one."""
    if document is None:
        return None
    credential = resolver.secret(document.credential, ("control", "credential"))
    return ControlSettings(
        url=document.url.rstrip("/"),
        credential=Secret("") if credential is None else credential,
        ca=resolver.optional(document.ca, ("control", "ca"), resolver.file),
        trust=document.trust,
        approval_grace=document.approval_grace,
    )


def resolve_control_plane(document: ControlPlaneDocument | None, resolver: Resolver) -> ControlPlaneSettings | None:
    """The store's and the admin API's settings, where they are wanted."""
    if document is None:
        return None
    place: Location = ("control_plane",)

    def secret(source: SecretSource | None, key: str) -> Secret | None:
        return None if source is None else resolver.secret(source, (*place, key))

    return ControlPlaneSettings(
        database=secret(document.database, "database"),
        key=secret(document.key, "key"),
        issuer=document.issuer,
        access_token_ttl=document.access_token_ttl,
        refresh_token_ttl=document.refresh_token_ttl,
        oidc=tuple(
            OidcIssuer(
                issuer=item.issuer,
                audience=item.audience,
                algorithms=item.algorithms,
                username_claim=item.username_claim,
                roles_claim=item.roles_claim,
                roles=MappingProxyType(dict(item.roles)),
                ca=resolver.optional(item.ca, (*place, "oidc", index, "ca"), resolver.file),
            )
            for index, item in enumerate(document.oidc)
        ),
        secret_variables=document.secrets.env,
        secret_folder=None if document.secrets.folder is None else resolver.folder / document.secrets.folder,
        plaintext=document.plaintext,
        proxies=None if document.proxies is None else ProxySettings(document.proxies.trusted, document.proxies.header),
    )


def resolve_classifications(
    documents: tuple[ClassificationDocument, ...], resolver: Resolver
) -> tuple[Classification, ...]:
    """All patterns of all classifications."""
    found: list[Classification] = []
    for index, document in enumerate(documents):
        if not document.columns and not document.paths:
            resolver.findings.problem(("classifications", index), 'needs "columns" or "paths"')
        for key, patterns in (("columns", document.columns), ("paths", document.paths)):
            for position, pattern in enumerate(patterns):
                try:
                    item = Classification.parse(
                        resource=document.resource, label=document.label, pattern=pattern, path=key == "paths"
                    )
                except ValueError as error:
                    resolver.findings.problem(("classifications", index, key, position), str(error))
                else:
                    found.append(item)
    return tuple(found)


def resolve_audit(document: ConfigDocument, resolver: Resolver) -> AuditSettings:
    """The audit, with the resources' own choices."""
    audit: AuditDocument = document.audit
    choices = {item.name: item.audit for item in document.resources if item.audit is not None}
    durable = {name: _durability(own.durability) for name, own in choices.items() if own.durability is not None}
    literals = {name: _literals(own.literals) for name, own in choices.items() if own.literals is not None}
    return AuditSettings(
        durability=_durability(audit.durability),
        durability_by_resource=MappingProxyType(durable),
        literals=_literals(audit.literals),
        literals_by_resource=MappingProxyType(literals),
        sinks=tuple(
            SinkSettings(
                sink.type,
                MappingProxyType(
                    {
                        key: _option(value, ("audit", "sinks", index, key), resolver)
                        for key, value in (sink.__pydantic_extra__ or {}).items()
                    }
                ),
            )
            for index, sink in enumerate(audit.sinks)
        ),
        checkpoint_interval=audit.checkpoint_interval,
        witnesses=tuple(MappingProxyType(item.model_dump(exclude_none=True)) for item in audit.witnesses),
        max_bytes=audit.max_bytes,
        min_free=audit.min_free,
    )


def resolve_limits(document: LimitsDocument) -> LimitSettings:
    """Limits; an idle timeout of zero means none."""
    return LimitSettings(
        max_message=document.max_message,
        max_statement=document.max_statement,
        login_timeout=document.login_timeout,
        max_sessions=document.max_sessions,
        idle_timeout=document.idle_timeout or None,
        drain_timeout=document.drain_timeout,
        statement_cache=document.statement_cache,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host's address. A name may be anywhere, whatever it begins with."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _durability(document: DurabilityDocument) -> DurabilitySettings:
    return DurabilitySettings(write=document.write, read=document.read)


def _literals(document: LiteralsDocument) -> LiteralSettings:
    return LiteralSettings(document.default, MappingProxyType(dict(document.labels)))


def _option(value: object, place: Location, resolver: Resolver) -> object:
    match value:
        case {"env": str(), **rest} | {"file": str(), **rest} if not rest:
            return resolver.secret(parse_source(value), place)
        case dict():
            return MappingProxyType({key: _option(item, (*place, key), resolver) for key, item in value.items()})
        case list():
            return tuple(_option(item, (*place, index), resolver) for index, item in enumerate(value))
        case _:
            return value


def _timestamp(moment: datetime | date) -> float:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    # A time without a zone is taken as UTC, so that it means the same on every machine.
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
