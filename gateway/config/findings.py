"""Collects what is wrong and what is doubtful in a file, so that its author sees everything at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gateway.config.document import SourceDocument
from gateway.errors import ConfigurationError
from gateway.policy.problems import Location, Problem, render_location


class Findings:
    """Problems stop the start, warnings do not. Each is rendered as ``file:line: key: message``.

    ``source`` None: the documents are not of a file, so that there is no line to name.
    """

    def __init__(self, path: Path, source: SourceDocument | None) -> None:
        self._path = path
        self._source = source
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    @property
    def failed(self) -> bool:
        """Whether there is a problem."""
        return bool(self._problems)

    @property
    def found(self) -> tuple[Problem, ...]:
        """The problems in the order in which they were found."""
        return tuple(self._problems)

    @property
    def doubts(self) -> tuple[Problem, ...]:
        """The warnings in the order in which they were found."""
        return tuple(self._warnings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings in the order of the file."""
        return self._render(self._warnings)

    def problem(self, location: Location, message: str) -> None:
        """Something that must be put right."""
        self._problems.append(Problem(location, message))

    def problems(self, found: Iterable[Problem]) -> None:
        """Several of them."""
        self._problems.extend(found)

    def warning(self, location: Location, message: str) -> None:
        """Something that is probably not meant."""
        self._warnings.append(Problem(location, message))

    def raise_problems(self) -> None:
        """Raise ``ConfigurationError`` with every problem, a line each, if there is one."""
        if self._problems:
            raise ConfigurationError("\n".join(self._render(self._problems)))

    def _render(self, found: list[Problem]) -> tuple[str, ...]:
        lines_of = self._source or SourceDocument(value={}, lines={})
        placed = sorted((lines_of.line_of(item.location), index) for index, item in enumerate(found))
        lines = (self._line(line, found[index]) for line, index in placed)
        return tuple(dict.fromkeys(lines))

    def _line(self, line: int, item: Problem) -> str:
        named = tuple(part for part in item.location if not (isinstance(part, str) and part.startswith("@")))
        key = render_location(named)
        if self._source is None:
            return f"{key}: {item.message}"
        return f"{self._path}:{line}: {key}: {item.message}" if key else f"{self._path}:{line}: {item.message}"


def check_names_unique(findings: Findings, section: str, names: Iterable[str]) -> None:
    """Refuse a name that is there twice in one section."""
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            findings.problem((section, index, "name"), f'"{name}" is there twice, first as {section}[{seen[name]}]')
        else:
            seen[name] = index
