"""Checks across sections: names that must exist, addresses that must differ, and what is probably not meant.

In a policy that restricts, a misspelt environment or label matches nothing, so that the policy silently protects
nothing. That is why words that occur nowhere else are pointed out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gateway.config.documents import ConfigDocument, LiteralsDocument
from gateway.config.findings import Findings, check_names_unique
from gateway.config.resolve import is_loopback
from gateway.domain.decision import Effect, Mode
from gateway.policy.documents import Match
from gateway.policy.globs import Globs
from gateway.policy.problems import Location, suggestion


def check_references(document: ConfigDocument, findings: Findings, *, protocols: Collection[str]) -> None:
    """Report everything. ``protocols`` are those that an installed plugin speaks."""
    check_names_unique(findings, "resources", (item.name for item in document.resources))
    check_names_unique(findings, "principals", (item.name for item in document.principals))
    _check_addresses(document, findings, protocols)
    _check_principals(document, findings)
    _check_tokens(document, findings)
    _check_classifications(document, findings)
    _check_literals(document, findings)
    _check_approvals(document, findings)
    for index, policy in enumerate(document.policies):
        _check_match(policy.match, document, findings, ("policies", index, "match"))


def _check_addresses(document: ConfigDocument, findings: Findings, protocols: Collection[str]) -> None:
    taken: dict[tuple[str, int], str] = {}

    def take(address: tuple[str, int], owner: str, place: Location) -> None:
        if address[1] != 0 and address in taken:
            findings.problem(place, f"the address is taken by {taken[address]} already")
        taken.setdefault(address, owner)
        if _disables_tls(document) and not is_loopback(address[0]):
            findings.warning(place, "others than this machine can connect, and TLS is disabled")

    for protocol, address in document.listeners.items():
        place: Location = ("listeners", protocol)
        take(address, f"listeners.{protocol}", place)
        if protocol not in protocols:
            findings.warning(place, f'no installed plugin speaks "{protocol}"{suggestion(protocol, protocols)}')
    if document.admin_api is not None:
        take(document.admin_api, "admin_api", ("admin_api",))
        _check_admin_api(document, document.admin_api, findings)
    for index, resource in enumerate(document.resources):
        if resource.listen is not None:
            take(resource.listen, f"resources[{index}].listen", ("resources", index, "listen"))
        elif resource.protocol not in document.listeners:
            hint = suggestion(resource.protocol, {*protocols, *document.listeners})
            message = f'nothing listens for the protocol "{resource.protocol}", so nobody can reach the resource{hint}'
            findings.warning(("resources", index, "protocol"), message)


def _check_admin_api(document: ConfigDocument, address: tuple[str, int], findings: Findings) -> None:
    """Refuse passwords and tokens in clear on a network that nobody asked for. Health alone holds no secret."""
    if document.control_plane is None or is_loopback(address[0]):
        return
    if document.control_plane.plaintext:
        findings.warning(
            ("control_plane", "plaintext"),
            "passwords and tokens are in clear from the proxy that ends TLS to this address; nobody else may reach it",
        )
    elif _disables_tls(document):
        findings.problem(
            ("admin_api",),
            "passwords and tokens would go over the network in clear, since TLS is disabled; remove tls.mode or give "
            "tls.certificate and tls.key, or listen on 127.0.0.1, or, where a proxy in front of it ends TLS, say "
            "control_plane: {plaintext: true}",
        )


def _disables_tls(document: ConfigDocument) -> bool:
    return document.tls is not None and document.tls.mode == "disable"


def _check_principals(document: ConfigDocument, findings: Findings) -> None:
    resources = {item.name for item in document.resources}
    issued_to = {item.principal for item in document.tokens}
    acted_for = {item.acts_for for item in document.principals}
    known_otherwise = acted_for | issued_to
    for index, principal in enumerate(document.principals):
        place: Location = ("principals", index)
        for position, name in enumerate(principal.resources):
            if name not in resources:
                message = f'there is no resource "{name}"{suggestion(name, resources)}'
                findings.problem((*place, "resources", position), message)
        if principal.bearer and not document.identity.jwt and document.control_plane is None:
            findings.warning((*place, "bearer"), "no issuer of bearer tokens is configured under identity.jwt")
        if principal.token is None:
            for key in ("expires", "resources"):
                if getattr(principal, key):
                    findings.problem((*place, key), "belongs to a token, and there is none")
            provable = principal.bearer or principal.name in known_otherwise
            if not provable and document.control_plane is None:
                findings.warning(place, "has no token and no bearer, so it can prove itself only to a plugin")


def _check_tokens(document: ConfigDocument, findings: Findings) -> None:
    principals = {item.name for item in document.principals}
    resources = {item.name for item in document.resources}
    for index, token in enumerate(document.tokens):
        if token.principal not in principals:
            findings.warning(("tokens", index, "principal"), f'there is no principal "{token.principal}"')
        for position, name in enumerate(token.resources):
            if name not in resources:
                findings.warning(("tokens", index, "resources", position), f'there is no resource "{name}"')


def _check_classifications(document: ConfigDocument, findings: Findings) -> None:
    resources = {item.name for item in document.resources}
    for index, item in enumerate(document.classifications):
        if item.resource not in resources:
            hint = suggestion(item.resource, resources)
            findings.warning(("classifications", index, "resource"), f'there is no resource "{item.resource}"{hint}')


def _check_approvals(document: ConfigDocument, findings: Findings) -> None:
    """Decisions are the admin API's, which has them only with a store: without one nobody could ever answer."""
    if document.control_plane is not None:
        return
    why = "nobody can decide here; approvals need admin_api with a control_plane, such as control_plane: {}"
    if document.control is not None:
        why = "the requests of a linked gateway wait at its control plane: this belongs into the configuration there"
    for key in ("webhooks", "access"):
        if getattr(document.approvals, key):
            findings.problem(("approvals", key), why)
    if document.control is not None:
        return
    for index, policy in enumerate(document.policies):
        if policy.effect is Effect.REQUIRE_APPROVAL and policy.mode is Mode.ENFORCE:
            findings.warning(("policies", index), f"what it asks an approval for is refused: {why}")


