"""After an error of shape: checks what can be checked one by one, so that the author does not have to come back for it.

Names are not looked up here, since what they would name may be what is broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.documents import PrincipalDocument, ResourceDocument
from gateway.config.resolve import Resolver, resolve_credentials, resolve_resource, resolve_token
from gateway.domain.principal import Principal
from gateway.policy.compile import compile_policies
from gateway.policy.documents import PolicyDocument
from gateway.policy.problems import PolicyProblems, Problem

D = TypeVar("D", bound=BaseModel)


def check_what_is_left(value: object, resolver: Resolver) -> None:
    """Report problems of sense in the entries whose shape is right."""
    for index, resource in _sound(value, "resources", ResourceDocument):
        resolve_resource(resource, index, resolver)
        resolve_credentials(resource, index, resolver)
    for index, principal in _sound(value, "principals", PrincipalDocument):
        resolve_token(principal, index, Principal(principal.name), resolver)
    policies = list(_sound(value, "policies", PolicyDocument))
    try:
        compile_policies([policy for _, policy in policies])
    except PolicyProblems as error:
        for problem in error.problems:
            position, *rest = problem.location
            if isinstance(position, int):
                resolver.findings.problems([Problem(("policies", policies[position][0], *rest), problem.message)])


def _sound(value: object, section: str, model: type[D]) -> Iterator[tuple[int, D]]:
    entries = value.get(section) if isinstance(value, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        try:
            yield index, model.model_validate(entry)
        except ValidationError:
            continue
