"""Putting the gateway together from a configuration: plugins, stores, chain, server."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.acquaintance import MEETING_SECONDS, Acquaintance
from gateway.approvals.desk import Desk
from gateway.approvals.holding import Estimates, Holder
from gateway.approvals.journal import ApprovalJournal
from gateway.approvals.store import FILE as APPROVALS
from gateway.approvals.store import KEY as APPROVALS_KEY
from gateway.approvals.store import ApprovalStore
from gateway.audit.log import AuditLog, LogSettings
from gateway.audit.shipping.plugin import ShippingSinks
from gateway.audit.shipping.process import make_shippers, shipped_names
from gateway.audit.shipping.shipper import Shipper
from gateway.audit.sinks import BuiltinSinks, attach_sinks
from gateway.audit.witness import witnesses
from gateway.chain import Chain, Durability
from gateway.config import Config, Secret, TlsMode
from gateway.config import Durability as When
from gateway.control.desk import LinkedDesk
from gateway.control.line import Line
from gateway.databases import Databases
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.statement import ColumnRef
from gateway.errors import ConfigurationError
from gateway.guardrails.budgets import FILE as BUDGETS
from gateway.guardrails.budgets import Budgets
from gateway.guardrails.policies import PolicyGuardrail
from gateway.identity.certificates import ensure_certificate, load_certificate_der
from gateway.identity.files import INSTALL_KEY, load_or_create_secret
from gateway.identity.jwt import BearerProvider, issuer_for
from gateway.identity.provider import AccessTokenProvider
from gateway.identity.store import TOKENS, TokenStore
from gateway.identity.upstream import ConfiguredCredentials
from gateway.live import Live, Prepared
from gateway.masking.functions import BuiltinMaskingFunctions, MaskingFunctions
from gateway.masking.keys import KEY_SIZE, MaskingKeys, load_or_create_key
from gateway.masking.plan import MaskPlanner
from gateway.observability.metrics import StatementMetrics
from gateway.plugin.components import Components, collect
from gateway.plugin.dispatch import Dispatcher
from gateway.plugin.load import LoadedPlugins, available, load_plugins
from gateway.policy.classify import ConfiguredClassifier
from gateway.policy.enforceability import check_enforceable
from gateway.policy.snapshot import Snapshot
from gateway.protocol.adapter import CatalogView, ProtocolAdapter
from gateway.server.gateway import Gateway, ServerSettings
from gateway.server.listener import Endpoint, ServerTls
from gateway.server.tls import server_context
from gateway.server.upstream import Upstreams

PROTOCOL_PLUGINS = ("postgres", "mysql", "mongodb")
"""Enabled where they are installed, if the configuration does not say which plugins it wants."""


GATEWAY = Principal("querygate", PrincipalKind.SERVICE)
"""In whose name the gateway reads catalogs."""


class _NoAudit:
    """For decisions that nobody acts on: nothing is recorded, so nothing is amiss."""

    healthy = True
    reason = ""


@dataclass(slots=True, eq=False)
class Assembly:
    """Everything that ``querygate serve`` runs."""

    config: Config
    plugins: LoadedPlugins
    components: Components
    gateway: Gateway
    databases: Databases
    audit: AuditLog
    budgets: Budgets
    endpoints: Mapping[Endpoint, ProtocolAdapter]
    identity: AccessTokenProvider
    desk: Desk
    """Open it before anybody is let in, close it when all sessions are over."""
    linked: LinkedDesk | None
    """Where sessions wait instead, if this gateway is linked to a control plane. Start and stop it with the desk."""
    acquaintance: Acquaintance
    _live: Live

    async def meet_databases(self) -> None:
        """Meet the databases that speak first, for at most ``MEETING_SECONDS``; those that are late, later."""
        await asyncio.wait((self._meeting(),), timeout=MEETING_SECONDS)

    def _meeting(self) -> asyncio.Task[None]:
        resources = self.gateway.snapshot.resources.values()
        return self.gateway.tasks.start(self.acquaintance.meet(resources), name="meeting databases")

    def prepare(self, config: Config) -> Prepared:
        """Work out what ``use`` takes; safe in any thread. Raises ``ConfigurationError`` where it cannot be used."""
        prepared = self._live.prepare(config)
        _check(prepared.snapshot, self.components)
        return prepared

    def use(self, prepared: Prepared) -> None:
        """Take resources, principals, labels and policies from a configuration that was read again.

        Listeners, TLS, audit and plugins stay as they are.
        """
        self._live.use(prepared)
        self.config = prepared.config
        self.gateway.use_snapshot(prepared.snapshot)
        self._meeting()


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """What decides, without what serves: no listener, no audit, no file. For commands that look at a database."""

    config: Config
    components: Components
    dispatcher: Dispatcher
    databases: Databases
    upstreams: Upstreams
    chain: Chain


def inspect(config: Config, *, clock: Callable[[], float] = time.monotonic) -> Inspection:
    """The chain that ``assemble`` builds, to be asked and not to serve by. Raises ``ConfigurationError``."""
    live = Live(config, bytes(32))
    plugins = load_plugins(enabled_plugins(config), _deciding(live), {})
    components = collect(plugins.manager)
    # Nothing is masked with it: keys of one's own would only be left behind.
    live.masking = MaskingFunctions(components.masking_functions, MaskingKeys(bytes(KEY_SIZE)))
    _check(live.snapshot, components)
    dispatcher = Dispatcher(plugins.manager, live.masking_function)
    upstreams = Upstreams()
    databases = live.databases = _databases(live, components, dispatcher, upstreams, clock)
    chain = Chain(
        dispatcher=dispatcher,
        databases=databases,
        snapshot=live.current,
        durability=lambda resource: Durability(reads=False, writes=False),
        audit=_NoAudit(),
        masking_function=live.masking_function,
    )
    return Inspection(config, components, dispatcher, databases, upstreams, chain)


def assemble(config: Config, *, decided_here: bool = False) -> Assembly:
    """Build everything; nothing listens yet. Call it inside the event loop.

    ``decided_here`` True means that whoever embeds the gateway takes the decisions on its desk, without an admin API.
    Raises ``ConfigurationError`` for what the configuration gets wrong and ``AuditError`` where the audit cannot begin.
    """
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = load_or_create_key(config.data_dir / "masking.key")
    secret = load_or_create_secret(config.data_dir / INSTALL_KEY)
    approvals_key = load_or_create_secret(config.data_dir / APPROVALS_KEY)
    live = Live(config, secret)
    identity = AccessTokenProvider(
        principals=live.principals,
        configured=lambda: live.tokens,
        # With a control plane, issued tokens are in its store, and in every snapshot: one store of truth.
        store=TokenStore(config.data_dir / TOKENS) if config.control_plane is None else None,
        clock=time.time,
        install_secret=secret,
        asks_for_password=live.asks_for_password,
        issuer_for=lambda user: issuer_for(user, live.verifiers),
    )
    plugins = load_plugins(
        enabled_plugins(config),
        {**_deciding(live), "builtin-bearer-tokens": BearerProvider(lambda: live.verifiers, live.principals)},
        {"builtin-access-tokens": identity},
    )
    components = collect(plugins.manager)
    live.masking = MaskingFunctions(components.masking_functions, keys)
    _check(live.snapshot, components)
    tls, endpoints = _tls(config, components), _endpoints(config, components)
    budgets = Budgets(time.time, config.data_dir / BUDGETS)
    line = None if config.control is None else Line(config.control)
    # The last thing that may fail, since from here on there is a thread to end.
    literal_key = keys.digest("audit-literals", "", b"")
    audit = _open_audit(config, components, literal_key)
    dispatcher = Dispatcher(plugins.manager, live.masking_function)
    upstreams = Upstreams()
    databases = live.databases = _databases(live, components, dispatcher, upstreams)

    def durability(resource: Resource) -> Durability:
        wanted = live.audit.durability_of(resource.name)
        return Durability(reads=wanted.read is When.BEFORE_FORWARD, writes=wanted.write is When.BEFORE_FORWARD)

    chain = Chain(
        dispatcher=dispatcher,
        databases=databases,
        snapshot=live.current,
        durability=durability,
        audit=audit,
        masking_function=live.masking_function,
        budgets=budgets,
        literals=lambda resource, labels: live.audit.literals_of(resource.name, labels),
        can_hold=decided_here or config.can_decide,
    )
    desk = Desk(
        ApprovalStore(config.data_dir / APPROVALS),
        ApprovalJournal(audit, clock=time.time_ns, key=literal_key),
        clock=time.time,
        identifier=lambda: secrets.token_hex(5),
        key=approvals_key,
        url=config.approvals.url,
    )
    linked = None
    if config.control is not None and line is not None:
        linked = LinkedDesk(
            line,
            config.data_dir,
            grace=config.control.approval_grace,
            url=config.approvals.url,
            identifier=secrets.token_hex,
        )
    holder = Holder(
        desk if linked is None else linked,
        chain,
        clock=time.time,
        snapshot=lambda: live.snapshot.version,
        estimate=Estimates(upstreams, components.protocols, chain),
    )
    gateway = Gateway(
        settings=ServerSettings(
            gateway_name=_gateway_name(),
            max_sessions=config.limits.max_sessions,
            idle_timeout=config.limits.idle_timeout,
            drain_timeout=config.limits.drain_timeout,
            tls_required=config.tls.mode is not TlsMode.DISABLE,
        ),
        limits=config.limits.for_protocols(),
        chain=chain,
        audit=audit,
        adapters=components.protocols,
        snapshot=live.snapshot,
        masking_function=live.masking_function,
        upstreams=upstreams,
        tls=tls,
        approvals=holder,
    )
    if config.admin_api is not None:
        gateway.recorder.metrics = StatementMetrics()
    desk.access_ended = lambda request: gateway.access_ended(request.subject.principal, request.resource, request.group)
    if linked is not None:
        linked.access.ended = gateway.access_ended
    return Assembly(
        config,
        plugins,
        components,
        gateway,
        databases,
        audit,
        budgets,
        endpoints,
        identity,
        desk,
        linked,
        Acquaintance(components.protocols, _own_credentials(dispatcher), upstreams),
        live,
    )


def _deciding(live: Live) -> dict[str, object]:
    """The built-in plugins that decide, in order."""
    return {
        "builtin-masking-functions": BuiltinMaskingFunctions(),
        "builtin-sinks": BuiltinSinks(),
        "builtin-shipping": ShippingSinks(),
        "builtin-credentials": ConfiguredCredentials(live.upstream_credentials),
        "builtin-policies": PolicyGuardrail(live.current),
        "builtin-classifier": ConfiguredClassifier(live.current),
        "builtin-mask-planner": MaskPlanner(live.labels_of, live.masking_function, live.paths_of),
    }


def _own_credentials(dispatcher: Dispatcher) -> Callable[[Resource], Awaitable[UpstreamCredentials]]:
    """The gateway asks in its own name; a credentials provider sees that it is not for anybody's session."""
    return lambda resource: dispatcher.provide_upstream_credentials(resource, GATEWAY)


