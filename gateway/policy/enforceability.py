"""Whether what the policies ask for can be done at all.

A rule that a protocol cannot carry out must stop the start: silently not applying it would be worse than having none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.domain.decision import Effect, Mode
from gateway.errors import ConfigurationError
from gateway.policy.problems import Problem, suggestion
from gateway.policy.snapshot import Snapshot


def check_enforceable(
    snapshot: Snapshot,
    adapters: Mapping[str, Collection[Effect]],
    *,
    known_functions: Collection[str] | None = None,
) -> None:
    """Raise ``ConfigurationError`` for enforced policies whose effect a matched resource's protocol cannot enforce,
    and for masking functions that nobody provides.

    ``adapters`` maps a protocol to what it enforces; resources of other protocols are not served and not checked.
    ``known_functions`` None leaves the functions unchecked.
    """
    problems: list[Problem] = []
    for policy in snapshot.policies.policies:
        place = ("policy", policy.name)
        if policy.mask is not None and known_functions is not None and policy.mask.function not in known_functions:
            hint = suggestion(policy.mask.function, known_functions)
            problems.append(Problem((*place, "mask"), f'unknown masking function "{policy.mask.function}"{hint}'))
        if policy.mode is not Mode.ENFORCE:
            continue
        unable = sorted(
            resource.name
            for resource in snapshot.resources.values()
            if resource.protocol in adapters
            and policy.effect not in adapters[resource.protocol]
            and policy.covers_resource(resource)
        )
        if unable:
            protocols = sorted({snapshot.resources[name].protocol for name in unable})
            problems.append(
                Problem(
                    (*place, "effect"),
                    f'"{policy.effect}" cannot be enforced by protocol {", ".join(protocols)} '
                    f"(resource {', '.join(unable)})",
                )
            )
    if problems:
        raise ConfigurationError("\n".join(problem.render() for problem in problems))
