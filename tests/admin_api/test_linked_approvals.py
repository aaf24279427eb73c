"""What gateways on other machines say about their sessions that wait, and what comes back."""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.control.plane import LocalDataPlane
from gateway.domain.approval import (
    ApprovalRequest,
    ApprovalRule,
    ApprovalState,
    Approver,
    GrantScope,
    RequestKind,
    StatementSummary,
    Subject,
    Verdict,
)
from tests.fixtures.admin import AdminApi

DORA = Approver("dora@example.com", frozenset({"dba"}))
RULE = ApprovalRule("schema-change", frozenset({"dba"}), timeout=600, scopes=frozenset(GrantScope))
LATER = replace(RULE, hold=False)
_numbers = itertools.count(1)
_as_json = TypeAdapter(ApprovalRequest)


class Link:
    """One run of a linked gateway, saying what its desk says."""

    def __init__(self, api: AdminApi, name: str | None = None, credential: str = "") -> None:
        self.api = api
        self.name = name or f"gw-held-{next(_numbers)}"
        self.credential = credential or str(api.made("/v1/gateways", {"name": self.name})["credential"])
        self.instance = secrets.token_hex(8)

    def again(self) -> Link:
        """Another run of the same gateway."""
        return Link(self.api, self.name, self.credential)

    def say(self, path: str, status: int = 200, **body: Any) -> Any:
        answer = self.api.post(f"/link/approvals{path}", {"instance": self.instance, **body}, token=self.credential)
        assert answer.status_code == status, answer.text
        return answer.json()

    def submit(self, request: ApprovalRequest, status: int = 200) -> Any:
        return self.say("", status, request=_as_json.dump_python(request, mode="json"))

    def poll(self, *waiting: str, wait: float = 0.0, access: str = "") -> Any:
        return self.say("/poll", waiting=waiting, wait=wait, access=access or self.say("/poll")["access"])

    def grant(self, request: ApprovalRequest, session: str) -> Any:
        rules = _as_json.dump_python(request, mode="json")["rules"]
        names = [request.subject.principal]
        question: dict[str, Any] = {
            "names": names,
            "resource": request.resource,
            "database": request.database,
            "session": session,
        }
        more = {"binding": request.binding, "shape": "f1", "rules": rules}
        return self.say("/grant", **question, **more)["note"]

    def claim(self, request: ApprovalRequest, session: str) -> Any:
        return self.say("/claim", id=request.id, session=session)

    def state(self, request: ApprovalRequest) -> ApprovalState:
        return self.api.run(self.api.assembly.desk.get(request.id)).state

    def decide(self, request: ApprovalRequest, *, approve: bool = True, **more: Any) -> None:
        self.api.run(self.api.assembly.desk.decide(request.id, DORA, approve=approve, **more))


@pytest.fixture
def link(api: AdminApi, monkeypatch: pytest.MonkeyPatch) -> Link:
    groups = {DORA.name: DORA.groups}
    monkeypatch.setattr(LocalDataPlane, "groups_of", lambda self, name: groups.get(name, frozenset()))
    return Link(api)


def wish(rule: ApprovalRule = RULE, *, session: str = "s1", binding: str = "", **changes: Any) -> ApprovalRequest:
    number = next(_numbers)
    request = ApprovalRequest(
        id=secrets.token_hex(5),
        kind=RequestKind.STATEMENT,
        state=ApprovalState.PENDING,
        created=0.0,
        expires=1.0,
        subject=Subject("ana@example.com", "human", session_id=session),
        resource=f"shop-{number}",
        environment="production",
        protocol="postgres",
        database="shop",
        rules=(rule,),
        binding=binding or f"linked-{number}",
        snapshot="v1",
        statement=StatementSummary("ALTER TABLE t ADD c int", "f1", actions=("alter",), writes=("public.t",)),
    )
    return replace(request, **changes)


def test_only_what_a_gateway_may_say_is_taken_from_it(link: Link) -> None:
    verdict = Verdict("dora@example.com", frozenset({"dba"}), True, "", 0.0)
    lie: dict[str, Any] = {
        "state": ApprovalState.APPROVED,
        "verdicts": (verdict,),
        "valid_until": 9e9,
        "gateway": "another",
    }
    answer = link.submit(request := wish(**lie))["request"]
    assert (answer["state"], answer["verdicts"], answer["valid_until"]) == ("pending", [], None)
    assert answer["gateway"] == link.name
    assert answer["expires"] - answer["created"] == pytest.approx(600)
    assert abs(answer["created"] - time.time()) < 60, "by the clock of the control plane"
    shown = link.api.get(f"/v1/approvals/{request.id}").json()
    assert (shown["gateway"], shown["statement"]["writes"]) == (link.name, ["public.t"])
    events = link.api.events("admin.approval.requested")
    assert f'"gateway":"{link.name}"' in str(events[-1]).replace("'", '"').replace(": ", ":")
    assert link.grant(request, "s1") is None


