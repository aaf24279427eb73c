"""The store as a whole, checked as a configuration file would be; what is wrong is told by the sender's own places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from admin_api.deps import Work
from admin_api.documents.candidate import document_name
from admin_api.documents.models import Document
from admin_api.documents.service import IGNORED
from admin_api.errors import Invalid, Wrong, pointer
from admin_api.revision import current_revision
from gateway.config.documents import SectionsDocument
from gateway.config.shape import shape_problems
from gateway.control.document import SnapshotDocument
from gateway.errors import ConfigurationError
from gateway.policy.problems import Location, PolicyProblems

_PLACE: Final = re.compile(r"(\w+)\[(\d+)\]\.?(.*)", re.DOTALL)

Sections = Mapping[str, Sequence[Document]]


def check_shape(sections: Sections) -> None:
    """Raises ``Invalid`` for documents that are not of the form of a configuration file's."""
    sent = {name: [_with_secret(item) for item in items] for name, items in sections.items()}
    try:
        SectionsDocument.model_validate(sent)
    except ValidationError as error:
        wrong = [
            Wrong(pointer=f"/sections{pointer(problem.location)}", detail=problem.message)
            for problem in shape_problems(error, SectionsDocument)
        ]
        raise Invalid("these are not documents", errors=wrong) from None


def _with_secret(value: Any) -> Any:
    """What was shown as ``{sealed: true}`` has the form of a sealed secret once it is kept."""
    match value:
        case {"sealed": True, **rest} if not rest:
            return {"sealed": "kept"}
        case dict():
            return {key: _with_secret(item) for key, item in value.items() if key != IGNORED}
        case list():
            return [_with_secret(item) for item in value]
    return value


async def check_whole(work: Work, sections: Sections, sent: Sections) -> tuple[str, ...]:
    """Warnings about documents that were sent. Raises ``Invalid`` where the whole could not be put in force."""
    context = work.context
    number = await current_revision(work.session) + 2
    document = SnapshotDocument.build(
        number=number, created=context.clock(), sections=context.publisher.whole(sections)
    )
    places = {
        (section, document_name(section, dict(item))): index
        for section, items in sent.items()
        for index, item in enumerate(items)
    }
    built = document.sections
    try:
        warnings = await context.plane.check_snapshot(document, context.sealer)
    except PolicyProblems as error:
        wrong = [_wrong(item.location, item.message, built, places) for item in error.problems]
        raise Invalid("this would not work", errors=wrong) from None
    except ConfigurationError as error:
        wrong = [Wrong(pointer="", detail=line) for line in str(error).splitlines()]
        raise Invalid("this would not work", errors=wrong) from None
    return tuple(text for line in warnings if (text := _warning(line, built, places)))


def _wrong(
    location: Location,
    message: str,
    built: Mapping[str, Sequence[Mapping[str, object]]],
    places: Mapping[tuple[str, str], int],
) -> Wrong:
    match location:
        case (str(section), int(index), *rest) if section in built:
            name = document_name(section, dict(built[section][index]))
            position = places.get((section, name))
            where = "" if position is None else f"/sections/{section}/{position}{pointer(rest)}"
            return Wrong(pointer=where, detail=f'{section} "{name}": {pointer(rest) or "/"}: {message}')
    return Wrong(pointer="", detail=f"{pointer(location)}: {message}" if location else message)


def _warning(
    line: str, built: Mapping[str, Sequence[Mapping[str, object]]], places: Mapping[tuple[str, str], int]
) -> str:
    found = _PLACE.match(line)
    if found is None or found[1] not in built:
        return ""
    section, index = found[1], int(found[2])
    if index >= len(built[section]):
        return ""
    name = document_name(section, dict(built[section][index]))
    return f'{section} "{name}": {found[3]}' if (section, name) in places else ""
