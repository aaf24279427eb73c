"""What the analysis of one command collects: objects, paths, code, and why it is not sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.domain.statement import ColumnRef, ObjectRef
from gateway_mongodb.abstract import UNKNOWN, AbstractValue, sources
from gateway_mongodb.catalog import MongoCatalog

CODE_SCHEMA: Final = "javascript"
"""The schema of the functions that policies name where code runs in the server: ``javascript.where`` and so on."""


@dataclass(slots=True, eq=False)
class Reach:
    """Collected while a command is interpreted."""

    objects_read: set[ObjectRef] = field(default_factory=set)
    objects_written: set[ObjectRef] = field(default_factory=set)
    functions: set[ObjectRef] = field(default_factory=set)
    columns_read: set[ColumnRef] = field(default_factory=set)
    columns_written: set[ColumnRef] = field(default_factory=set)
    columns_filtered: set[ColumnRef] = field(default_factory=set)
    everything: bool = False
    copies: bool = False
    opaque: list[str] = field(default_factory=list)
    unknown_stage: bool = False
    """A stage is not known: it could write as well."""

    def take(self, other: Reach) -> None:
        """Count what another one collected, too."""
        self.objects_read |= other.objects_read
        self.objects_written |= other.objects_written
        self.functions |= other.functions
        self.columns_read |= other.columns_read
        self.columns_written |= other.columns_written
        self.columns_filtered |= other.columns_filtered
        self.everything = self.everything or other.everything
        self.copies = self.copies or other.copies
        self.unknown_stage = self.unknown_stage or other.unknown_stage
        for reason in other.opaque:
            self.doubt(reason)

    def reads(self, value: AbstractValue) -> AbstractValue:
        """Count a value as read, and hand it on."""
        found = sources(value)
        if found is None:
            self.everything = True
        else:
            self.columns_read |= found
        return value

    def filters(self, value: AbstractValue) -> AbstractValue:
        """Count a value as used to filter, join, order or group, and hand it on."""
        found = sources(value)
        if found is None:
            self.everything = True
        else:
            self.columns_read |= found
            self.columns_filtered |= found
        return value

    def doubt(self, reason: str) -> None:
        """The analysis is not sure; ``reason`` holds no value."""
        if reason not in self.opaque:
            self.opaque.append(reason)

    def unknown(self, reason: str) -> AbstractValue:
        """Something that is not understood: anything may come out of it."""
        self.doubt(reason)
        self.everything = True
        return UNKNOWN

    def runs_code(self, name: str) -> None:
        """JavaScript runs in the server; what it reads and does is not known."""
        self.functions.add(ObjectRef(CODE_SCHEMA, name, "function"))
        self.doubt("runs JavaScript in the server")
        self.everything = True


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression is evaluated: the document, variables, and where to count what it reads."""

    reach: Reach
    catalog: MongoCatalog | None
    database: str
    root: AbstractValue
    current: AbstractValue
    variables: Mapping[str, AbstractValue] = field(default_factory=dict)
    depth: int = 0
    views: tuple[tuple[str, str], ...] = ()
    """Views that are being expanded, so that none is expanded in itself."""

    def deeper(self) -> Scope:
        return replace(self, depth=self.depth + 1)

    def on(self, document: AbstractValue) -> Scope:
        """The same for another document."""
        variables = {name: value for name, value in self.variables.items() if name != "CURRENT"}
        return replace(self, root=document, current=document, variables=variables)

    def with_variables(self, variables: Mapping[str, AbstractValue]) -> Scope:
        # "$x" is short for "$$CURRENT.x", and CURRENT is a variable like any other.
        current = variables.get("CURRENT", self.current)
        return replace(self, variables={**self.variables, **variables}, current=current, depth=self.depth + 1)
