"""What of a configuration changes while the gateway runs, and how it is made ready beforehand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.config import AuditSettings, Config
from gateway.databases import Databases
from gateway.domain.identity import AccessToken
from gateway.domain.masking import MaskingFunction, MaskSpec
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.statement import ColumnRef
from gateway.errors import ConfigurationError
from gateway.identity.jwks import FixedKeys, KeySet
from gateway.identity.jwt import BearerVerifier
from gateway.identity.tokens import access_token
from gateway.masking.functions import MaskingFunctions
from gateway.policy.paths import LabelledPath
from gateway.policy.snapshot import Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A configuration made ready to decide by: everything that takes time is done, and nothing is in force yet."""

    config: Config
    snapshot: Snapshot
    tokens: Mapping[str, tuple[AccessToken, ...]]
    verifiers: tuple[BearerVerifier, ...]


class Live:
    """What plugins ask for at call time: it changes with the configuration, or is made after them."""

    def __init__(self, config: Config, secret: bytes) -> None:
        self._secret = secret
        self.databases: Databases | None = None
        self.masking: MaskingFunctions | None = None
        self.audit = config.audit
        self.use(self.prepare(config))

    def prepare(self, config: Config) -> Prepared:
        """What can be worked out beside everything else, in any thread."""
        return Prepared(
            config, Snapshot.from_config(config), _configured_tokens(config, self._secret), _verifiers(config)
        )

    def use(self, prepared: Prepared) -> None:
        config = prepared.config
        self.snapshot = prepared.snapshot
        self.tokens = prepared.tokens
        self.credentials = config.credentials
        self.audit = _audit_choices(self.audit, config.audit)
        self.bearers = config.bearers
        self.verifiers = prepared.verifiers

    def asks_for_password(self, user: str) -> bool:
        """Whether the user comes with a bearer token, and is therefore asked for a clear password inside TLS."""
        return user in self.bearers or any(verifier.covers(user) for verifier in self.verifiers)

    def current(self) -> Snapshot:
        return self.snapshot

    def principals(self) -> Mapping[str, Principal]:
        return self.snapshot.principals

    def upstream_credentials(self) -> Mapping[str, UpstreamCredentials]:
        return self.credentials

    def labels_of(self, resource: Resource, column: ColumnRef) -> frozenset[str]:
        if self.databases is None:
            raise ConfigurationError("labels were asked for before anything was classified")
        return self.databases.labels_of(resource, column)

    def paths_of(self, resource: Resource, schema: str, table: str) -> tuple[LabelledPath, ...]:
        if self.databases is None:
            raise ConfigurationError("labelled paths were asked for before anything was classified")
        return self.databases.paths_of(resource, schema, table)

    def masking_function(self, spec: MaskSpec) -> MaskingFunction:
        if self.masking is None:
            raise ConfigurationError("a masking function was asked for before any was registered")
        return self.masking(spec)


def _audit_choices(started: AuditSettings, now: AuditSettings) -> AuditSettings:
    """What resources say of their own audit changes with them; the section ``audit`` stays as it was at the start."""
    return replace(
        started, durability_by_resource=now.durability_by_resource, literals_by_resource=now.literals_by_resource
    )


def _configured_tokens(config: Config, secret: bytes) -> dict[str, tuple[AccessToken, ...]]:
    """Tokens from the configuration, in the form in which they are kept."""
    tokens: dict[str, tuple[AccessToken, ...]] = {}
    for index, setting in enumerate(config.tokens):
        principal = setting.principal
        identifier = setting.id or f"config-{index}"
        if setting.scram is not None:
            token = AccessToken(identifier, principal, setting.scram, setting.resources, setting.expires_at)
        elif setting.secret is not None:
            token = access_token(
                identifier,
                principal,
                setting.secret.reveal(),
                install_secret=secret,
                resources=setting.resources,
                expires_at=setting.expires_at,
            )
        else:
            continue
        tokens[principal.name] = (*tokens.get(principal.name, ()), token)
    return tokens


def _verifiers(config: Config) -> tuple[BearerVerifier, ...]:
    """For the JWTs of the issuers that the configuration names. Keys in files are followed."""
    return tuple(
        BearerVerifier(
            issuer,
            FixedKeys(issuer.keys) if issuer.jwks is None else KeySet(issuer.jwks),
            clock=time.time,
            leeway=issuer.leeway,
            for_people=issuer.for_people,
        )
        for issuer in config.jwt
    )
