"""Reads a YAML file into plain values and remembers on which line each of them stands.

Only the safe, plain part of YAML 1.1 is read: no tags of one's own, no merge keys, text keys only, no key twice. The
pure-Python composer is used on purpose: the C one overflows its stack on deeply nested input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from gateway.policy.problems import Location, Problem

MAX_BYTES: Final = 16 * 1024 * 1024
"""Bytes of a configuration file."""
_MAX_DEPTH: Final = 40
_MAX_NODES: Final = 500_000
_MERGE: Final = "tag:yaml.org,2002:merge"

YamlValue = object
"""None, bool, int, float, str, bytes, date, datetime, or a list or dict (with text keys) of these."""


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A file's content with the line (from 1) of every key and list item, and what is wrong with it as YAML."""

    value: YamlValue
    lines: Mapping[Location, int]
    problems: tuple[Problem, ...] = ()

    def line_of(self, location: Location) -> int:
        """The line of a location, or of the nearest thing around it that is in the file."""
        for length in range(len(location), -1, -1):
            if (line := self.lines.get(location[:length])) is not None:
                return line
        return 1


def read_document(content: bytes) -> SourceDocument:
    """Parse a file. Never raises: what is wrong is in ``problems``, and the value then holds what could be read."""
    if len(content) > MAX_BYTES:
        return _broken(1, f"the file is larger than {MAX_BYTES // (1024 * 1024)} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _broken(content.count(b"\n", 0, error.start) + 1, "the file is not UTF-8 text")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        parts = [part for part in (error.context, error.problem) if part]
        return _broken(1 if mark is None else mark.line + 1, "not valid YAML: " + ", ".join(parts))
    except yaml.reader.ReaderError as error:
        return _broken(text.count("\n", 0, error.position) + 1, f"not valid YAML: {error.reason}")
    except RecursionError:
        return _broken(1, "nested too deeply")
    if node is None:
        return SourceDocument(value={}, lines={(): 1})
    reader = _Reader()
    value = reader.convert(node, ())
    return SourceDocument(value=value, lines=reader.lines, problems=tuple(reader.problems))


def _broken(line: int, message: str) -> SourceDocument:
    return SourceDocument(value={}, lines={(): line}, problems=(Problem((), message),))


class _Reader:
    """Turns nodes into values, one file at a time."""

    def __init__(self) -> None:
        self.lines: dict[Location, int] = {}
        self.problems: list[Problem] = []
        self._constructor = yaml.constructor.SafeConstructor()
        self._nodes = 0

    def convert(self, node: yaml.Node, location: Location) -> YamlValue:
        # A key's own line is better than its value's, which may begin further down; it was set by the mapping.
        self.lines.setdefault(location, node.start_mark.line + 1)
        self._nodes += 1
        if len(location) > _MAX_DEPTH or self._nodes > _MAX_NODES:
            # Aliases can make a small file endlessly large or deep.
            if self._nodes <= _MAX_NODES + 1:
                self.problems.append(Problem(location, "nested too deeply or too large"))
            self._nodes = max(self._nodes, _MAX_NODES + 1)
            return None
        match node:
            case yaml.MappingNode():
                return dict(self._items(node, location))
            case yaml.SequenceNode():
                return [self.convert(item, (*location, index)) for index, item in enumerate(node.value)]
            case _:
                return self._scalar(node, location)

    def _items(self, node: yaml.MappingNode, location: Location) -> Iterator[tuple[str, YamlValue]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._add(location, line, "a key must be text")
                continue
            if key_node.tag == _MERGE:
                self._add((*location, "<<"), line, "merge keys are not supported; write the keys out")
                continue
            key = self._scalar(key_node, location)
            if not isinstance(key, str):
                self._add((*location, key_node.value), line, "YAML reads this key as something else; put it in quotes")
                continue
            if key in seen:
                self._add((*location, key), line, f"the key is there twice, first on line {seen[key]}")
                continue
            seen[key] = line
            self.lines[(*location, key)] = line
            yield key, self.convert(value_node, (*location, key))

    def _scalar(self, node: yaml.Node, location: Location) -> YamlValue:
        try:
            value: YamlValue = self._constructor.construct_object(node)
        except (yaml.constructor.ConstructorError, ValueError) as error:
            reason = error.problem if isinstance(error, yaml.constructor.ConstructorError) else str(error)
            self.problems.append(Problem(location, f"not a plain value: {reason}"))
            return None
        return value

    def _add(self, location: Location, line: int, message: str) -> None:
        # The location may name the first of two equal keys; this problem is about another line.
        marked = (*location, f"@{line}")
        self.lines[marked] = line
        self.problems.append(Problem(marked, message))
