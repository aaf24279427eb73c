"""A configuration without its secrets: enough to decide by, for whoever has the file and not the machine.

Continuous integration reads files like this: it has neither passwords nor the certificates that paths point to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config.document import MAX_BYTES, read_document
from gateway.config.documents import ConfigDocument
from gateway.config.findings import Findings
from gateway.config.resolve import Resolver, resolve_classifications, resolve_principals, resolve_resource
from gateway.config.shape import shape_problems
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.errors import ConfigurationError
from gateway.policy.compile import compile_policies
from gateway.policy.documents import PolicyDocument
from gateway.policy.files import read_policies
from gateway.policy.labels import Classification


@dataclass(frozen=True, slots=True)
class Outline:
    """What policies look at. ``data_dir`` is where the file says that the gateway keeps its audit."""

    principals: Mapping[str, Principal]
    resources: Mapping[str, Resource]
    classifications: tuple[Classification, ...]
    policies: Sequence[PolicyDocument]
    data_dir: Path


def load_outline(path: Path, *, policies: Sequence[Path] = ()) -> Outline:
    """Read a configuration file; ``policies`` are files whose policies take the place of its own.

    Raises ``ConfigurationError`` with everything that is wrong, but for secrets and files that are not there.
    """
    from pydantic import ValidationError

    try:
        with path.open("rb") as file:
            source = read_document(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    findings = Findings(path, source)
    findings.problems(source.problems)
    findings.raise_problems()
    try:
        document = ConfigDocument.model_validate(source.value)
    except ValidationError as error:
        findings.problems(shape_problems(error, ConfigDocument))
        findings.raise_problems()
        raise
    folder = path.absolute().parent
    resolver = Resolver(folder, {}, findings)
    # Of a resource, only files can be missing here, and nobody is going to connect.
    unheard = Resolver(folder, {}, Findings(path, source))
    principals = resolve_principals(document.principals, resolver)
    resources = [resolve_resource(item, index, unheard) for index, item in enumerate(document.resources)]
    classifications = resolve_classifications(document.classifications, resolver)
    findings.raise_problems()
    if policies:
        chosen = [policy for file in policies for policy in read_policies(file)]
    elif document.policies or document.policy_library:
        chosen = list(read_policies(path))
    else:
        chosen = []
    compile_policies(chosen)
    return Outline(
        principals=principals,
        resources={resource.name: resource for resource in resources},
        classifications=classifications,
        policies=chosen,
        data_dir=folder / document.data_dir,
    )
