"""Requests for approval: one defined outcome for everything that can come together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest

from gateway.approvals.binding import binding, requester_reason
from gateway.approvals.desk import RESTARTED, Desk
from gateway.approvals.errors import (
    AlreadyDecided,
    ApprovalError,
    ApprovalRefused,
    InvalidDecision,
    NotEligible,
    RequestNotFound,
)
from gateway.approvals.grants import Demand
from gateway.approvals.store import FILE, ApprovalStore
from gateway.domain.approval import (
    ApprovalNote,
    ApprovalRequest,
    ApprovalRule,
    ApprovalState,
    Approver,
    GrantScope,
    RequestKind,
    StatementSummary,
    Subject,
)
from gateway.domain.principal import Principal, PrincipalKind
from gateway.errors import AuditError

DBA = frozenset({"dba"})
RULE = ApprovalRule("schema-change", DBA, timeout=60)
DORA = Approver("dora@example.com", DBA)
DAVE = Approver("dave@example.com", DBA)
EVERYTHING = frozenset(GrantScope)


@dataclass
class Recorder:
    """A journal that can fail, and can be slow."""

    events: list[tuple[str, str, str, bool]] = field(default_factory=list)
    fails: bool = False
    gate: asyncio.Event | None = None

    async def record(self, event: str, request: ApprovalRequest, actor: str, *, loud: bool = False) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise AuditError("no room")
        self.events.append((event, request.id, actor, loud))

    def kinds(self) -> list[str]:
        return [event for event, *_ in self.events]


class Bed:
    """A desk with a clock of its own."""

    def __init__(self, folder: Path, journal: Recorder | None = None, key: bytes = b"k" * 32) -> None:
        self.now = 1_000_000.0
        self.journal = journal or Recorder()
        numbers = count(1)
        self.desk = Desk(
            ApprovalStore(folder / FILE),
            self.journal,
            clock=lambda: self.now,
            identifier=lambda: f"r{next(numbers)}",
            key=key,
        )

    def request(self, *rules: ApprovalRule, **changes: object) -> ApprovalRequest:
        rules = rules or (RULE,)
        request = ApprovalRequest(
            id=self.desk.new_id(),
            kind=RequestKind.STATEMENT,
            state=ApprovalState.PENDING,
            created=self.now,
            expires=self.now + min(rule.timeout for rule in rules),
            subject=Subject("ana@example.com", "human", session_id="s1"),
            resource="shop-prod",
            environment="production",
            protocol="postgres",
            database="shop",
            rules=rules,
            binding="b1",
            shape="f1",
            snapshot="v1",
            statement=StatementSummary("ALTER TABLE t ADD c int", "f1"),
        )
        return replace(request, **changes)  # type: ignore[arg-type]

    def demand(self, *rules: ApprovalRule, **changes: object) -> Demand:
        demand = Demand(("ana@example.com",), "shop-prod", "shop", "s1", "b1", "f1", rules or (RULE,))
        return replace(demand, **changes)  # type: ignore[arg-type]


def run(folder: Path, story: Callable[[Bed], Awaitable[None]], journal: Recorder | None = None) -> Bed:
    async def play() -> Bed:
        bed = Bed(folder, journal)
        await bed.desk.open()
        try:
            await story(bed)
        finally:
            await bed.desk.close()
        return bed

    return asyncio.run(play())


async def hold(bed: Bed, request: ApprovalRequest) -> asyncio.Task[ApprovalNote]:
    await bed.desk.submit(request)
    task = asyncio.ensure_future(bed.desk.wait(request.id))
    await asyncio.sleep(0)
    return task


def test_an_approval_lets_the_statement_go_on_once(tmp_path):
    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request())
        assert not waiting.done()
        decided = await bed.desk.decide("r1", DORA, approve=True, reason="looks fine")
        assert decided.state is ApprovalState.APPROVED
        note = await waiting
        assert (note.request, note.approvers, note.break_glass) == ("r1", ("dora@example.com",), False)
        assert (await bed.desk.get("r1")).state is ApprovalState.USED
        assert await bed.desk.use_grant(bed.demand()) is None

    bed = run(tmp_path, story)
    assert bed.journal.kinds() == ["requested", "approved", "used"]


def test_one_approval_never_lets_two_sessions_go_on(tmp_path):
    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request())
        await bed.desk.decide("r1", DORA, approve=True)
        taken = await bed.desk.use_grant(bed.demand(session_id="quicker"))  # before who waited has woken up
        if taken is None:
            assert (await waiting).request == "r1"
        else:
            with pytest.raises(ApprovalRefused, match="has been used"):
                await waiting

    assert run(tmp_path, story).journal.kinds() == ["requested", "approved", "used"]


def test_a_rejection_refuses_the_statement_with_the_approvers_reason(tmp_path):
    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request())
        await bed.desk.decide("r1", DORA, approve=False, reason="not on a Friday")
        with pytest.raises(ApprovalRefused) as caught:
            await waiting
        assert "not on a Friday" in (caught.value.message or "")

    assert run(tmp_path, story).journal.kinds() == ["requested", "rejected"]


def test_of_two_deciders_at_once_the_first_counts_and_the_second_is_told(tmp_path):
    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request())
        answers = await asyncio.gather(
            bed.desk.decide("r1", DORA, approve=True),
            bed.desk.decide("r1", DAVE, approve=False),
            return_exceptions=True,
        )
        assert isinstance(answers[0], ApprovalRequest)
        assert isinstance(answers[1], AlreadyDecided)
        assert "dora@example.com" in str(answers[1])
        await waiting

    assert "rejected" not in run(tmp_path, story).journal.kinds()


def test_nobody_decides_in_time(tmp_path):
    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request(replace(RULE, timeout=0.05)))
        with pytest.raises(ApprovalRefused) as caught:
            await waiting
        assert "in time" in (caught.value.message or "")
        with pytest.raises(AlreadyDecided, match="expired"):
            await bed.desk.decide("r1", DORA, approve=True)

    assert run(tmp_path, story).journal.kinds() == ["requested", "expired"]


def test_what_is_over_by_the_clock_is_not_approved_though_no_timer_has_said_so(tmp_path):
    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request())
        bed.now += RULE.timeout
        with pytest.raises(AlreadyDecided, match="expired"):
            await bed.desk.decide("r1", DORA, approve=True)
        with pytest.raises(ApprovalRefused):
            await asyncio.wait_for(waiting, 5)
        assert await bed.desk.use_grant(bed.demand()) is None

    assert run(tmp_path, story).journal.kinds() == ["requested", "expired"]


def test_a_clock_that_is_set_back_prolongs_no_grant(tmp_path):
    async def story(bed: Bed) -> None:
        rule = replace(RULE, hold=False, valid_for=0.2)
        await bed.desk.submit(bed.request(rule))
        await bed.desk.decide("r1", DORA, approve=True)
        bed.now -= 3600
        await asyncio.sleep(0.5)
        assert await bed.desk.use_grant(bed.demand(rule)) is None

    run(tmp_path, story)


def test_a_decision_being_recorded_beats_the_timeout(tmp_path):
    journal = Recorder()

    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request(replace(RULE, timeout=0.1)))
        journal.gate = asyncio.Event()
        deciding = asyncio.ensure_future(bed.desk.decide("r1", DORA, approve=True))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        journal.gate.set()
        await deciding
        await waiting

    assert run(tmp_path, story, journal).journal.kinds() == ["requested", "approved", "used"]


def test_a_decision_about_what_was_withdrawn_meanwhile_grants_nothing(tmp_path):
    journal = Recorder()

    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request())
        journal.gate = asyncio.Event()
        deciding = asyncio.ensure_future(bed.desk.decide("r1", DORA, approve=True))
        await asyncio.sleep(0.1)
        bed.desk.session_ended("s1")
        with pytest.raises(ApprovalRefused):
            await waiting
        journal.gate.set()
        with pytest.raises(AlreadyDecided, match="withdrawn"):
            await deciding
        assert await bed.desk.use_grant(bed.demand()) is None
        assert (await bed.desk.get("r1")).state is ApprovalState.WITHDRAWN

    run(tmp_path, story, journal)


def test_what_cannot_be_recorded_is_not_decided(tmp_path):
    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request())
        bed.journal.fails = True
        with pytest.raises(AuditError):
            await bed.desk.decide("r1", DORA, approve=True)
        assert not waiting.done()
        bed.journal.fails = False
        await bed.desk.decide("r1", DORA, approve=False)
        with pytest.raises(ApprovalRefused):
            await waiting

    run(tmp_path, story)


def test_a_request_that_cannot_be_recorded_is_not_made(tmp_path):
    async def story(bed: Bed) -> None:
        bed.journal.fails = True
        with pytest.raises(AuditError):
            await bed.desk.submit(bed.request())
        assert bed.desk.waiting == 0

    run(tmp_path, story)


def test_nobody_approves_their_own_request_nor_their_agents(tmp_path):
    agent = Subject("copilot", "agent", ("ana@example.com",), session_id="s1")

    async def story(bed: Bed) -> None:
        await hold(bed, bed.request(subject=agent))
        for approver in (
            Approver("ana@example.com", DBA),
            Approver("copilot", DBA),
            Approver("other-agent", DBA, acts_for=("ana@example.com",)),
        ):
            with pytest.raises(NotEligible):
                await bed.desk.decide("r1", approver, approve=True)
        with pytest.raises(NotEligible, match="dba"):
            await bed.desk.decide("r1", Approver("eve@example.com", frozenset({"sales"})), approve=True)
        with pytest.raises(RequestNotFound):
            await bed.desk.decide("r9", DORA, approve=True)

    run(tmp_path, story)


@pytest.mark.parametrize("name", ["Ana@Example.com", "ANA@EXAMPLE.COM", "\uff41na@example.com"])
def test_another_spelling_of_a_name_is_no_other_person(tmp_path, name):
    async def story(bed: Bed) -> None:
        await hold(bed, bed.request(replace(RULE, count=2)))
        with pytest.raises(NotEligible, match="their own name"):
            await bed.desk.decide("r1", Approver(name, DBA), approve=True)
        await bed.desk.decide("r1", DORA, approve=True)
        with pytest.raises(AlreadyDecided):
            await bed.desk.decide("r1", replace(DORA, name="Dora@Example.com"), approve=True)

    run(tmp_path, story)


def test_two_approvals_are_needed_where_the_policy_says_two(tmp_path):
    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request(replace(RULE, count=2)))
        assert (await bed.desk.decide("r1", DORA, approve=True)).state is ApprovalState.PENDING
        with pytest.raises(AlreadyDecided):
            await bed.desk.decide("r1", DORA, approve=True)
        assert not waiting.done()
        await bed.desk.decide("r1", DAVE, approve=True)
        assert (await waiting).approvers == ("dora@example.com", "dave@example.com")

    assert run(tmp_path, story).journal.kinds() == ["requested", "approved_in_part", "approved", "used"]


def test_every_policy_that_holds_a_statement_must_be_satisfied(tmp_path):
    privacy = ApprovalRule("pii-change", frozenset({"dpo"}), timeout=60)

    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request(RULE, privacy))
        await bed.desk.decide("r1", DORA, approve=True)
        assert not waiting.done()
        await bed.desk.decide("r1", Approver("pia@example.com", frozenset({"dpo"})), approve=True)
        await waiting

    run(tmp_path, story)


def test_break_glass_is_for_its_group_needs_a_reason_and_is_loud(tmp_path):
    rule = replace(RULE, break_glass=frozenset({"sre"}))
    ana = Approver("ana@example.com", frozenset({"sre"}))

    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request(rule))
        with pytest.raises(InvalidDecision, match="reason"):
            await bed.desk.decide("r1", ana, approve=True)
        await bed.desk.decide("r1", ana, approve=True, reason="site is down")
        assert (await waiting).break_glass

    bed = run(tmp_path, story)
    assert ("break_glass", "r1", "ana@example.com", True) in bed.journal.events


def test_a_vanished_client_withdraws_its_request(tmp_path):
    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request())
        other = await hold(bed, bed.request(subject=Subject("bob", "human", session_id="s2"), binding="b2"))
        bed.desk.session_ended("s1")
        with pytest.raises(ApprovalRefused):
            await waiting
        with pytest.raises(AlreadyDecided, match="withdrawn"):
            await bed.desk.decide("r1", DORA, approve=True)
        assert not other.done()
        await bed.desk.decide("r2", DORA, approve=True)
        await other

    run(tmp_path, story)


def test_a_restart_withdraws_what_was_held_and_keeps_what_was_granted(tmp_path):
    patient = replace(RULE, hold=False)

    async def before(bed: Bed) -> None:
        (await hold(bed, bed.request())).cancel()
        await bed.desk.submit(bed.request(patient, binding="b2"))
        await bed.desk.decide("r2", DORA, approve=True)

    async def after(bed: Bed) -> None:
        held = await bed.desk.get("r1")
        assert (held.state, held.note) == (ApprovalState.WITHDRAWN, RESTARTED)
        assert await bed.desk.use_grant(bed.demand()) is None
        note = await bed.desk.use_grant(bed.demand(patient, binding="b2", session_id="later"))
        assert note is not None
        assert note.request == "r2"

    run(tmp_path, before)
    assert run(tmp_path, after).journal.kinds() == ["withdrawn", "used"]


def test_without_a_session_that_waits_the_same_statement_passes_once_after_approval(tmp_path):
    patient = replace(RULE, hold=False)

    async def story(bed: Bed) -> None:
        first = await bed.desk.submit(bed.request(patient))
        again = await bed.desk.submit(bed.request(patient))
        assert again.id == first.id
        assert await bed.desk.use_grant(bed.demand(patient)) is None
        await bed.desk.decide(first.id, DORA, approve=True)
        assert await bed.desk.use_grant(bed.demand(patient, binding="another text")) is None
        assert await bed.desk.use_grant(bed.demand(patient, names=("bob",), binding="another person")) is None
        assert await bed.desk.use_grant(bed.demand(patient, session_id="s7")) is not None
        assert await bed.desk.use_grant(bed.demand(patient, session_id="s7")) is None

    run(tmp_path, story)


def test_an_approval_is_spent_once_even_by_two_sessions_at_once(tmp_path):
    patient = replace(RULE, hold=False)

    async def story(bed: Bed) -> None:
        request = await bed.desk.submit(bed.request(patient))
        await bed.desk.decide(request.id, DORA, approve=True)
        notes = await asyncio.gather(*(bed.desk.use_grant(bed.demand(patient, session_id=f"s{n}")) for n in range(9)))
        assert sum(note is not None for note in notes) == 1

    run(tmp_path, story)


def test_an_approval_under_other_rules_is_none(tmp_path):
    patient = replace(RULE, hold=False)

    async def story(bed: Bed) -> None:
        request = await bed.desk.submit(bed.request(patient))
        await bed.desk.decide(request.id, DORA, approve=True)
        assert await bed.desk.use_grant(bed.demand(replace(patient, count=2))) is None
        assert await bed.desk.use_grant(bed.demand(patient, RULE)) is None

    run(tmp_path, story)


def test_a_window_is_for_the_statements_shape_and_ends(tmp_path):
    rule = replace(RULE, scopes=EVERYTHING, max_window=600)

    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request(rule))
        with pytest.raises(InvalidDecision, match="600"):
            await bed.desk.decide("r1", DORA, approve=True, scope=GrantScope.WINDOW, window=601)
        await bed.desk.decide("r1", DORA, approve=True, scope=GrantScope.WINDOW, window=300)
        await waiting
        same_shape = bed.demand(rule, binding="other literals", session_id="s5")
        assert await bed.desk.use_grant(same_shape) is not None
        assert await bed.desk.use_grant(replace(same_shape, shape="f2")) is None
        bed.now += 301
        assert await bed.desk.use_grant(same_shape) is None

    run(tmp_path, story)


def test_a_grant_for_the_session_ends_with_it(tmp_path):
    rule = replace(RULE, scopes=EVERYTHING)

    async def story(bed: Bed) -> None:
        waiting = await hold(bed, bed.request(rule))
        await bed.desk.decide("r1", DORA, approve=True, scope=GrantScope.SESSION)
        await waiting
        assert await bed.desk.use_grant(bed.demand(rule, binding="x", shape="y")) is not None
        assert await bed.desk.use_grant(bed.demand(rule, binding="x", shape="y", session_id="s2")) is None
        bed.desk.session_ended("s1")
        assert await bed.desk.use_grant(bed.demand(rule, binding="x", shape="y")) is None

    run(tmp_path, story)


def test_a_scope_that_the_policy_does_not_offer_is_refused(tmp_path):
    async def story(bed: Bed) -> None:
        await hold(bed, bed.request())
        with pytest.raises(InvalidDecision, match="once"):
            await bed.desk.decide("r1", DORA, approve=True, scope=GrantScope.SESSION)
        assert (await bed.desk.get("r1")).state is ApprovalState.PENDING

    run(tmp_path, story)


def test_access_is_granted_for_a_time_and_its_end_is_told(tmp_path):
    ended: list[str] = []

    async def story(bed: Bed) -> None:
        bed.desk.access_ended = lambda request: ended.append(request.group)
        wish = bed.request(
            RULE, kind=RequestKind.ACCESS, group="pii-readers", duration=0.2, statement=None, binding="access"
        )
        await bed.desk.submit(wish)
        assert bed.desk.granted_groups("ana@example.com", "shop-prod") == frozenset()
        await bed.desk.decide(wish.id, DORA, approve=True)
        assert bed.desk.granted_groups("ana@example.com", "shop-prod") == {"pii-readers"}
        assert bed.desk.granted_groups("ana@example.com", "other") == frozenset()
        assert bed.desk.granted_groups("bob", "shop-prod") == frozenset()
        await asyncio.sleep(0.4)
        assert ended == ["pii-readers"]

    run(tmp_path, story)


def test_changes_are_told_and_pages_go_back_in_time(tmp_path):
    async def story(bed: Bed) -> None:
        seen: list[str] = []

        async def watch() -> None:
            async for request in bed.desk.changes():
                seen.append(f"{request.id} {request.state}")

        watcher = asyncio.ensure_future(watch())
        await asyncio.sleep(0)
        for number in range(5):
            bed.now += 1
            await bed.desk.submit(bed.request(binding=f"b{number}"))
        await bed.desk.decide("r5", DORA, approve=False)
        await asyncio.sleep(0)
        assert seen[0] == "r1 pending"
        assert seen[-1] == "r5 rejected"
        first = await bed.desk.page(states=[ApprovalState.PENDING], limit=3)
        assert [request.id for request in first] == ["r4", "r3", "r2"]
        rest = await bed.desk.page(states=[ApprovalState.PENDING], before=(first[-1].created, first[-1].id))
        assert [request.id for request in rest] == ["r1"]
        watcher.cancel()

    run(tmp_path, story)


def test_the_first_of_two_approvers_chooses_the_scope(tmp_path):
    rule = replace(RULE, count=2, scopes=EVERYTHING)

    async def story(bed: Bed) -> None:
        await hold(bed, bed.request(rule))
        await bed.desk.decide("r1", DORA, approve=True, scope=GrantScope.SESSION)
        with pytest.raises(ApprovalError, match="session"):
            await bed.desk.decide("r1", DAVE, approve=True)

    run(tmp_path, story)


def test_a_binding_tells_apart_people_texts_and_parameters():
    ana = Principal("ana@example.com")
    agent = Principal("copilot", PrincipalKind.AGENT, acts_for=ana)
    digests = {
        binding(ana, "r", "d", "text", b""),
        binding(agent, "r", "d", "text", b""),
        binding(ana, "r", "d", "text", b"1"),
        binding(ana, "r", "d", "text1", b""),
        binding(ana, "rd", "", "text", b""),
        binding(ana, "r", "other", "text", b""),
    }
    assert len(digests) == 6


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/* reason: INC-42, price was wrong */ UPDATE p SET price = 1 WHERE id = 2", "INC-42, price was wrong"),
        ("UPDATE p SET x = 1 -- reason: INC-7\nWHERE id = 1", "INC-7"),
        ("UPDATE p SET x = 1 -- Reason: at the end", "at the end"),
        ("UPDATE p SET x = 1 /* no word of it */", ""),
    ],
)
def test_the_requesters_reason_is_read_from_a_comment(text, reason):
    assert requester_reason(text) == reason
