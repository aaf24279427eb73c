"""Policies of a file, whatever else is in it: a configuration, or a file of the library's form.

Nothing is resolved: no secret has to be there to look at policies.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, ValidationError

from gateway.config.document import MAX_BYTES, read_document
from gateway.config.findings import Findings
from gateway.config.shape import shape_problems
from gateway.errors import ConfigurationError
from gateway.policy.compile import compile_policies
from gateway.policy.documents import Document, PolicyDocument, Text
from gateway.policy.library import library_names, load_library
from gateway.policy.problems import PolicyProblems, Problem, suggestion


class _PolicyFile(Document):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    policies: tuple[PolicyDocument, ...] = ()
    policy_library: tuple[Text, ...] = ()


def read_policies(path: Path) -> tuple[PolicyDocument, ...]:
    """The file's own policies, then those of the library that it names, all of them checked.

    Raises ``ConfigurationError`` with everything that is wrong, a line each: ``file:line: key: message``.
    """
    try:
        with path.open("rb") as file:
            source = read_document(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    findings = Findings(path, source)
    findings.problems(source.problems)
    findings.raise_problems()
    value = source.value
    if not isinstance(value, dict) or not value.keys() & {"policies", "policy_library"}:
        raise ConfigurationError(f'{path}: has no policies; they are a list under the key "policies"')
    try:
        document = _PolicyFile.model_validate(value)
    except ValidationError as error:
        findings.problems(shape_problems(error, _PolicyFile))
        findings.raise_problems()
        raise
    for index, name in enumerate(document.policy_library):
        if name not in library_names():
            message = f'there is no ready policy "{name}"{suggestion(name, library_names())}'
            findings.problem(("policy_library", index), message)
    try:
        compile_policies(document.policies)
    except PolicyProblems as error:
        findings.problems(Problem(("policies", *problem.location), problem.message) for problem in error.problems)
    findings.raise_problems()
    included = [policy for name in document.policy_library for policy in load_library(name)]
    return (*document.policies, *included)
