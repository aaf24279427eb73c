"""Runs the commands of a document: ``python scripts/readme_commands.py [--list] README.md …``.

A fenced block that begins with ```` ```console runnable ```` holds commands that must work as they stand: the lines
that start with ``$ ``, and those after them while a line ends with a backslash. The rest of a block is output and
ignored.
Each block runs in a bash of its own, in the present folder, without input, and stops at the first command that fails.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)```console +runnable *\n(?P<body>.*?)^(?P=indent)``` *$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """The commands of one fenced block, and the line of the document on which it begins."""

    document: Path
    line: int
    script: str


def blocks(document: Path) -> Iterator[Block]:
    """The runnable blocks of a document, in order."""
    text = document.read_text("utf-8")
    for match in _FENCE.finditer(text):
        commands = "".join(_commands(match["body"], len(match["indent"])))
        yield Block(document, text.count("\n", 0, match.start()) + 1, commands)


def _commands(body: str, indent: int) -> Iterator[str]:
    continued = False
    for line in body.splitlines():
        command = line[indent:]
        if not continued and not command.startswith("$ "):
            continue
        yield (command if continued else command[2:]) + "\n"
        continued = command.endswith("\\")


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the runnable console blocks of documents.")
    parser.add_argument("--list", action="store_true", help="print the commands instead")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one block")
    parser.add_argument("documents", nargs="+", type=Path)
    options = parser.parse_args()
    found = [block for document in options.documents for block in blocks(document)]
    if not found:
        print("no runnable block: a document that promises commands must have some", file=sys.stderr)
        return 1
    for block in found:
        print(f"--- {block.document}:{block.line}\n{block.script}", end="", flush=True)
        if not options.list and (status := _run(block, options.timeout)):
            print(f"{block.document}:{block.line}: {status}", file=sys.stderr)
            return 1
    return 0


def _run(block: Block, timeout: float) -> str:
    """Run a block; the reason if it failed, otherwise nothing."""
    start = time.monotonic()
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.script], stdin=subprocess.DEVNULL, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not finished in {timeout:g} s"
    print(f"--- {time.monotonic() - start:.1f} s", flush=True)
    return f"exit status {done.returncode}" if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
