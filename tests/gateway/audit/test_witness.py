import asyncio
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.checkpoints import read_notes
from gateway.audit.keys import read_public_key
from gateway.audit.notes import Checkpoint
from gateway.audit.verify import verify
from gateway.audit.witness import DirectoryPlace, LogRewound, Witness, witnesses
from gateway.errors import ConfigurationError
from tests.fixtures.waiting import eventually
from tests.gateway.audit.builders import CONTEXT, open_log, signer, statement


def note(size: int) -> tuple[Checkpoint, str]:
    checkpoint = Checkpoint("querygate.audit/gw-1/1", size, bytes(32))
    return checkpoint, signer().sign(checkpoint)


def bring(witness: Witness, *sizes: int) -> None:
    witness.start()
    for size in sizes:
        witness.offer(*note(size))
        eventually(lambda size=size: witness.seen == size or bool(witness.failing))  # type: ignore[misc]
    witness.close()


def test_a_directory_gets_every_checkpoint_of_a_log_and_shows_what_was_cut_off(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    [witness] = witnesses([{"directory": "place"}], tmp_path)
    directory = tmp_path / "audit"
    log = open_log(directory, witnesses=(witness,))
    log.record(statement(), CONTEXT)
    asyncio.run(log.close())
    key = read_public_key(directory)
    assert key is not None
    known = read_notes(tmp_path / "place", key)
    assert [item.problem for item in known] == [""] * len(known)
    assert verify(directory, known=known).ok
    path = next(directory.glob("audit-*.jsonl"))
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    (directory / "checkpoints").unlink()
    assert verify(directory).ok, "the files alone cannot tell"
    assert not verify(directory, known=known).ok
    assert log.counters.witness_failures == 0


def test_a_checkpoint_in_a_directory_is_never_overwritten(tmp_path: Path) -> None:
    place = DirectoryPlace(tmp_path)
    place.put(*note(7))
    [path] = tmp_path.iterdir()
    assert path.name == "1-00000000000000000007"
    before = path.read_bytes()
    place.put(*note(7))
    with pytest.raises(LogRewound, match="another checkpoint of 7 lines"):
        place.put(note(7)[0], note(8)[1])
    assert path.read_bytes() == before


def test_a_note_that_was_not_written_to_its_end_is_no_alarm(tmp_path: Path) -> None:
    (tmp_path / "1-00000000000000000007").write_text(note(7)[1][:20])
    place = DirectoryPlace(tmp_path)
    with pytest.raises(FileExistsError):
        place.put(*note(7))
    place.put(*note(8))


def test_a_log_that_was_put_back_is_told_by_its_witness_and_goes_on_being_told(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    directory = tmp_path / "audit"

    def run(statements: int) -> Witness:
        [witness] = witnesses([{"directory": "place"}], tmp_path)
        log = open_log(directory, witnesses=(witness,))
        for number in range(statements):
            log.record(statement(number), CONTEXT)
        asyncio.run(log.close())
        return witness

    assert run(5).failing == ""
    earlier = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert run(30).failing == ""
    for path in directory.iterdir():
        path.unlink()
    for name, content in earlier.items():
        (directory / name).write_bytes(content)
    assert verify(directory).ok, "the files alone cannot tell"
    witness = run(1)
    assert "the log was put back to an earlier state" in witness.failing
    assert witness.failures > 0
    place = DirectoryPlace(tmp_path / "place")
    origin = read_public_key(directory)
    assert origin is not None
    for size in (1, 9999):
        with pytest.raises(LogRewound):
            place.put(Checkpoint(origin.name, size, bytes(32)), "a note\n")


def test_a_command_gets_the_note(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    [witness] = witnesses([{"command": [sys.executable, "-c", code, str(tmp_path / "kept")]}], tmp_path)
    bring(witness, 1, 2)
    assert (tmp_path / "kept").read_text() == note(1)[1] + note(2)[1]


@pytest.fixture
def server() -> Iterator[tuple[str, list[str], list[int]]]:
    """Its URL, what it was given, and the statuses it answers with, the last one for ever."""
    given: list[str] = []
    statuses = [201]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            if status < 300:
                given.append(body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}/notes", given, statuses
        listening.shutdown()
        thread.join()


def test_a_server_gets_the_note(server: tuple[str, list[str], list[int]], tmp_path: Path) -> None:
    url, given, _ = server
    [witness] = witnesses([{"url": url}], tmp_path)
    bring(witness, 3)
    assert given == [note(3)[1]]


def test_a_witness_that_was_away_gets_the_newest(tmp_path: Path) -> None:
    witness = Witness("0", DirectoryPlace(tmp_path / "mount"), retry=0.01)
    witness.start()
    for size in (1, 2, 3):
        witness.offer(*note(size))
    eventually(lambda: witness.failures > 2)
    assert "No such file" in witness.failing
    (tmp_path / "mount").mkdir()
    eventually(lambda: witness.seen == 3)
    assert witness.failing == ""
    witness.close()
    assert [path.name for path in (tmp_path / "mount").iterdir()] == ["1-00000000000000000003"]


def test_statements_do_not_wait_for_a_witness_that_is_away(tmp_path: Path) -> None:
    witness = Witness("0", DirectoryPlace(tmp_path / "nowhere"), retry=0.01)
    log = open_log(tmp_path / "audit", witnesses=(witness,))
    log.record(statement(), CONTEXT)
    asyncio.run(log.commit())
    assert log.healthy
    asyncio.run(log.close())
    assert log.counters.witness_failures > 0


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"directory": ""},
        {"command": []},
        {"command": [1]},
        {"url": "ftp://x"},
        {"directory": "a", "url": "http://b"},
    ],
)
def test_a_witness_that_is_none_is_named(entry: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"audit\.witnesses\[0\]"):
        witnesses([entry], tmp_path)
