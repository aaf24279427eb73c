"""Loads the configuration file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from gateway.config.approvals import resolve_approvals
from gateway.config.document import MAX_BYTES, SourceDocument, read_document
from gateway.config.documents import ConfigDocument, SectionsDocument
from gateway.config.findings import Findings
from gateway.config.leftover import check_what_is_left
from gateway.config.references import check_references
from gateway.config.resolve import (
    Resolver,
    resolve_audit,
    resolve_classifications,
    resolve_control,
    resolve_control_plane,
    resolve_credentials,
    resolve_issued,
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

STORED: Final = tuple(SectionsDocument.model_fields)
"""The sections that the store keeps where there is a control plane."""


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
    kept = "control" if document.control is not None else "control_plane"
    if document.control is not None and document.control_plane is not None:
        findings.problem(("control",), "a gateway is told what to do by another control plane or has its own, not both")
    if document.control is not None or document.control_plane is not None:
        for name in (*STORED, "policy_library"):
            if getattr(document, name):
                findings.problem(
                    (name,),
                    f"the store has these, since there is a {kept}; move them into it with "
                    "querygate apply, and leave the key out here",
                )
    if document.control_plane is not None and document.admin_api is None:
        findings.problem(("control_plane",), "needs admin_api, the address of the API that the store is kept with")
    config = _build(document, path, environ, findings, protocols, None)
    findings.raise_problems()
    return config


def build_config(
    base: ConfigDocument,
    sections: Mapping[str, Sequence[Mapping[str, object]]],
    *,
    path: Path,
    environ: Mapping[str, str],
    open_sealed: Callable[[str], str] | None = None,
    protocols: Collection[str] | None = None,
) -> Config:
    """A configuration whose documents come from a store: ``base`` with ``sections`` (of ``STORED``) in their place.

    Checked by the same code as a file. ``open_sealed`` opens sealed secrets and raises ``ConfigurationError`` for what
    it cannot open. Relative paths are relative to the folder of ``path``. Raises ``PolicyProblems`` with everything
    that is wrong; its locations begin with section and position.
    """
    findings = Findings(path, None)
    try:
        stored = SectionsDocument.model_validate({name: list(found) for name, found in sections.items()})
    except ValidationError as error:
        raise PolicyProblems(list(shape_problems(error, SectionsDocument))) from None
    document = base.model_copy(update={"policy_library": (), **{name: getattr(stored, name) for name in STORED}})
    config = _build(document, path, environ, findings, protocols, open_sealed)
    if findings.failed:
        raise PolicyProblems(findings.found)
    return config


def _build(
    document: ConfigDocument,
    path: Path,
    environ: Mapping[str, str],
    findings: Findings,
    protocols: Collection[str] | None,
    open_sealed: Callable[[str], str] | None,
) -> Config:
    check_references(document, findings, protocols=plugin_names() if protocols is None else protocols)
    policies = _compile(document, findings)
    return _resolve(document, path, Resolver(path.absolute().parent, environ, findings, open_sealed), policies)


def plugin_names() -> frozenset[str]:
    """Under which names plugins are installed. Reads the metadata of every distribution: some milliseconds."""
    return frozenset(item.name for item in entry_points(group="querygate.plugins"))


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


def _resolve(document: ConfigDocument, path: Path, resolver: Resolver, policies: CompiledPolicySet) -> Config:
    data_dir = resolver.folder / document.data_dir
    principals = resolve_principals(document.principals, resolver)
    tokens = [
        resolve_token(item, index, principals[item.name], resolver) for index, item in enumerate(document.principals)
    ]
    issued = resolve_issued(document.tokens, principals, resolver)
    resources = [resolve_resource(item, index, resolver) for index, item in enumerate(document.resources)]
    credentials = {
        item.name: resolve_credentials(item, index, resolver) for index, item in enumerate(document.resources)
    }
    tls = resolve_tls(document.tls, data_dir, resolver)
    jwt = resolve_jwt(document.identity, resolver)
    classifications = resolve_classifications(document.classifications, resolver)
    audit = resolve_audit(document, resolver)
    approvals = resolve_approvals(document.approvals, resolver.secret)
    control_plane = resolve_control_plane(document.control_plane, resolver)
    control = resolve_control(document.control, resolver)
    return Config(
        path=path,
        listeners=MappingProxyType(dict(document.listeners)),
        admin_api=document.admin_api,
        control_plane=control_plane,
        control=control,
        data_dir=data_dir,
        tls=tls,
        resources=MappingProxyType({resource.name: resource for resource in resources}),
        credentials=MappingProxyType({name: found for name, found in credentials.items() if found is not None}),
        parameters=MappingProxyType(
            {item.name: MappingProxyType(dict(item.parameters)) for item in document.resources if item.parameters}
        ),
        principals=MappingProxyType(principals),
        tokens=(*(token for token in tokens if token is not None), *issued),
        bearers=frozenset(item.name for item in document.principals if item.bearer),
        jwt=jwt,
        classifications=classifications,
        policies=policies,
        audit=audit,
        approvals=approvals,
        plugins=PluginSettings(document.plugins.enabled),
        limits=resolve_limits(document.limits),
        document=document,
        # Evaluated last: resolving finds some of the warnings.
        warnings=resolver.findings.warnings,
    )
