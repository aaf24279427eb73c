"""The product's checkpoints and proofs, checked by a verifier that shares no code with it."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.audit.cli import audit_app
from gateway.audit.tree import Frontier, Leaves, consistency_proof, inclusion_proof
from gateway.domain.audit import SessionEventKind
from tests.gateway.audit.builders import CONTEXT, open_log, refused, session, statement
from tests.gateway.audit.outsider import consistent, included, leaf, opened, root

LINES = [b'{"seq":%d}' % number for number in range(5000)]
HASHES = [leaf(line) for line in LINES]


def tree(size: int, known: int = 0) -> Leaves:
    """Of the first lines, of which some are known by their frontier only, as after archived segments."""
    start = Frontier()
    start.add_lines(LINES[:known])
    return Leaves(start, HASHES[known:size])


def sizes() -> list[int]:
    return [*range(1, 71), *random.Random(11).sample(range(71, len(LINES)), 6), 4096, 4097]


@pytest.mark.parametrize("size", sizes())
def test_inclusion_proofs_convince_the_outsider_and_for_their_leaf_only(size: int) -> None:
    chosen = random.Random(size)
    signed = root(HASHES[:size])
    leaves = tree(size)
    for index in range(size) if size <= 70 else chosen.sample(range(size), 40):
        path = inclusion_proof(index, size, leaves.subtree)
        assert included(index, size, HASHES[index], path, signed)
        assert not included(index, size, HASHES[(index + 1) % len(HASHES)], path, signed)
        other = chosen.randrange(size)
        assert other == index or not included(other, size, HASHES[index], path, signed)
        assert not included(index, size, HASHES[index], [*path, HASHES[0]], signed)
        assert not path or not included(index, size, HASHES[index], path[:-1], signed)


@pytest.mark.parametrize("size", sizes())
def test_consistency_proofs_convince_the_outsider_and_for_their_roots_only(size: int) -> None:
    chosen = random.Random(size)
    new = root(HASHES[:size])
    for old_size in range(1, size + 1) if size <= 70 else chosen.sample(range(1, size), 20):
        old = root(HASHES[:old_size])
        # The proof is made as well where the lines before the old checkpoint are archived.
        for known in {0, old_size, chosen.randrange(old_size + 1)}:
            try:
                path = consistency_proof(old_size, size, tree(size, known).subtree)
            except LookupError:
                assert known not in (0, old_size)
                continue
            assert consistent(old_size, old, size, new, path)
            assert not consistent(old_size, HASHES[0] if old_size > 1 else HASHES[1], size, new, path)
            assert not consistent(old_size, old, size, HASHES[2], path)
            assert not path or not consistent(old_size, old, size, new, path[:-1])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of several segments, each with some checkpoints."""
    folder = tmp_path_factory.mktemp("log")
    log = open_log(folder / "audit", segment_bytes=6_000, checkpoint_interval=0.001)

    async def write() -> None:
        log.record_session(session(SessionEventKind.LOGIN))
        for number in range(90):
            log.record(refused(number) if number % 9 == 4 else statement(number), CONTEXT)
            if number % 6 == 5:
                await log.commit()
        log.record_session(session(SessionEventKind.CLOSED))
        await log.close()

    asyncio.run(write())
    return folder


def written(folder: Path) -> list[bytes]:
    names = sorted((folder / "audit").glob("audit-*.jsonl"))
    assert len(names) >= 3
    return [line for name in names for line in name.read_bytes().splitlines()]


def checkpoints(folder: Path) -> list[tuple[str, int, bytes]]:
    key = (folder / "audit" / "key.pub").read_text()
    data = (folder / "audit" / "checkpoints").read_bytes()
    notes = data.removesuffix(b"\n\n").split(b"\n\n")
    return [
        opened(text + b"\n\n" + signature + b"\n", key) for text, signature in zip(notes[::2], notes[1::2], strict=True)
    ]


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(audit_app, [str(argument) for argument in arguments])


def test_every_checkpoint_of_a_log_is_signed_and_its_root_that_of_the_lines(data_dir: Path) -> None:
    lines = written(data_dir)
    found = checkpoints(data_dir)
    assert len(found) >= 5
    assert len({origin for origin, _, _ in found}) == 1
    hashes = [leaf(line) for line in lines]
    for _, size, signed in found:
        assert signed == root(hashes[:size])
    assert found[-1][1] == len(lines)
    for number, line in enumerate(lines):
        assert json.loads(line)["seq"] == number


def test_what_prove_makes_convinces_the_outsider(data_dir: Path) -> None:
    lines = written(data_dir)
    key = (data_dir / "audit" / "key.pub").read_text()
    for number in (0, 1, len(lines) // 2, len(lines) - 1, "s-1.4", "s-1.50"):
        made = run("prove", str(number), "--data-dir", data_dir)
        if made.exit_code:
            assert "there is no event" in made.stderr, "the line is a definition"
            continue
        proof = json.loads(made.stdout)
        _, size, signed = opened(proof["checkpoint"].encode(), key)
        for item in proof["lines"]:
            assert item["line"].encode() == lines[item["index"]]
            path = [base64.b64decode(step) for step in item["path"]]
            assert included(item["index"], size, leaf(item["line"].encode()), path, signed)
        told = json.loads(proof["lines"][0]["line"])
        if "id" in told:
            assert number in (told["id"], told["seq"]), "the event's own line comes first"
            assert {told["session"], told["ruling"]} <= {item["index"] for item in proof["lines"]}


def test_what_consistency_prints_convinces_the_outsider(data_dir: Path) -> None:
    found = checkpoints(data_dir)
    for _, old_size, old in (found[0], found[2], found[-2], found[-1]):
        made = run("consistency", str(old_size), "latest", "--data-dir", data_dir)
        assert made.exit_code == 0, made.output
        path = [base64.b64decode(step) for step in made.stdout.splitlines()]
        assert consistent(old_size, old, found[-1][1], found[-1][2], path)
