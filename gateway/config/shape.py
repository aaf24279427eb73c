"""Turns pydantic's errors into words for the file's author."""

from __future__ import annotations

import typing
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError

from gateway.policy.problems import Location, Problem, suggestion


def shape_problems(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """One problem per error, without the values that were refused: they may be secrets."""
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        location: Location = item["loc"]
        kind, message = item["type"], item["msg"]
        key = str(location[-1]) if location else ""
        if kind == "extra_forbidden":
            known = _known_keys(model, location[:-1])
            listed = f"; known keys are {', '.join(known)}" if known else ""
            yield Problem(location, "unknown key" + (suggestion(key, known) or listed))
        elif kind == "missing":
            yield Problem(location[:-1], f'the key "{key}" is missing')
        else:
            yield Problem(location, message.removeprefix("Value error, "))


def _known_keys(model: type[BaseModel], location: Location) -> list[str]:
    current: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int) or current is None:
            continue
        field = current.model_fields.get(part)
        current = None if field is None else next(_models(field.annotation), None)
    return [] if current is None else sorted(current.model_fields)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
