"""The snapshot: everything that decisions are made from, immutable and with a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.policy.compile import CompiledPolicySet, digest
from gateway.policy.labels import Classification, LabelIndex

if TYPE_CHECKING:
    from gateway.config import Config


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Resources, principals, labels and policies at one moment. ``version`` changes with every change of content."""

    version: str
    resources: Mapping[str, Resource]
    principals: Mapping[str, Principal]
    classifications: tuple[Classification, ...]
    policies: CompiledPolicySet
    labels: Mapping[str, LabelIndex] = field(repr=False)

    @classmethod
    def build(
        cls,
        *,
        resources: Iterable[Resource],
        principals: Iterable[Principal],
        classifications: Iterable[Classification],
        policies: CompiledPolicySet,
    ) -> Snapshot:
        """Put the parts together and give them a version."""
        by_name = {resource.name: resource for resource in resources}
        people = {principal.name: principal for principal in principals}
        labelled = tuple(classifications)
        version = digest(
            [
                policies.version,
                [_resource(by_name[name]) for name in sorted(by_name)],
                [_principal(people[name]) for name in sorted(people)],
                [asdict(item) for item in sorted(labelled)],
            ]
        )
        names = {item.resource for item in labelled} | set(by_name)
        return cls(
            version=version,
            resources=MappingProxyType(by_name),
            principals=MappingProxyType(people),
            classifications=labelled,
            policies=policies,
            labels=MappingProxyType(
                {name: LabelIndex(item for item in labelled if item.resource == name) for name in names}
            ),
        )

    @classmethod
    def from_config(cls, config: Config) -> Snapshot:
        """The snapshot of a configuration file."""
        return cls.build(
            resources=config.resources.values(),
            principals=config.principals.values(),
            classifications=config.classifications,
            policies=config.policies,
        )

    def label_index(self, resource: str) -> LabelIndex:
        """The labels of a resource. Raises ``KeyError`` for a resource that is not in the snapshot."""
        return self.labels[resource]


def _principal(principal: Principal) -> object:
    return {
        "name": principal.name,
        "kind": principal.kind.value,
        "groups": sorted(principal.groups),
        "attributes": dict(principal.attributes),
        "acts_for": None if principal.acts_for is None else principal.acts_for.name,
    }


def _resource(resource: Resource) -> object:
    tls = resource.tls
    return {
        "name": resource.name,
        "protocol": resource.protocol,
        "address": [resource.host, resource.port],
        "database": resource.database,
        "environment": resource.environment,
        "labels": dict(resource.labels),
        "tls": [tls.mode.value, *(None if path is None else str(path) for path in (tls.ca, tls.certificate, tls.key))],
        "listen": resource.listen,
    }