def _databases(
    live: Live,
    components: Components,
    dispatcher: Dispatcher,
    upstreams: Upstreams,
    clock: Callable[[], float] = time.monotonic,
) -> Databases:
    own = _own_credentials(dispatcher)

    async def read_catalog(resource: Resource, database: str) -> CatalogView:
        credentials = await own(resource)
        return await upstreams.introspect(resource, components.protocols[resource.protocol], credentials, database)

    async def classify(resource: Resource, catalog: CatalogView) -> Mapping[ColumnRef, frozenset[str]]:
        return await dispatcher.classify_columns(resource, catalog.columns())

    return Databases(read_catalog, classify, live.current, clock=clock)


def enabled_plugins(config: Config) -> tuple[str, ...]:
    """The plugins that the configuration asks for, or the protocols that are installed."""
    return installed_protocols() if config.plugins.enabled is None else config.plugins.enabled


def installed_protocols() -> tuple[str, ...]:
    """The known protocol plugins that some distribution announces."""
    found = available()
    return tuple(name for name in PROTOCOL_PLUGINS if name in found)


def check(config: Config) -> LoadedPlugins:
    """Everything that can be checked without starting: plugins load, and what policies ask for can be enforced.

    Raises ``ConfigurationError``.
    """
    live = Live(config, bytes(32))
    plugins = load_plugins(
        enabled_plugins(config),
        {
            "builtin-masking-functions": BuiltinMaskingFunctions(),
            "builtin-sinks": BuiltinSinks(),
            "builtin-shipping": ShippingSinks(),
            "builtin-policies": PolicyGuardrail(live.current),
        },
        {},
    )
    components = collect(plugins.manager)
    _check(live.snapshot, components)
    _endpoints(config, components)
    return plugins


