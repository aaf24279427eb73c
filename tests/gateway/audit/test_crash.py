"""The gateway is killed at any moment: what was committed is there, and the chain goes on."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.audit.verify import verify
from tests.gateway.audit.builders import lines_of, open_log

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.gateway.audit.builders import CONTEXT, open_log, statement

async def worker(log, run, name):
    number = 0
    while True:
        record = statement(text="SELECT '" + "x" * (number * 37 % 3000) + "'", intent=True)
        record.id = f"{run}.{name}.{number}"
        log.record(record, CONTEXT)
        await log.commit()
        sys.stdout.write(record.id + "\\n")
        sys.stdout.flush()
        number += 1

async def main(directory, run):
    log = open_log(directory, segment_bytes=100_000, checkpoint_interval=0.02)
    if int(run) % 2:
        log.serve(asyncio.get_running_loop())
    await asyncio.gather(*(worker(log, run, name) for name in range(8)))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""
RUNS = int(os.environ.get("QUERYGATE_KILLS", "10"))


@pytest.mark.timeout(60 + 10 * RUNS)
def test_no_committed_event_is_lost_by_kill(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    committed: set[str] = set()
    chosen = random.Random()
    seed = chosen.randrange(1 << 32)
    chosen.seed(seed)
    for run in range(RUNS):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, directory, str(run)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONPATH": "."},
        ) as process:
            assert process.stdout is not None
            killer = threading.Timer(30, process.kill)
            killer.start()
            process.stdout.readline()
            delay = threading.Timer(chosen.uniform(0, 0.25), process.kill)
            delay.start()
            # Only whole lines were said; the first was read above and is in the log like the others.
            said = process.stdout.read().split(b"\n")[:-1]
            killer.cancel()
        committed.update(line.decode() for line in said)
    asyncio.run(open_log(directory).close())
    report = verify(directory)
    assert report.ok, (seed, report.problems)
    assert not any("not covered" in note for note in report.notes)
    uids = {json.loads(line)["metadata"].get("correlation_uid") for line in lines_of(directory)}
    assert len(committed) > RUNS
    assert committed <= uids, (seed, sorted(committed - uids)[:5])
