"""Abstract values: what an expression, a stage or a command can hold, in terms of stored paths.

The whole of masking rests on one rule: *not shown to be free of a stored path means that it may hold it*. Arrays are
transparent, as they are in field paths: the abstract value of an array is that of its elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from gateway.domain.statement import ColumnRef

WHOLE: Final = "*"
"""The column of a ``ColumnRef`` that stands for the whole document."""
MAX_DEPTH: Final = 100
"""The server's own limit for nested documents is 180 (``MongoDB limits and thresholds``); deeper is not followed."""

Sources = frozenset[ColumnRef]


@dataclass(frozen=True, slots=True)
class Stored:
    """Exactly what is stored at one of these paths, or null."""

    refs: Sources


@dataclass(frozen=True, slots=True)
class Dotted:
    """A document whose field names are dotted paths below a stored one (``updateDescription.updatedFields``)."""

    base: Stored


@dataclass(frozen=True, slots=True)
class Computed:
    """Something made of these paths; it may show any part of them in any form. No source: a constant."""

    sources: Sources = frozenset()


@dataclass(frozen=True, slots=True)
class Guarded:
    """A value whose presence or number depends on other paths, which it may therefore tell."""

    value: AbstractValue
    control: Sources


@dataclass(frozen=True, slots=True)
class Document:
    """A document with known fields; ``rest`` is what every other field is taken from (None: there is none)."""

    fields: Mapping[str, AbstractValue] = field(default_factory=dict)
    rest: AbstractValue | None = None


@dataclass(frozen=True, slots=True)
class Nothing:
    """Null or missing."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything that the server can reach."""


AbstractValue = Stored | Dotted | Computed | Guarded | Document | Nothing | Unknown

CONSTANT: Final = Computed()
NOTHING: Final = Nothing()
UNKNOWN: Final = Unknown()


def collection(database: str, name: str) -> Stored:
    """The documents of a stored collection."""
    return Stored(frozenset({ColumnRef(database, name, WHOLE)}))


def below(ref: ColumnRef, name: str) -> ColumnRef:
    """The path one step down."""
    return ColumnRef(ref.schema, ref.table, name if ref.column == WHOLE else f"{ref.column}.{name}")


def get(value: AbstractValue, name: str) -> AbstractValue:
    """The field of a document, or of each document in an array.

    A numeric name may also be a position in an array (in filters, sorts and find's projections).
    """
    match value:
        case Stored(refs):
            return Stored(frozenset(below(ref, name) for ref in refs))
        case Dotted(base):
            return follow(base, name.split("."))
        case Computed() | Unknown() | Nothing():
            return value
        case Guarded(inner, control):
            return Guarded(get(inner, name), control)
        case Document(fields, rest):
            found = fields.get(name)
            if found is None:
                found = NOTHING if rest is None else get(rest, name)
            return join(found, value) if name.isdecimal() else found
        case _:
            assert_never(value)


def follow(value: AbstractValue, steps: Iterable[str]) -> AbstractValue:
    """The value at a path."""
    for number, step in enumerate(steps):
        if number >= MAX_DEPTH:
            return UNKNOWN
        value = get(value, step)
    return value


def sources(value: AbstractValue) -> Sources | None:
    """Every stored path that the value may show something of; None where it could be any."""
    found: set[ColumnRef] = set()
    pending: list[AbstractValue] = [value]
    while pending:
        match pending.pop():
            case Stored(refs) | Dotted(Stored(refs)):
                found |= refs
            case Computed(made_of):
                found |= made_of
            case Guarded(inner, control):
                found |= control
                pending.append(inner)
            case Document(fields, rest):
                pending.extend(fields.values())
                if rest is not None:
                    pending.append(rest)
            case Nothing():
                pass
            case Unknown():
                return None
            case other:
                assert_never(other)
    return frozenset(found)


def computed(*values: AbstractValue) -> AbstractValue:
    """Something made of all these."""
    found: set[ColumnRef] = set()
    for value in values:
        own = sources(value)
        if own is None:
            return UNKNOWN
        found |= own
    return Computed(frozenset(found))


def guarded(value: AbstractValue, control: AbstractValue) -> AbstractValue:
    """The value, where another one decides whether or how often it is there."""
    depends = sources(control)
    if depends is None:
        return UNKNOWN
    if not depends or isinstance(value, Unknown):
        return value
    if isinstance(value, Computed):
        return Computed(value.sources | depends)
    if isinstance(value, Guarded):
        return Guarded(value.value, value.control | depends)
    return Guarded(value, depends)


def join(one: AbstractValue, other: AbstractValue, depth: int = 0) -> AbstractValue:
    """Either of two values."""
    if one == other or isinstance(other, Nothing):
        return one
    if isinstance(one, Nothing):
        return other
    if isinstance(one, Unknown) or isinstance(other, Unknown) or depth > MAX_DEPTH:
        return UNKNOWN
    if isinstance(one, Guarded) or isinstance(other, Guarded):
        (bare, control), (bare_other, control_other) = _unguarded(one), _unguarded(other)
        return guarded(join(bare, bare_other, depth + 1), Computed(control | control_other))
    if isinstance(one, Stored) and isinstance(other, Stored):
        return Stored(one.refs | other.refs)
    if isinstance(one, Document) or isinstance(other, Document):
        return _join_documents(_as_document(one), _as_document(other), depth)
    return computed(one, other)


def join_all(values: Iterable[AbstractValue]) -> AbstractValue:
    """Any of several values; nothing where there is none."""
    found: AbstractValue = NOTHING
    for value in values:
        found = join(found, value)
    return found


def assign(base: AbstractValue, steps: tuple[str, ...], value: AbstractValue) -> AbstractValue:
    """The document with a path set to a value; what else is in it stays."""
    if not steps:
        return value
    if len(steps) > MAX_DEPTH or isinstance(base, Unknown):
        return UNKNOWN
    if isinstance(base, Guarded):
        return Guarded(assign(base.value, steps, value), base.control)
    document = _as_document(base)
    inner = assign(get(document, steps[0]), steps[1:], value) if len(steps) > 1 else value
    return Document({**document.fields, steps[0]: inner}, document.rest)


def _unguarded(value: AbstractValue) -> tuple[AbstractValue, Sources]:
    return (value.value, value.control) if isinstance(value, Guarded) else (value, frozenset())


def _as_document(value: AbstractValue) -> Document:
    if isinstance(value, Document):
        return value
    return Document({}, None if isinstance(value, Nothing) else value)


def _join_documents(one: Document, other: Document, depth: int) -> AbstractValue:
    names = dict.fromkeys([*one.fields, *other.fields])
    rest = [value for value in (one.rest, other.rest) if value is not None]
    return Document(
        {name: join(_field(one, name), _field(other, name), depth + 1) for name in names},
        join(rest[0], rest[1], depth + 1) if len(rest) == 2 else rest[0] if rest else None,
    )


def _field(document: Document, name: str) -> AbstractValue:
    found = document.fields.get(name)
    if found is None:
        found = NOTHING if document.rest is None else get(document.rest, name)
    return found
