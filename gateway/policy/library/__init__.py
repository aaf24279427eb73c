"""Ready policies that come with the gateway, one file per purpose, each with samples of what it allows and refuses."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml
from pydantic import ValidationError

from gateway.errors import ConfigurationError
from gateway.policy.documents import Document, PolicyDocument, Text


class LibraryFile(Document):
    """One file of the library."""

    title: Text
    description: Text
    policies: tuple[PolicyDocument, ...]


def library_names() -> tuple[str, ...]:
    """The names of all ready policies, in order."""
    return tuple(sorted(item.name.removesuffix(".yaml") for item in _folder().iterdir() if item.name.endswith(".yaml")))


def read_library(name: str) -> LibraryFile:
    """One file. Raises ``ConfigurationError`` for an unknown name or a damaged file."""
    if name not in library_names():
        raise ConfigurationError(f'there is no ready policy "{name}"')
    try:
        return LibraryFile.model_validate(yaml.safe_load(_folder().joinpath(f"{name}.yaml").read_text("utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"the ready policy {name} is damaged: {error}") from None


def load_library(name: str) -> tuple[PolicyDocument, ...]:
    """The policies of one file."""
    return read_library(name).policies


def _folder() -> Traversable:
    return files(__name__)
