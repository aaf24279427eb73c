"""What the tour does on each of the other databases: the same people, the same promises, another language."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from gateway.demo.stage import AGENT, ANALYST, SUPPORT
from gateway.demo.teller import Row, Teller, short

Command = TypeVar("Command")


class Play(ABC, Generic[Command]):
    """One database's part of the tour. ``question`` and ``fields`` are what each person asks for."""

    question: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]

    def __init__(self, teller: Teller, secrets: Iterable[str]) -> None:
        """``secrets`` are the values that must not be seen."""
        self._teller = teller
        self._secrets = set(secrets)

    def play(self, attempts: Sequence[tuple[str, Command]], destruction: Sequence[tuple[str, str, Command]]) -> None:
        """``attempts`` to get around the masks, as text and command; ``destruction`` with who tries it before."""
        self._what_each_person_sees()
        self._getting_around(attempts)
        self._destruction(destruction)
        self._writing()

    @abstractmethod
    def _rows(self, who: str) -> Sequence[Row]:
        """The answer to ``question``."""

    @abstractmethod
    def _ask(self, who: str, command: Command) -> tuple[str, bool]:
        """Everything that the client gets to see, as text, and whether it is told that it may not."""

    @abstractmethod
    def _census(self) -> object:
        """How much there is in the shop, and how many are VIPs."""

    @abstractmethod
    def _writing(self) -> None:
        """Ordinary work goes on."""

    def _what_each_person_sees(self) -> None:
        for who, what, hidden in (
            (SUPPORT, "support reads e-mail and tax number; of a card only the last four digits", (3,)),
            (ANALYST, "an analyst sees neither e-mail, tax number nor card", (1, 2, 3)),
        ):
            self._teller.person(who)
            rows = self._rows(who)
            self._teller.show(self.question, self.fields, rows)
            clear = {index for row in rows for index, value in enumerate(row) if str(value) in self._secrets}
            kept = len(rows) == 2 and clear == {1, 2, 3} - set(hidden)
            self._teller.promise(what, kept, f"in clear: columns {sorted(clear)}")

    def _getting_around(self, attempts: Sequence[tuple[str, Command]]) -> None:
        self._teller.person(ANALYST)
        for text, command in attempts:
            answer, _ = self._ask(ANALYST, command)
            leaked = any(value in answer or value[::-1] in answer for value in self._secrets)
            self._teller.promise(f"{text}  [dim]{short(answer)}[/]", not leaked, "LEAKED")

    def _destruction(self, destruction: Sequence[tuple[str, str, Command]]) -> None:
        self._teller.person(f"{SUPPORT}, {AGENT}")
        for who, text, command in destruction:
            before = self._census()
            answer, refused = self._ask(who, command)
            kept = refused and self._census() == before
            self._teller.promise(f"{who}: {text}  [dim]{short(answer)}[/]", kept, answer)
