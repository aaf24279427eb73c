"""A loss of power: of what was not synced, any sector may be on the disk, and any may not."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typing_extensions import override

from gateway.audit.segments import list_segments
from gateway.audit.storage import Storage
from gateway.audit.verify import ProblemKind, verify
from tests.gateway.audit.builders import CONTEXT, raw_lines, statement
from tests.gateway.audit.test_fastpath import serving
from tests.gateway.audit.test_writer import ids

SECTOR = 512


@dataclass
class File:
    """What is on the disk for certain, and the contents that the file had since: each write makes one."""

    contents: list[bytes]

    def changed(self, content: bytes) -> None:
        self.contents.append(content)

    def synced(self) -> None:
        del self.contents[:-1]

    def after_power_loss(self, chance: random.Random) -> bytes:
        if chance.random() < 0.3:
            return self.contents[0]
        size = chance.choice([len(content) for content in self.contents])
        sectors = []
        for start in range(0, size, SECTOR):
            sector = chance.choice(self.contents)[start : start + SECTOR]
            sectors.append(sector.ljust(SECTOR, b"\0"))
        return b"".join(sectors)[:size]


@dataclass
class Moment:
    """The disk when the power goes, and how many statements had been told that they are on it."""

    files: dict[str, File]
    told: int

    def put_into(self, directory: Path, chance: random.Random) -> None:
        directory.mkdir()
        for name, file in self.files.items():
            (directory / name).write_bytes(file.after_power_loss(chance))


@dataclass
class Wired(Storage):
    """A real disk that remembers what each write and each sync did; ``moments`` are some of those between them."""

    directory: Path
    chance: random.Random
    told: int
    files: dict[str, File] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.directory.exists():
            self.files = {path.name: File([path.read_bytes()]) for path in self.directory.iterdir()}

    def _look(self, descriptor: int, *, synced: bool = False) -> None:
        with self.guard:
            name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
            file = self.files.setdefault(name, File([b""]))
            file.changed((self.directory / name).read_bytes())
            if synced:
                file.synced()
            self._moment()

    def _moment(self) -> None:
        files = {name: File(list(file.contents)) for name, file in self.files.items()}
        moment = Moment(files, self.told)
        if len(self.moments) < 40:
            self.moments.append(moment)
        elif self.chance.random() < 0.3:
            self.moments[self.chance.randrange(40)] = moment

    @override
    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        with self.guard:
            self.files[path.name] = File([b""])
            self._moment()
        return descriptor

    @override
    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        # Now and then not all at once.
        size = len(data) if self.chance.random() < 0.8 else self.chance.randint(1, len(data))
        written = super().write(descriptor, data[:size], offset)
        self._look(descriptor)
        return written

    @override
    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self._look(descriptor, synced=True)

    @override
    def truncate(self, descriptor: int, size: int) -> None:
        super().truncate(descriptor, size)
        self._look(descriptor)

    @override
    def replace(self, path: Path, data: bytes) -> None:
        super().replace(path, data)
        with self.guard:
            self.files[path.name] = File([data])
            self._moment()


async def run(directory: Path, storage: Wired, chance: random.Random) -> None:
    """Statements, most of which are committed, with texts of any length."""
    segment_bytes = chance.choice([3000, 1 << 28])
    settings = {"segment_bytes": segment_bytes, "checkpoint_interval": 0.002, "flush_interval": 0.001}
    async with serving(directory, storage, **settings) as log:
        for number in range(storage.told, storage.told + 15):
            log.record(statement(number, text=f"SELECT '{'x' * chance.choice([1, 300, 5000])}'"), CONTEXT)
            if chance.random() < 0.8:
                await log.commit()
                storage.told = number + 1
            else:
                await asyncio.sleep(0.003)


@pytest.mark.parametrize("seed", range(6))
def test_what_was_promised_survives_and_the_log_goes_on(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    directory, told = tmp_path / "0", 0
    for crash in range(1, 6):
        storage = Wired(directory, random.Random(chance.random()), told)
        asyncio.run(run(directory, storage, chance))
        moment = chance.choice(storage.moments)
        shutil.copy(tmp_path / f"{crash - 1}.key", tmp_path / f"{crash}.key")
        directory, told = tmp_path / str(crash), moment.told
        moment.put_into(directory, chance)
        found = after(directory, tmp_path / f"{crash}-again", tmp_path / f"{crash}.key")
        assert [number for number in found if number < told] == list(range(told))
        assert found == sorted(set(found)), "none is there twice"
        told = max([told, *(number + 1 for number in found)])


def after(crashed: Path, directory: Path, key: Path) -> list[int]:
    """Start and stop twice on a copy; the numbers of the statements that are there."""
    shutil.copytree(crashed, directory)
    shutil.copy(key, directory.with_name(f"{directory.name}.key"))

    async def again(number: int) -> None:
        async with serving(directory) as log:
            log.record(statement(number), CONTEXT)
            await log.commit()

    for number in (-2, -1):
        asyncio.run(again(number))
        assert {problem.kind for problem in verify(directory).problems} <= {ProblemKind.LOST}
    assert not any(b"\0" in line for line in raw_lines(directory))
    assert not any(path.read_bytes().endswith(b"\0") for _, path in list_segments(directory))
    numbers = [int(uid.removeprefix("s-1.")) for uid in ids(directory)]
    assert numbers[-2:] == [-2, -1]
    return numbers[:-2]
