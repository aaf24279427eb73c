"""A principal's ``token``: a secret source, or only its SCRAM-SHA-256 verifier."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, InstanceOf

from gateway.config.secrets import EnvironmentSource, FileSource, InlineSource, SecretSource, parse_source
from gateway.domain.identity import ScramVerifier
from gateway.identity.scram import format_verifier, parse_verifier


def parse_token(value: object) -> ScramVerifier | SecretSource:
    """``{verifier: text}`` or a secret source. Raises ``ValueError``, whose text never holds the value."""
    match value:
        case {"verifier": str(text), **rest} if not rest:
            return parse_verifier(text)
        case {"verifier": _}:
            raise ValueError("write {verifier: text} and nothing beside it")
        case ScramVerifier():
            return value
        case _:
            return parse_source(value)


TokenField = Annotated[
    InstanceOf[ScramVerifier] | InstanceOf[EnvironmentSource] | InstanceOf[FileSource] | InstanceOf[InlineSource],
    BeforeValidator(parse_token),
]

__all__ = ["TokenField", "format_verifier", "parse_token", "parse_verifier"]
