"""Loads the configuration file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from gateway.config.document import MAX_BYTES, SourceDocument, read_document
from gateway.config.documents import ConfigDocument
from gateway.config.findings import Findings
from gateway.config.leftover import check_what_is_left
from gateway.config.references import check_references
from gateway.config.resolve import (
    Resolver,
    resolve_audit,
    resolve_classifications,
    resolve_credentials,
    resolve_jwt,
    resolve_limits,
    resolve_principals,
    resolve_resource,
    resolve_tls,
    resolve_token,
)
from gateway.config.settings import Config, PluginSettings
from gateway.config.shape import shape_problems
from gateway.errors import ConfigurationError
from gateway.policy.compile import CompiledPolicySet, compile_policies
from gateway.policy.documents import PolicyDocument
from gateway.policy.library import library_names, load_library
from gateway.policy.problems import PolicyProblems, Problem, suggestion


def load_config(path: Path, *, environ: Mapping[str, str], protocols: Collection[str] | None = None) -> Config:
    """Read, check and resolve a configuration file.

    Relative paths are relative to the file's folder. ``protocols`` are the protocols that plugins speak; None takes the
    names under which plugins are installed. Raises ``ConfigurationError`` with everything that is wrong, a line each:
    ``file:line: key: message``.
    """
    source = _read(path)
    findings = Findings(path, source)
    findings.problems(source.problems)
    document = _validate(source, findings)
    if document is None:
        check_what_is_left(source.value, Resolver(path.absolute().parent, environ, findings))
        findings.raise_problems()
        raise ConfigurationError(f"{path}: cannot be used")
    spoken = protocols if protocols is not None else {item.name for item in entry_points(group="querygate.plugins")}
    check_references(document, findings, protocols=spoken)
    policies = _compile(document, findings)
    config = _resolve(document, path, environ, findings, policies)
    findings.raise_problems()
    return config


def _read(path: Path) -> SourceDocument:
    try:
        with path.open("rb") as file:
            return read_document(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None


def _validate(source: SourceDocument, findings: Findings) -> ConfigDocument | None:
    try:
        return ConfigDocument.model_validate(source.value)
    except ValidationError as error:
        findings.problems(shape_problems(error, ConfigDocument))
        return None


def _compile(document: ConfigDocument, findings: Findings) -> CompiledPolicySet:
    included: list[PolicyDocument] = []
    for index, name in enumerate(document.policy_library):
        if name in library_names():
            included.extend(load_library(name))
        else:
            message = f'there is no ready policy "{name}"{suggestion(name, library_names())}'
            findings.problem(("policy_library", index), message)
    try:
        return compile_policies([*document.policies, *included])
    except PolicyProblems as error:
        findings.problems(_place(problem, len(document.policies)) for problem in error.problems)
        return compile_policies([])


def _place(problem: Problem, own: int) -> Problem:
    index = problem.location[0]
    if isinstance(index, int) and index >= own:
        return Problem(("policy_library",), problem.message)
    return Problem(("policies", *problem.location), problem.message)


def _resolve(
    document: ConfigDocument, path: Path, environ: Mapping[str, str], findings: Findings, policies: CompiledPolicySet
) -> Config:
    folder = path.absolute().parent
    resolver = Resolver(folder, environ, findings)
    data_dir = folder / document.data_dir
    principals = resolve_principals(document.principals, resolver)
    tokens = [
        resolve_token(item, index, principals[item.name], resolver) for index, item in enumerate(document.principals)
    ]
    resources = [resolve_resource(item, index, resolver) for index, item in enumerate(document.resources)]
    credentials = {
        item.name: resolve_credentials(item, index, resolver) for index, item in enumerate(document.resources)
    }
    tls = resolve_tls(document.tls, data_dir, resolver)
    jwt = resolve_jwt(document.identity, resolver)
    classifications = resolve_classifications(document.classifications, resolver)
    audit = resolve_audit(document, resolver)
    return Config(
        path=path,
        listeners=MappingProxyType(dict(document.listeners)),
        admin_api=document.admin_api,
        data_dir=data_dir,
        tls=tls,
        resources=MappingProxyType({resource.name: resource for resource in resources}),
        credentials=MappingProxyType({name: found for name, found in credentials.items() if found is not None}),
        parameters=MappingProxyType(
            {item.name: MappingProxyType(dict(item.parameters)) for item in document.resources if item.parameters}
        ),
        principals=MappingProxyType(principals),
        tokens=tuple(token for token in tokens if token is not None),
        bearers=frozenset(item.name for item in document.principals if item.bearer),
        jwt=jwt,
        classifications=classifications,
        policies=policies,
        audit=audit,
        plugins=PluginSettings(document.plugins.enabled),
        limits=resolve_limits(document.limits),
        # Evaluated last: resolving finds some of the warnings.
        warnings=findings.warnings,
    )
