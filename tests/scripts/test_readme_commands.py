"""The README's commands are found and run as a reader would type them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "readme_commands.py"


def _run(document: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options, str(document)], capture_output=True, text=True, timeout=60, check=False
    )


def test_only_marked_blocks_and_prompts_are_run(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(
        "# Title\n"
        "```console\n$ echo unmarked; exit 1\n```\n"
        "```console runnable\n$ echo one\none\n$ echo two \\\n    three\ntwo three\n```\n"
        "- nested\n  ```console runnable\n  $ pwd\n  ```\n"
    )
    listed = _run(document, "--list")
    assert listed.stdout == f"--- {document}:5\necho one\necho two \\\n    three\n--- {document}:13\npwd\n"
    done = _run(document)
    assert done.returncode == 0
    assert "two three\n" in done.stdout
    assert "unmarked" not in done.stdout


def test_the_first_failing_command_is_named_by_its_block(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("text\n\n```console runnable\n$ false | cat\n$ echo after\n```\n")
    done = _run(document)
    assert done.returncode == 1
    assert f"{document}:3: exit status 1" in done.stderr
    assert "\nafter" not in done.stdout


def test_a_block_that_does_not_end_is_a_failure(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("```console runnable\n$ sleep 30\n```\n")
    assert "not finished in 0.2 s" in _run(document, "--timeout", "0.2").stderr


def test_a_document_without_commands_is_a_failure(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("```console\n$ true\n```\n")
    assert _run(document).returncode == 1
