"""Runs one suite against one endpoint and collects each test's outcome, whatever the tests do to their process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.testing.servers import MariaDbServer, PostgresServer
from tests.suites.endpoints import Endpoint, Way, open_endpoint
from tests.suites.sources import environment, pinned, unpack_source
from tests.suites.suite import Suite

_RECORDER = Path(__file__).with_name("recorder.py")
_TEST_SECONDS = 60
"""A test without an outcome for so long hangs; its process is ended, and the rest runs in a new one."""
_ATTEMPTS = 6


class Outcome(StrEnum):
    """How a test ended."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"
    HUNG = "hung"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Result:
    """A test's outcome, its time in seconds, and the end of what pytest says about it unless it passed."""

    outcome: Outcome
    seconds: float
    why: str


Results = Mapping[str, Result]


class SuiteBroken(Exception):
    """The suite ran no test."""


class Stopped(Exception):
    """The run was given up because somebody asked for it."""


def run_suite(
    suite: Suite, way: Way, folder: Path, stop: threading.Event, *, targets: Sequence[str], only: Sequence[str] = ()
) -> Results:
    """Run the suite's ``targets`` (of these the tests in ``only``, if any) in ``folder``, which is new or empty.

    After a test that hangs or takes its process down, the rest runs in a new process on a new server. Setting ``stop``
    ends the run with ``Stopped`` within a second or two.
    """
    python = environment((*map(pinned, suite.tools), *suite.extras))
    run = _Run(suite, python, _lay_out(suite, folder), folder, stop)
    for number in range(_ATTEMPTS):
        place = folder / f"attempt.{number}"
        place.mkdir()
        with open_endpoint(way, place, suite.server, settings=suite.settings, tls=suite.tls) as endpoint:
            _prepare(suite, endpoint, run.place)
            try:
                if run.attempt(endpoint, targets, only, number=number):
                    break
            except Stopped as error:
                raise Stopped(f"{way}: given up {error}: {run.state()}") from None
    if not run.results:
        raise SuiteBroken(f"{suite.name} ran no test:\n{run.log()[-4000:]}")
    return run.results


def _lay_out(suite: Suite, folder: Path) -> Path:
    place = folder / "suite"
    place.mkdir(parents=True)
    source = unpack_source(suite.source, folder / "source")
    for name in suite.keep:
        if (source / name).exists():
            shutil.move(source / name, place / name)
    for name, changes in suite.patience.items():
        text = (place / name).read_text()
        for before, after in changes.items():
            text = text.replace(before, after)
        (place / name).write_text(text)
    shutil.rmtree(folder / "source")
    shutil.copy(_RECORDER, folder / "recorder.py")
    return place


def _prepare(suite: Suite, endpoint: Endpoint, place: Path) -> None:
    for name, content in suite.files(endpoint).items():
        (place / name).write_text(content)
    match endpoint.server:
        case PostgresServer() as server:
            existing = server.psql("SELECT datname FROM pg_database").split()
            for database, script in suite.databases.items():
                if database not in existing:
                    server.create_database(database)
                server.psql(script, database=database)
        case MariaDbServer() as server:
            for database, script in suite.databases.items():
                server.create_database(database)
                server.sql(script, database=database)
        case _:
            pass


class _Run:
    """Attempts to get through the tests; each goes on where the one before it ended."""

    def __init__(self, suite: Suite, python: Path, place: Path, folder: Path, stop: threading.Event) -> None:
        self._suite = suite
        self._python = python
        self.place = place
        self._folder = folder
        self._stop = stop
        self._log = folder / "pytest.log"
        self.results: dict[str, Result] = {}

    def attempt(self, endpoint: Endpoint, targets: Sequence[str], only: Sequence[str], *, number: int) -> bool:
        """Run what is left; whether pytest got to its own end."""
        output = self._folder / f"outcomes.{number}"
        output.touch()
        skip, chosen = self._folder / "skip", self._folder / "only"
        skip.write_text("".join(f"{test}\n" for test in self.results))
        chosen.write_text("".join(f"{test}\n" for test in only))
        variables = {
            "PATH": f"{self._python.parent}:{endpoint.server.installation.bindir}:/usr/bin:/bin",
            "HOME": str(self._folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": f"{self._folder}:{self.place}",
            "RECORDER_OUTPUT": str(output),
            "RECORDER_SKIP": str(skip),
            "RECORDER_ONLY": str(chosen),
            **self._suite.variables(endpoint),
        }
        # The suite's own pytest settings hold where it has some; nothing above its folder does.
        settings = [] if (self.place / "pyproject.toml").exists() else ["-c", os.devnull]
        command = [str(self._python), "-m", "pytest", "-q", "-p", "recorder", "-p", "no:cacheprovider", *settings]
        command += [f"--rootdir={self.place}", "--tb=native", *self._suite.arguments(endpoint), *targets]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.place,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                hung = _watch(process, output, self._stop)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        unfinished = self._read(output)
        if unfinished is not None:
            outcome = Outcome.HUNG if hung else Outcome.CRASHED
            self.results[unfinished] = Result(outcome, _TEST_SECONDS if hung else 0, self.log()[-2000:])
        return unfinished is None and not hung

    def _read(self, output: Path) -> str | None:
        """Take over the outcomes; the test that began and did not end."""
        running: str | None = None
        for line in output.read_text().splitlines():
            match json.loads(line):
                case ["start", str(test)]:
                    running = test
                case ["end", str(test), str(outcome), float() | int() as seconds, str(why)]:
                    running = None
                    self.results[test] = Result(Outcome(outcome), float(seconds), why)
                case other:
                    raise ValueError(f"not a record: {other!r}")
        return running

    def state(self) -> str:
        """How far the attempts have come, for whoever looks into a suite that takes too long."""
        hung = [test for test, result in self.results.items() if result.outcome is Outcome.HUNG]
        return f"{len(self.results)} tests ended before, hung: {hung}; at the end of the log:\n{self.log()[-1500:]}"

    def log(self) -> str:
        """All that pytest printed."""
        return self._log.read_text(errors="replace")


def _watch(process: subprocess.Popen[bytes], output: Path, stop: threading.Event) -> bool:
    """Wait for the end of the process; True if it stopped making progress."""
    size, since = 0, (began := time.monotonic())
    while True:
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                raise Stopped(f"in an attempt of {time.monotonic() - began:.0f} s") from None
            grown = output.stat().st_size
            if grown != size:
                size, since = grown, time.monotonic()
            elif time.monotonic() - since > _TEST_SECONDS:
                return True
        else:
            return False