def test_a_statement_goes_on_once_it_has_claimed_its_approval(link: Link) -> None:
    link.submit(request := wish())
    assert link.poll(request.id)["decisions"] == []
    refused = link.claim(request, "s1")
    assert refused["note"] is None, "nobody has decided"
    link.decide(request)
    [decision] = link.poll(request.id)["decisions"]
    assert (decision["id"], decision["state"]) == (request.id, "approved")
    assert link.state(request) is ApprovalState.APPROVED, "it is not used by being told"
    note = link.claim(request, "s1")["note"]
    assert (note["request"], note["approvers"]) == (request.id, ["dora@example.com"])
    assert link.state(request) is ApprovalState.USED
    assert link.claim(request, "s1")["note"] == note, "who has not heard the answer asks again"
    for other in (link, link.again()):
        late = other.claim(request, "s2" if other is link else "s1")
        assert late["note"] is None
        assert "has been used" in late["detail"]


def test_a_decision_is_told_again_until_it_is_heard(link: Link) -> None:
    link.submit(request := wish())
    link.decide(request, approve=False, reason="not on a Friday")
    for _ in range(2):
        [decision] = link.poll(request.id)["decisions"]
        assert decision["state"] == "rejected"
        assert "not on a Friday" in decision["message"]
    assert link.poll()["decisions"] == []


def test_what_the_desk_does_not_know_is_not_waited_for(link: Link) -> None:
    other = Link(link.api)
    other.submit(foreign := wish())
    told = {item["id"]: item for item in link.poll("0123456789", foreign.id)["decisions"]}
    assert {item["state"] for item in told.values()} == {"withdrawn"}
    assert set(told) == {"0123456789", foreign.id}
    assert other.state(foreign) is ApprovalState.PENDING


def test_a_request_is_submitted_as_often_as_need_be(link: Link) -> None:
    request = wish()
    assert link.submit(request) == link.submit(request)
    link.submit(replace(request, binding="something else"), 409)
    Link(link.api).submit(request, 409)
    link.decide(request, approve=False)
    assert link.submit(request)["request"]["state"] == "rejected", "and it is not asked for anew"


def test_what_was_given_up_before_it_came_is_not_taken(link: Link) -> None:
    request = wish()
    link.say("/ended", given_up={request.id: "the client is gone"})
    link.submit(request, 409)
    link.submit(other := wish())
    link.say("/ended", given_up={other.id: "the client cancelled the statement"})
    assert link.state(other) is ApprovalState.WITHDRAWN
    link.submit(third := wish(session="s3"))
    link.say("/ended", sessions=["s3"])
    assert link.state(third) is ApprovalState.WITHDRAWN


def test_nobody_speaks_for_another_gateway(link: Link) -> None:
    link.submit(request := wish())
    stranger = Link(link.api)
    stranger.say("/ended", given_up={request.id: "mine"}, sessions=["s1"])
    stranger.say("/ended", replaces=link.instance)
    assert link.state(request) is ApprovalState.PENDING
    stranger.instance = link.instance
    stranger.say("/poll", 403)
    stranger.say("/claim", 403, id=request.id, session="s1")


def test_the_next_run_of_a_gateway_withdraws_what_the_last_one_held(link: Link) -> None:
    link.submit(held := wish())
    link.submit(later := wish(LATER))
    link.submit(granted := wish(session="s9"))
    link.decide(granted, scope=GrantScope.SESSION)
    assert link.grant(granted, "s9") is not None
    after = link.again()
    assert after.grant(granted, "s9") is None, "a session of another run, whatever its id"
    after.say("/poll", replaces=link.instance)
    assert link.state(held) is ApprovalState.WITHDRAWN
    assert link.state(later) is ApprovalState.PENDING, "nobody has to be there for it"
    link.api.run(_settle())
    assert link.state(granted) is ApprovalState.USED
    link.decide(later)
    note = after.grant(later, "s5")
    assert note["request"] == later.id
    assert after.claim(later, "s5")["note"] == note
    assert after.grant(later, "s6") is None


def test_a_gateway_that_leaves_takes_its_sessions_with_it(link: Link) -> None:
    link.submit(held := wish())
    link.say("/ended", leaving=True)
    assert link.state(held) is ApprovalState.WITHDRAWN


def test_granted_access_is_told_when_it_changes(link: Link) -> None:
    before = link.say("/poll")
    access = wish(replace(LATER, timeout=600), subject=Subject(f"eve-{link.name}", "human"))
    access = replace(access, kind=RequestKind.ACCESS, group="readers", duration=60.0, expires=time.time() + 600)
    link.submit(access, 409)
    link.api.run(link.api.assembly.desk.submit(access))
    assert link.poll(access=before["access"])["granted"] is None
    link.decide(access)
    news = link.poll(access=before["access"])
    [granted] = [item for item in news["granted"] if item["id"] == access.id]
    assert (granted["principal"], granted["group"]) == (f"eve-{link.name}", "readers")
    assert granted["until"] - news["now"] == pytest.approx(60, abs=30)
    assert link.poll(access=news["access"])["granted"] is None


def test_approvals_need_the_credential_of_a_gateway(link: Link) -> None:
    for path in ("", "/grant", "/claim", "/poll", "/ended"):
        for token in ("", "qgw_x_y", link.api.token):
            answer = link.api.post(f"/link/approvals{path}", {"instance": link.instance}, token=token)
            assert answer.status_code == 401


async def _settle() -> None:
    import asyncio

    await asyncio.sleep(0.05)
