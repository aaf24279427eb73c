"""Approvers who have left by the time that their word is relied on, and grants that are taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from gateway.approvals.errors import AlreadyDecided, ApprovalRefused, NotEligible, StandingUnknown
from gateway.domain.approval import ApprovalNote, ApprovalState, Approver, GrantScope, RequestKind, Verdict
from tests.gateway.approvals.test_desk import DAVE, DBA, DORA, EVERYTHING, RULE, Bed, hold, run

TWO = replace(RULE, count=2)
EVE = Approver("eve@example.com", DBA)


@dataclass
class People:
    """Who is in which groups now: everybody is what they were, but those who have changed."""

    changed: dict[str, frozenset[str]] = field(default_factory=dict)
    unknown: bool = False
    gate: asyncio.Event | None = None

    async def __call__(self, verdicts: Sequence[Verdict]) -> Sequence[frozenset[str]]:
        if self.gate is not None:
            await self.gate.wait()
        if self.unknown:
            raise StandingUnknown("no store")
        return [self.changed.get(verdict.approver, verdict.groups) for verdict in verdicts]

    def leaves(self, approver: Approver) -> None:
        self.changed[approver.name] = frozenset({"sales"})


def people(bed: Bed) -> People:
    bed.desk.standing = found = People()
    return found


def test_who_has_left_does_not_count_for_the_last_approval(tmp_path):
    async def story(bed: Bed) -> None:
        known = people(bed)
        waiting = await hold(bed, bed.request(TWO))
        await bed.desk.decide("r1", DORA, approve=True)
        known.leaves(DORA)
        after = await bed.desk.decide("r1", DAVE, approve=True)
        assert after.state is ApprovalState.PENDING
        assert [verdict.lapsed for verdict in after.verdicts] == [True, False]
        assert not waiting.done()
        await bed.desk.decide("r1", EVE, approve=True)
        assert (await waiting).approvers == ("dave@example.com", "eve@example.com")

    bed = run(tmp_path, story)
    assert bed.journal.kinds() == ["requested", "approved_in_part", "approved_in_part", "approved", "used"]


def test_who_comes_back_may_say_it_anew(tmp_path):
    async def story(bed: Bed) -> None:
        known = people(bed)
        waiting = await hold(bed, bed.request(replace(TWO, scopes=EVERYTHING)))
        await bed.desk.decide("r1", DORA, approve=True, scope=GrantScope.WINDOW)
        known.leaves(DORA)
        # Nobody's word is left, so that this one is the first and chooses the scope.
        await bed.desk.decide("r1", DAVE, approve=True)
        with pytest.raises(AlreadyDecided):
            await bed.desk.decide("r1", DAVE, approve=True)
        del known.changed[DORA.name]
        await bed.desk.decide("r1", DORA, approve=True)
        note = await waiting
        assert (sorted(note.approvers), note.scope) == (["dave@example.com", "dora@example.com"], GrantScope.ONCE)

    run(tmp_path, story)


def test_what_somebody_joined_later_adds_nothing_to_their_word(tmp_path):
    async def story(bed: Bed) -> None:
        known = people(bed)
        security = replace(RULE, policy="security", approvers=frozenset({"security"}))
        await hold(bed, bed.request(RULE, security))
        await bed.desk.decide("r1", DORA, approve=True)
        known.changed[DORA.name] = DBA | {"security"}
        after = await bed.desk.decide("r1", DAVE, approve=True)
        assert after.state is ApprovalState.PENDING
        await bed.desk.decide("r1", replace(EVE, groups=frozenset({"security"})), approve=True)
        assert (await bed.desk.get("r1")).state is not ApprovalState.PENDING

    run(tmp_path, story)


def test_an_approval_whose_approver_left_before_it_was_used_is_revoked(tmp_path):
    later = replace(RULE, hold=False)

    async def story(bed: Bed) -> None:
        known = people(bed)
        await bed.desk.submit(bed.request(later))
        await bed.desk.decide("r1", DORA, approve=True)
        known.leaves(DORA)
        assert await bed.desk.use_grant(bed.demand(later)) is None
        revoked = await bed.desk.get("r1")
        assert (revoked.state, revoked.note) == (ApprovalState.REVOKED, "dora@example.com may not decide any more")
        del known.changed[DORA.name]
        assert await bed.desk.use_grant(bed.demand(later)) is None, "revoked once is revoked for good"
        with pytest.raises(ApprovalRefused, match="is revoked"):
            await bed.desk.claim("r1", "s1")

    bed = run(tmp_path, story)
    assert bed.journal.kinds() == ["requested", "approved", "revoked"]


def test_the_next_approval_serves_where_one_does_not_stand(tmp_path):
    later = replace(RULE, hold=False)

    async def story(bed: Bed) -> None:
        known = people(bed)
        for approver in (DORA, DAVE):
            request = await bed.desk.submit(bed.request(later))
            await bed.desk.decide(request.id, approver, approve=True)
        known.leaves(DORA)
        note = await bed.desk.use_grant(bed.demand(later))
        assert note is not None
        assert note.approvers == ("dave@example.com",)

    run(tmp_path, story)


def test_a_held_statement_does_not_go_on_when_its_approver_left_in_that_moment(tmp_path):
    async def story(bed: Bed) -> None:
        known = people(bed)
        waiting = await hold(bed, bed.request())
        await bed.desk.decide("r1", DORA, approve=True)
        known.leaves(DORA)
        with pytest.raises(ApprovalRefused) as refused:
            await waiting
        assert "revoked" in str(refused.value.message)

    run(tmp_path, story)


def test_nothing_is_decided_nor_run_while_it_cannot_be_known_who_approvers_are(tmp_path):
    later = replace(TWO, hold=False)

    async def story(bed: Bed) -> None:
        known = people(bed)
        await bed.desk.submit(bed.request(later))
        await bed.desk.decide("r1", DORA, approve=True)
        known.unknown = True
        with pytest.raises(StandingUnknown):
            await bed.desk.decide("r1", DAVE, approve=True)
        known.unknown = False
        await bed.desk.decide("r1", DAVE, approve=True)
        known.unknown = True
        with pytest.raises(StandingUnknown):
            await bed.desk.use_grant(bed.demand(later))
        known.unknown = False
        assert await bed.desk.use_grant(bed.demand(later)) is not None

    run(tmp_path, story)


def test_while_approvers_are_looked_up_nobody_else_gets_the_same_approval(tmp_path):
    later = replace(RULE, hold=False)

    async def story(bed: Bed) -> None:
        known = people(bed)
        for number in range(2):
            await bed.desk.submit(bed.request(later, binding=f"b{number}"))
            await bed.desk.decide(f"r{number + 1}", DORA, approve=True)
        known.gate = asyncio.Event()
        asking = [asyncio.ensure_future(bed.desk.use_grant(bed.demand(later, binding="b0"))) for _ in range(3)]
        claiming = [asyncio.ensure_future(bed.desk.claim("r2", session)) for session in ("s1", "s2")]
        await asyncio.sleep(0)
        known.gate.set()
        found = await asyncio.gather(*asking)
        assert sorted(note is not None for note in found) == [False, False, True]
        claimed = await asyncio.gather(*claiming, return_exceptions=True)
        assert sorted(isinstance(one, ApprovalRefused) for one in claimed) == [False, True]

    run(tmp_path, story)


def test_what_is_revoked_while_approvers_are_looked_up_is_not_used(tmp_path):
    later = replace(RULE, hold=False)

    async def story(bed: Bed) -> None:
        known = people(bed)
        await bed.desk.submit(bed.request(later))
        await bed.desk.decide("r1", DORA, approve=True)
        known.gate = asyncio.Event()
        asking = asyncio.ensure_future(bed.desk.use_grant(bed.demand(later)))
        await asyncio.sleep(0)
        await bed.desk.revoke("r1", DAVE, reason="a mistake")
        known.gate.set()
        assert await asking is None
        assert (await bed.desk.get("r1")).note == "revoked by dave@example.com: a mistake"

    bed = run(tmp_path, story)
    assert bed.journal.events[-1][::2] == ("revoked", "dave@example.com")


def test_breaking_the_glass_counts_while_one_is_in_its_group(tmp_path):
    rule = replace(RULE, hold=False, break_glass=frozenset({"on-call"}))
    ana = Approver("ana@example.com", frozenset({"on-call"}))

    async def story(bed: Bed) -> None:
        async def broken() -> ApprovalNote | None:
            request = await bed.desk.submit(bed.request(rule))
            await bed.desk.decide(request.id, ana, approve=True, reason="the site is down")
            return await bed.desk.use_grant(bed.demand(rule))

        known = people(bed)
        note = await broken()
        assert note is not None
        assert note.break_glass
        known.leaves(ana)
        assert await broken() is None

    run(tmp_path, story)


@pytest.mark.parametrize("scope", [GrantScope.WINDOW, GrantScope.SESSION])
def test_a_wide_grant_stays_when_its_approver_leaves_and_ends_when_it_is_revoked(tmp_path, scope):
    rule = replace(RULE, scopes=EVERYTHING)

    async def story(bed: Bed) -> None:
        known = people(bed)
        waiting = await hold(bed, bed.request(rule))
        await bed.desk.decide("r1", DORA, approve=True, scope=scope)
        await waiting
        known.leaves(DORA)
        assert await bed.desk.use_grant(bed.demand(rule)) is not None
        with pytest.raises(NotEligible, match="dba"):
            await bed.desk.revoke("r1", replace(DORA, groups=frozenset({"sales"})))
        await bed.desk.revoke("r1", DAVE)
        assert await bed.desk.use_grant(bed.demand(rule)) is None
        with pytest.raises(AlreadyDecided):
            await bed.desk.revoke("r1", DAVE)

    run(tmp_path, story)
    run(tmp_path, _is_revoked_for_good)


async def _is_revoked_for_good(bed: Bed) -> None:
    rule = replace(RULE, scopes=EVERYTHING)
    assert await bed.desk.use_grant(bed.demand(rule)) is None
    assert (await bed.desk.get("r1")).state is ApprovalState.REVOKED


def test_membership_that_is_revoked_is_over_at_once(tmp_path):
    async def story(bed: Bed) -> None:
        ended: list[str] = []
        bed.desk.access_ended = lambda request: ended.append(request.group)
        wish = {"kind": RequestKind.ACCESS, "group": "pii-readers", "duration": 60.0, "statement": None}
        await bed.desk.submit(bed.request(replace(RULE, hold=False), **wish))
        with pytest.raises(AlreadyDecided, match="reject it instead"):
            await bed.desk.revoke("r1", DAVE)
        await bed.desk.decide("r1", DORA, approve=True)
        assert bed.desk.granted_groups("ana@example.com", "shop-prod") == {"pii-readers"}
        await bed.desk.revoke("r1", Approver("olga@example.com"), anyway=True)
        assert bed.desk.granted_groups("ana@example.com", "shop-prod") == frozenset()
        assert ended == ["pii-readers"]

    run(tmp_path, story)


def test_a_requester_gives_back_what_was_granted(tmp_path):
    async def story(bed: Bed) -> None:
        await bed.desk.submit(bed.request(replace(RULE, hold=False)))
        await bed.desk.decide("r1", DORA, approve=True)
        await bed.desk.revoke("r1", Approver("ana@example.com"))
        assert await bed.desk.use_grant(bed.demand(replace(RULE, hold=False))) is None

    run(tmp_path, story)
