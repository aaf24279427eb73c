"""Where secrets come from and how they are kept: read once, never shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, assert_never

from pydantic import BeforeValidator, InstanceOf, WithJsonSchema

from gateway.errors import ConfigurationError

MAX_SECRET_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret text. Its ``repr`` and ``str`` do not show it; ``reveal`` is the only way to it."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The secret itself."""
        return self._value


@dataclass(frozen=True, slots=True)
class EnvironmentSource:
    """``{env: NAME}``."""

    name: str


@dataclass(frozen=True, slots=True)
class FileSource:
    """``{file: path}``, relative to the configuration file; one newline at the end is not part of the secret."""

    path: str


@dataclass(frozen=True, slots=True)
class InlineSource:
    """A secret written into the configuration itself: possible, and warned about."""

    secret: Secret


@dataclass(frozen=True, slots=True)
class SealedSource:
    """``{sealed: text}``: a secret as the store keeps it, encrypted. Only who has the store's key can open it."""

    text: str


SecretSource = EnvironmentSource | FileSource | InlineSource | SealedSource


def parse_source(value: object) -> SecretSource:
    """From YAML. Raises ``ValueError``, whose text never holds the value."""
    match value:
        case EnvironmentSource() | FileSource() | InlineSource() | SealedSource():
            return value
        case str() if value:
            return InlineSource(Secret(value))
        case {"env": str(name), **rest} if name and not rest:
            return EnvironmentSource(name)
        case {"file": str(path), **rest} if path and not rest:
            return FileSource(path)
        case {"sealed": str(text), **rest} if text and not rest:
            return SealedSource(text)
        case _:
            raise ValueError("write {env: NAME}, {file: path} or a text in quotes")


SECRET_SCHEMA: Final[dict[str, Any]] = {
    "description": "{env: NAME}, {file: path} or the text itself",
    "anyOf": [
        {"type": "string", "minLength": 1, "writeOnly": True},
        *(
            {
                "type": "object",
                "properties": {key: {"type": "string", "minLength": 1}},
                "required": [key],
                "additionalProperties": False,
            }
            for key in ("env", "file")
        ),
    ],
}

SecretField = Annotated[
    InstanceOf[EnvironmentSource] | InstanceOf[FileSource] | InstanceOf[InlineSource] | InstanceOf[SealedSource],
    BeforeValidator(parse_source),
    WithJsonSchema(SECRET_SCHEMA),
]


def read_secret(
    source: SecretSource,
    *,
    environ: Mapping[str, str],
    folder: Path,
    open_sealed: Callable[[str], str] | None = None,
) -> Secret:
    """Fetch a secret. Raises ``ValueError`` that names the source and never the content."""
    match source:
        case EnvironmentSource(name):
            text = _read_variable(environ, name)
        case FileSource(path):
            text = _read_file(folder / path)
        case InlineSource(secret):
            text = secret.reveal()
        case SealedSource(sealed):
            text = _open(sealed, open_sealed)
        case _:
            assert_never(source)
    if "\0" in text:
        raise ValueError("a secret cannot hold a NUL character")
    return Secret(text)


def _open(sealed: str, open_sealed: Callable[[str], str] | None) -> str:
    if open_sealed is None:
        raise ValueError(
            "a sealed secret can only be opened where the store's key is; write {env: NAME} or {file: path}"
        )
    try:
        return open_sealed(sealed)
    except ConfigurationError:
        raise ValueError("the sealed secret was not sealed with this store's key, or is damaged") from None


def _read_variable(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name)
    if text is None:
        raise ValueError(f"environment variable {name} is not set")
    if not text:
        raise ValueError(f"environment variable {name} is empty")
    return text


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"{path} is larger than {MAX_SECRET_BYTES} bytes")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"{path} is empty")
    return text
