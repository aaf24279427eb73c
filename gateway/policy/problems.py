"""What is wrong with a document, with the place where it is wrong, so that a file's loader can name the line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.errors import ConfigurationError

Location = tuple[str | int, ...]
"""Keys and list positions from the root of a document down to a value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that must be put right."""

    location: Location
    message: str

    def render(self) -> str:
        """``policies[2].match.when: …``."""
        return f"{render_location(self.location)}: {self.message}" if self.location else self.message


class PolicyProblems(ConfigurationError):
    """Policies cannot be used. ``problems`` has every reason; locations begin with the position in the list."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(problem.render() for problem in problems))
        self.problems = tuple(problems)


def render_location(location: Location) -> str:
    """``("policies", 2, "match", "when")`` as ``policies[2].match.when``."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean "x"?`` where a known word is close to the wrong one, else nothing."""
    close = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
