"""Checks the store as it would be after a change, by the code that checks configuration files and loads snapshots."""

from __future__ import annotations

from admin_api.deps import Work
from admin_api.documents.sections import TABLES, read_sections
from admin_api.errors import Invalid, Wrong, pointer
from admin_api.revision import current_revision
from gateway.control.document import SnapshotDocument
from gateway.errors import ConfigurationError
from gateway.policy.problems import Location, PolicyProblems

Sections = dict[str, list[dict[str, object]]]


async def check_candidate(work: Work, section: str | None = None, name: str | None = None) -> tuple[str, ...]:
    """What is doubtful about the document ``name`` of ``section``, as the transaction now has it.

    Raises ``Invalid`` where the whole could not be put in force: names that nobody has, conditions that do not compile,
    effects that a protocol cannot enforce.
    """
    context = work.context
    sections = await read_sections(work.session)
    position = _position(sections, section, name)
    document = SnapshotDocument.build(
        number=await current_revision(work.session) + 1,
        created=context.clock(),
        sections=context.publisher.whole(sections),
    )
    # Building may sort: positions in messages are those of the built one.
    built: Sections = {key: [dict(item) for item in items] for key, items in document.sections.items()}
    if section is not None and position is not None:
        position = built[section].index(sections[section][position])
    try:
        warnings = await context.plane.check_snapshot(document, context.sealer)
    except PolicyProblems as error:
        wrong = [_wrong(item.location, item.message, built, section, position) for item in error.problems]
        raise Invalid("this would not work", errors=wrong) from None
    except ConfigurationError as error:
        raise Invalid(
            "this would not work", errors=[Wrong(pointer="", detail=line) for line in str(error).splitlines()]
        ) from None
    mine = f"{section}[{position}]"
    return tuple(line.removeprefix(mine).lstrip(".") for line in warnings if section and line.startswith(mine))


def _position(sections: dict[str, list[dict[str, object]]], section: str | None, name: str | None) -> int | None:
    if section is None or section not in TABLES:
        return None
    names = [document_name(section, document) for document in sections[section]]
    return names.index(name) if name in names else None


def document_name(section: str, document: dict[str, object]) -> str:
    """What the store calls a document."""
    if section == "classifications":
        return f"{document.get('resource')}/{document.get('label')}"
    return str(document.get("name"))


def _wrong(location: Location, message: str, built: Sections, section: str | None, position: int | None) -> Wrong:
    if section is not None and location[:2] == (section, position):
        return Wrong(pointer=pointer(location[2:]), detail=message)
    if len(location) > 1 and isinstance(location[1], int) and str(location[0]) in built:
        kind, other = str(location[0]), built[str(location[0])][location[1]]
        place = pointer(location[2:])
        return Wrong(pointer="", detail=f'{kind} "{document_name(kind, other)}": {place}: {message}')
    return Wrong(pointer="", detail=message if not location else f"{pointer(location)}: {message}")
