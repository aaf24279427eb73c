"""A principal's ``token``: a secret source, or only its SCRAM-SHA-256 verifier."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, InstanceOf, WithJsonSchema

from gateway.config.secrets import (
    SECRET_SCHEMA,
    EnvironmentSource,
    FileSource,
    InlineSource,
    SealedSource,
    SecretSource,
    parse_source,
)
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


def _verifier(value: object) -> ScramVerifier:
    match value:
        case ScramVerifier():
            return value
        case str():
            return parse_verifier(value)
        case _:
            raise ValueError("write the verifier as text: SCRAM-SHA-256$…")


VerifierField = Annotated[
    InstanceOf[ScramVerifier], BeforeValidator(_verifier), WithJsonSchema({"type": "string", "minLength": 1})
]
TokenField = Annotated[
    InstanceOf[ScramVerifier]
    | InstanceOf[EnvironmentSource]
    | InstanceOf[FileSource]
    | InstanceOf[InlineSource]
    | InstanceOf[SealedSource],
    BeforeValidator(parse_token),
    WithJsonSchema(
        {
            "description": "a secret, or {verifier: SCRAM-SHA-256$…}",
            "anyOf": [
                *SECRET_SCHEMA["anyOf"],
                {
                    "type": "object",
                    "properties": {"verifier": {"type": "string", "minLength": 1}},
                    "required": ["verifier"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]

__all__ = ["TokenField", "VerifierField", "format_verifier", "parse_token", "parse_verifier"]