def _check(snapshot: Snapshot, components: Components) -> None:
    check_enforceable(
        snapshot,
        {name: adapter.enforces for name, adapter in components.protocols.items()},
        known_functions=components.masking_functions.keys(),
    )


def shippers(config: Config, components: Components | None = None) -> list[Shipper]:
    """What brings the audit elsewhere, ready to run. Raises ``ConfigurationError``."""
    found = collect(check(config).manager) if components is None else components
    return make_shippers(_sink_entries(config), found.audit_sinks, config.data_dir)


def shipped_sinks(config: Config, components: Components | None = None) -> frozenset[str]:
    """The names of the sinks that read the log, as their cursors have them."""
    found = collect(check(config).manager) if components is None else components
    return shipped_names(_sink_entries(config), found.audit_sinks)


def _sink_entries(config: Config) -> list[tuple[str, dict[str, object]]]:
    return [(sink.type, _plain(sink.options)) for sink in config.audit.sinks]


def _open_audit(config: Config, components: Components, literal_key: bytes) -> AuditLog:
    sinks = attach_sinks(_sink_entries(config), components.audit_sinks, config.data_dir)
    settings = LogSettings(
        directory=config.data_dir / "audit",
        gateway_name=_gateway_name(),
        checkpoint_interval=config.audit.checkpoint_interval,
        literals=config.audit.strictest_literals(),
        literal_key=literal_key,
        min_free_bytes=config.audit.min_free,
        max_bytes=config.audit.max_bytes,
    )
    return AuditLog.open(settings, sinks=sinks, witnesses=witnesses(config.audit.witnesses, config.data_dir))


def _plain(options: Mapping[str, object]) -> dict[str, object]:
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in options.items()}


def _tls(config: Config, components: Components) -> dict[str, ServerTls]:
    certificate, key = config.tls.certificate, config.tls.key
    if config.tls.mode is TlsMode.DISABLE or certificate is None or key is None:
        return {}
    if config.tls.mode is TlsMode.SELF_SIGNED:
        ensure_certificate(certificate, key)
    der = load_certificate_der(certificate)
    return {
        name: ServerTls(server_context(certificate, key, alpn=adapter.alpn), der)
        for name, adapter in components.protocols.items()
    }


def _endpoints(config: Config, components: Components) -> dict[Endpoint, ProtocolAdapter]:
    endpoints = {
        Endpoint(*address): components.protocols[protocol]
        for protocol, address in config.listeners.items()
        if protocol in components.protocols
    }
    for resource in config.resources.values():
        if resource.listen is not None and resource.protocol in components.protocols:
            endpoints[Endpoint(*resource.listen, resource.name)] = components.protocols[resource.protocol]
    if not endpoints and config.control_plane is None:
        raise ConfigurationError(f"{config.path}: listeners: no listener for any installed protocol plugin")
    return endpoints


def _gateway_name() -> str:
    return socket.gethostname()
