"""The audit cannot be written: nothing runs, everybody is told, and all goes on when there is room again."""

from __future__ import annotations

import asyncio
import itertools
import resource

import asyncpg
import pytest

from tests.adversity.bed import Bed
from tests.adversity.load import Writers, statements_by_row, stored_rows
from tests.fixtures.waiting import eventually, eventually_in_loop


def _audit_size(bed: Bed) -> int:
    return sum(path.stat().st_size for path in (bed.folder / "data" / "audit").glob("*.jsonl"))


def test_full_and_free_again(bed: Bed) -> None:
    bed.start()
    writers = Writers(bed)

    async def story() -> None:
        patient = await bed.connect()
        load = asyncio.create_task(writers.run(4))
        await eventually_in_loop(lambda: len(writers.written) > 50)
        # No file of the process may become longer than the audit is in a moment: to a writer this is a full disk.
        soft, hard = resource.prlimit(bed.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(bed.pid, resource.RLIMIT_FSIZE, (_audit_size(bed) + 30_000, hard))
        await eventually_in_loop(lambda: len(writers.failures) > 20)
        status, body = await asyncio.to_thread(bed.health)
        assert status == 503
        assert "cannot write" in body["audit"]
        assert body["status"] == "unavailable"

        # Now that it is known, nothing gets through: no write, no read, no session.
        count = len(stored_rows(bed))
        for statement in ("INSERT INTO items VALUES (1000001, 'unaudited')", "SELECT 1", "SELECT email FROM people"):
            with pytest.raises(asyncpg.PostgresError) as caught:
                await patient.execute(statement)
            assert caught.value.sqlstate == "58030"
            assert "audit" in str(caught.value)
            assert not patient.is_closed(), "sessions live through it"
        with pytest.raises(asyncpg.PostgresError) as caught:
            await bed.connect()
        assert caught.value.sqlstate == "58030"
        assert len(stored_rows(bed)) == count

        resource.prlimit(bed.pid, resource.RLIMIT_FSIZE, (soft, hard))
        before = len(writers.written)
        await eventually_in_loop(lambda: len(writers.written) > before + 50)
        writers.stop = True
        await load
        assert await patient.fetchval("SELECT 7") == 7, "the session that waited goes on"
        await patient.close()

    bed.run(story())
    for _, error in writers.failures:
        said = error.__cause__ or error
        assert isinstance(said, asyncpg.PostgresError), repr(error)
        assert said.sqlstate == "58030", repr(said)
    eventually(lambda: bed.health()[0] == 200)
    assert bed.gateway is not None
    assert bed.gateway.stop() == 0
    audited = statements_by_row(bed)
    for number in stored_rows(bed):
        assert ("intent", "") in audited[number], f"row {number} reached the database unaudited"
    for number in writers.written:
        assert audited[number] == [("intent", ""), ("success", "")]
    verified = bed.verify()
    assert verified.returncode == 0, verified.stderr


def test_bound_of_the_audit_reached(bed: Bed) -> None:
    bed.document["audit"] |= {"max_bytes": "16KiB"}
    bed.start()

    async def story() -> None:
        session = await bed.connect()
        with pytest.raises(asyncpg.PostgresError) as caught:
            await write_for_ever(session)
        said = caught.value.__cause__ or caught.value  # the driver wraps a last word in an error of its own
        assert isinstance(said, asyncpg.PostgresError)
        assert said.sqlstate == "58030"

    async def write_for_ever(session: asyncpg.Connection) -> None:
        for number in itertools.count():
            await session.execute(f"INSERT INTO items VALUES ({number}, 'x')")

    bed.run(story())
    status, body = bed.health()
    assert status == 503
    assert "are allowed" in body["detail"]
    audited = statements_by_row(bed)
    assert stored_rows(bed) <= audited.keys()
