"""The store's documents as files: what a folder says, and a folder written from what the store has.

A file is YAML (or JSON) with any of the sections of a configuration file. A whole configuration file may be among them:
what is not the store's business is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.config.document import MAX_BYTES, read_document
from gateway.config.findings import Findings
from gateway.config.secrets import parse_source, read_secret
from gateway.errors import ConfigurationError
from gateway.policy.library import library_names, load_library

SECTIONS: Final = ("resources", "principals", "classifications", "policies")
_SUFFIXES: Final = {".yaml", ".yml", ".json"}
_SECRETS: Final = {"resources": ("credentials", "password"), "principals": ("token",)}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Desired:
    """What the files say. ``places`` names the file of each document, by section and position."""

    sections: dict[str, list[Document]]
    places: Mapping[tuple[str, int], Path]
    ignored: tuple[str, ...]
    """Keys that are not the store's business, with their files."""


def read_desired(paths: Sequence[Path], *, send_secrets: bool, environ: Mapping[str, str]) -> Desired:
    """Read files, and folders with everything below them. Raises ``ConfigurationError``.

    ``send_secrets`` reads ``{env: …}`` and ``{file: …}`` here, so that the API gets the secrets themselves and seals
    them; otherwise the references are sent, and mean the gateways' own environment and files.
    """
    sections: dict[str, list[Document]] = {name: [] for name in SECTIONS}
    places: dict[tuple[str, int], Path] = {}
    ignored: list[str] = []
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise ConfigurationError(f"no .yaml, .yml or .json file in {', '.join(map(str, paths))}")
    for file in files:
        value = _read(file)
        for key, entries in value.items():
            if key == "policy_library":
                entries = [_plain(item) for name in entries or () for item in load_library(_known(file, name))]
                key = "policies"
            if key not in SECTIONS:
                ignored.append(f"{file}: {key}")
                continue
            if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
                raise ConfigurationError(f"{file}: {key}: must be a list of documents")
            for item in entries:
                document = _with_secret(file, key, item, environ) if send_secrets else item
                if key == "classifications" and (same := _same_label(sections[key], document)) is not None:
                    _join(same, document)
                    continue
                places[key, len(sections[key])] = file
                sections[key].append(document)
    return Desired(sections, places, tuple(ignored))


def write_files(folder: Path, sections: Mapping[str, Sequence[Document]]) -> list[Path]:
    """One file for each section. Raises ``ConfigurationError`` where one cannot be written."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in SECTIONS:
            path = folder / f"{name}.yaml"
            path.write_text(to_yaml({name: list(sections.get(name, ()))}))
            written.append(path)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be written: {error.strerror}") from None
    return written


def to_yaml(value: object) -> str:
    """YAML as people write it."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())


def _read(file: Path) -> Mapping[str, Any]:
    try:
        with file.open("rb") as opened:
            source = read_document(opened.read(MAX_BYTES + 1))
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    findings = Findings(file, source)
    findings.problems(source.problems)
    findings.raise_problems()
    if not isinstance(source.value, dict):
        raise ConfigurationError(f"{file}: not a mapping with sections such as policies")
    return source.value


def _known(file: Path, name: object) -> str:
    if not isinstance(name, str) or name not in library_names():
        raise ConfigurationError(f"{file}: policy_library: there is no ready policy {name!r}")
    return name


def _plain(item: Any) -> Document:
    document: Document = item.model_dump(mode="json", exclude_unset=True)
    return document


def _with_secret(file: Path, section: str, document: Document, environ: Mapping[str, str]) -> Document:
    place = _SECRETS.get(section)
    if place is None:
        return document
    copy = {key: dict(value) if isinstance(value, dict) else value for key, value in document.items()}
    holder = copy
    for key in place[:-1]:
        inner = holder.get(key)
        if not isinstance(inner, dict):
            return document
        holder = inner
    match holder.get(place[-1]):
        case {"env": str(), **rest} | {"file": str(), **rest} if not rest:
            try:
                secret = read_secret(parse_source(holder[place[-1]]), environ=environ, folder=file.absolute().parent)
            except ValueError as error:
                raise ConfigurationError(f"{file}: {section} {document.get('name')}: {error}") from None
            holder[place[-1]] = secret.reveal()
    return copy


def _same_label(known: list[Document], document: Document) -> Document | None:
    wanted = (document.get("resource"), document.get("label"))
    return next((item for item in known if (item.get("resource"), item.get("label")) == wanted), None)


def _join(known: Document, document: Document) -> None:
    """One label of one resource is one document in the store, however many entries a file has for it."""
    for key in ("columns", "paths"):
        more = [item for item in document.get(key) or () if item not in (known.get(key) or ())]
        if more:
            known[key] = [*(known.get(key) or ()), *more]


def place_of(pointer: str, desired: Desired) -> str:
    """``/sections/policies/2/match`` as ``policies.yaml: policies "mask-pii": /match``."""
    found = re.fullmatch(r"/sections/(\w+)/(\d+)(.*)", pointer)
    if found is None:
        return pointer
    section, index = found[1], int(found[2])
    file = desired.places.get((section, index))
    document = desired.sections.get(section, [])[index] if index < len(desired.sections.get(section, [])) else {}
    name = document.get("name") or f"{document.get('resource')}/{document.get('label')}"
    return f'{os.fspath(file) if file else section}: {section} "{name}": {found[3] or "/"}'
