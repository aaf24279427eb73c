"""What the desk keeps of what a request is bound to: of no use to somebody who has the file and guesses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from gateway.approvals.binding import binding, shape
from gateway.approvals.store import FILE, ApprovalStore
from gateway.domain.approval import ApprovalState, GrantScope, Verdict
from gateway.domain.principal import Principal
from tests.gateway.approvals.test_desk import DORA, EVERYTHING, RULE, Bed

LATER = replace(RULE, hold=False, scopes=EVERYTHING)
DIGEST = binding(Principal("ana@example.com"), "shop-prod", "shop", "ALTER USER bob PASSWORD 'winter'", b"")
SHAPE = shape("f1", "")


def run(folder: Path, story: Callable[[Bed], Awaitable[None]], key: bytes = b"k" * 32) -> None:
    async def play() -> None:
        bed = Bed(folder, key=key)
        await bed.desk.open()
        try:
            await story(bed)
        finally:
            await bed.desk.close()

    asyncio.run(play())


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith(FILE))


async def grant(bed: Bed, scope: GrantScope = GrantScope.ONCE) -> None:
    request = await bed.desk.submit(bed.request(LATER, binding=DIGEST, shape=SHAPE))
    await bed.desk.decide(request.id, DORA, approve=True, scope=scope)


async def passes(bed: Bed) -> bool:
    return await bed.desk.use_grant(bed.demand(LATER, binding=DIGEST, shape=SHAPE)) is not None


def test_neither_digest_is_in_the_files_while_and_after_a_statement_waits(tmp_path):
    async def story(bed: Bed) -> None:
        await grant(bed)
        await grant(bed, GrantScope.WINDOW)
        for digest in (DIGEST, SHAPE):
            assert digest.encode() not in files(tmp_path)

    run(tmp_path, story)
    assert DIGEST.encode() not in files(tmp_path)


def test_what_was_granted_fits_after_a_restart_and_under_another_key_nothing_does(tmp_path):
    async def other_key(bed: Bed) -> None:
        assert not await passes(bed)

    async def same_key(bed: Bed) -> None:
        assert await passes(bed)
        assert not await passes(bed), "once"

    run(tmp_path, grant)
    run(tmp_path, other_key, key=b"other" * 7)
    run(tmp_path, same_key)


def test_requests_of_versions_before_are_sealed_at_the_start_and_go_on(tmp_path):
    async def before(bed: Bed) -> None:
        granted = bed.request(LATER, binding=DIGEST, shape=SHAPE, state=ApprovalState.APPROVED)
        over = bed.request(LATER, binding=DIGEST, shape=SHAPE, state=ApprovalState.USED)
        store = ApprovalStore(tmp_path / FILE)
        yes = Verdict(DORA.name, DORA.groups, True, "", bed.now)
        store.save([replace(granted, valid_until=bed.now + 60, verdicts=(yes,)), over])
        store.close()

    async def after(bed: Bed) -> None:
        for digest in (DIGEST, SHAPE):
            assert digest.encode() not in files(tmp_path), "of requests that are over neither"
        assert await passes(bed)

    run(tmp_path, before)
    assert DIGEST.encode() in files(tmp_path)
    run(tmp_path, after)


def test_a_gateway_that_repeats_itself_is_recognised_and_another_statement_under_the_same_id_is_not(tmp_path):
    async def story(bed: Bed) -> None:
        wish = bed.request(LATER, binding=DIGEST, shape=SHAPE, gateway="gw", instance="1" * 16)
        first = await bed.desk.submit(wish)
        assert await bed.desk.submit(wish) == first
        lie = await asyncio.gather(bed.desk.submit(replace(wish, binding="b2")), return_exceptions=True)
        assert "is taken" in str(lie[0])

    run(tmp_path, story)