def _check_literals(document: ConfigDocument, findings: Findings) -> None:
    """A pattern that no label matches protects nothing, and is probably misspelt."""
    labels = {item.label for item in document.classifications}
    if not labels:
        return  # a store or a plugin has them
    places: list[tuple[Location, LiteralsDocument]] = [(("audit", "literals"), document.audit.literals)]
    for index, resource in enumerate(document.resources):
        if resource.audit is not None and resource.audit.literals is not None:
            places.append((("resources", index, "audit", "literals"), resource.audit.literals))
    for place, literals in places:
        for pattern in literals.labels:
            if not Globs([pattern], ignore_case=True).select(labels):
                message = f'no classification has a label like "{pattern}"{suggestion(pattern, labels)}'
                findings.warning((*place, "labels", pattern), message)


def _check_match(match: Match, document: ConfigDocument, findings: Findings, place: Location) -> None:
    resources = {item.name for item in document.resources}
    for position, name in enumerate(match.resources or ()):
        if name not in resources:
            message = f'there is no resource "{name}"{suggestion(name, resources)}'
            findings.problem((*place, "resources", position), message)
    if not document.resources:
        return
    environments = {item.environment for item in document.resources}
    _warn_unused(
        findings, match.environments, environments, (*place, "environments"), "no resource has the environment"
    )
    spoken = {item.protocol for item in document.resources} | set(document.listeners)
    _warn_unused(findings, match.protocols, spoken, (*place, "protocols"), "no resource has the protocol")
    for key, values in (match.resource_labels or {}).items():
        known = {item.labels[key] for item in document.resources if key in item.labels}
        _warn_unused(
            findings, values, known, (*place, "resource_labels", key), f'no resource has the label "{key}" with'
        )
    labels = {item.label for item in document.classifications}
    for position, pattern in enumerate(match.labels or ()):
        if not Globs([pattern], ignore_case=True).select(labels):
            message = f'no classification has a label like "{pattern}"{suggestion(pattern, labels)}'
            findings.warning((*place, "labels", position), message)


def _warn_unused(
    findings: Findings, wanted: Iterable[str] | None, known: Collection[str], place: Location, message: str
) -> None:
    for position, value in enumerate(wanted or ()):
        if value not in known:
            findings.warning((*place, position), f'{message} "{value}"{suggestion(value, known)}')
