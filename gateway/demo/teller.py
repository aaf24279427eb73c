"""How a tour is told: chapters, tables, and promises that are counted."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Row = Sequence[object]


class Teller:
    """Prints a story on a console and keeps count of its promises."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.kept = 0
        self.broken: list[str] = []

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        self.console.print(f"\n[bold]{title}[/]")

    def person(self, name: str) -> None:
        """Who is at the keyboard now."""
        self.console.print(f"\n  [bold cyan]{name}[/]", highlight=False)

    def remark(self, text: str) -> None:
        """Something that is no promise."""
        self.console.print(f"  [yellow]{text}[/]", highlight=False, soft_wrap=True)

    def quote(self, text: str) -> None:
        """What a program printed."""
        self.console.print(f"  [dim]{escape(text)}[/]", highlight=False, soft_wrap=True)

    def promise(self, text: str, kept: bool, detail: str = "") -> None:
        """Something that the product promises, and whether it was so."""
        if kept:
            self.kept += 1
            self.console.print(f"  [green]✓[/] {text}", highlight=False, soft_wrap=True)
        else:
            self.broken.append(text)
            self.console.print(f"  [bold red]✗ {text}[/] {detail}", highlight=False, soft_wrap=True)

    def show(self, statement: str, names: Sequence[str], rows: Sequence[Row]) -> None:
        """A statement and what came of it."""
        self.console.print(f"  [dim]{statement}[/]", highlight=False, soft_wrap=True)
        table = Table(box=None, pad_edge=False, show_header=True, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("")
        for name in names:
            table.add_column(name)
        for row in rows:
            table.add_row(" ", *("NULL" if value is None else str(value) for value in row))
        self.console.print(table)


def short(answer: str) -> str:
    """The beginning of an answer, fit for the end of a line."""
    first = answer.splitlines()[0]
    return (first if len(first) <= 60 else first[:57] + "...").replace("[", "\\[")
