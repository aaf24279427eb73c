"""Who may keep a session when principals, tokens and resources change."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.domain.decision import SessionContext
from gateway.domain.identity import AccessToken, Login, ScramVerifier
from gateway.domain.principal import Principal, PrincipalKind
from gateway.domain.resource import Resource
from gateway.errors import ConfigurationError
from gateway.policy.compile import compile_policies
from gateway.policy.snapshot import Snapshot
from gateway.server.standing import end_without_token, lost_by_change

SHOP = Resource("shop", "postgres", "127.0.0.1", 5432)
NOW = 1_800_000_000.0
ANA = Principal("ana@example.com", groups=frozenset({"staff"}))
COPILOT = Principal("copilot", PrincipalKind.AGENT, acts_for=ANA)


def snapshot(*principals: Principal, resource: Resource = SHOP) -> Snapshot:
    return Snapshot.build(
        resources=[resource], principals=principals, classifications=[], policies=compile_policies([])
    )


def token(secret: str, number: int = 0) -> AccessToken:
    return AccessToken(f"config-{number}", ANA, ScramVerifier(b"salt", 4096, secret.encode(), b"server"))


def session(principal: Principal | None = ANA, before: Snapshot | None = None, **more: Any) -> Any:
    made = SimpleNamespace(
        id="1",
        resource=SHOP,
        principal=principal,
        snapshot=before or snapshot(ANA, COPILOT),
        tokens=(),
        token=None,
        expires_at=None,
        ended=False,
        context=SessionContext("1", "postgres", "127.0.0.1:50000", tls=True, user=ANA.name),
        reasons=[],
    )
    made.terminate = lambda error: made.reasons.append(str(error))
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("who", "after", "reason"),
    [
        (ANA, snapshot(ANA, COPILOT), ""),
        (ANA, snapshot(ANA), ""),
        (ANA, snapshot(COPILOT), "principal"),
        (ANA, snapshot(Principal(ANA.name, groups=frozenset({"interns"})), COPILOT), "principal"),
        (COPILOT, snapshot(COPILOT), "principal"),
        (COPILOT, snapshot(ANA), "principal"),
        (ANA, snapshot(ANA, COPILOT, resource=Resource("shop", "postgres", "127.0.0.1", 5433)), "resource"),
        (None, snapshot(), ""),
        # Named by a bearer token alone, with groups of its own: the configuration never knew it.
        (Principal("new@example.com", groups=frozenset({"x"})), snapshot(), ""),
        # Known, with groups from a bearer token besides.
        (Principal(ANA.name, groups=frozenset({"staff", "x"})), snapshot(ANA), ""),
        (Principal(ANA.name, groups=frozenset({"staff", "x"})), snapshot(), "principal"),
    ],
)
def test_a_change_of_the_configuration(who: Principal | None, after: Snapshot, reason: str) -> None:
    found = lost_by_change(session(who), after)
    assert reason in found
    assert bool(found) is bool(reason)


def review(*sessions: Any, valid: tuple[AccessToken, ...]) -> None:
    async def find_login(context: SessionContext) -> Login:
        return Login(b"salt", 4096, valid)

    asyncio.run(end_without_token(sessions, find_login, NOW))


def test_a_token_that_is_gone_ends_the_session() -> None:
    kept, gone = session(tokens=(token("a"),)), session(tokens=(token("b"),))
    review(kept, gone, valid=(token("a"),))
    assert kept.reasons == []
    assert gone.reasons == ["the access token was revoked or has expired"]


def test_a_token_that_is_over_is_not_one_that_was_taken_away() -> None:
    # What runs may finish: the session ends by ``gateway.server.expiry``.
    over, later = session(tokens=(token("b"),), expires_at=NOW), session(tokens=(token("b"),), expires_at=NOW + 1)
    review(over, later, valid=(token("a"),))
    assert over.reasons == []
    assert later.reasons


def test_the_same_id_may_be_another_token() -> None:
    replaced = session(tokens=(token("old", 0),))
    review(replaced, valid=(token("new", 0),))
    assert replaced.reasons


def test_only_the_token_that_proved_the_client_counts_where_it_is_known() -> None:
    known = session(tokens=(token("a"), token("b")), token=token("b"))
    unknown = session(tokens=(token("a"), token("b")))
    review(known, unknown, valid=(token("b"),))
    assert known.reasons == []
    assert unknown.reasons, "either could have proved it"


def test_sessions_without_a_token_and_unproven_ones_are_left_alone() -> None:
    bearer, stranger = session(), session(None, tokens=(token("a"),))
    review(bearer, stranger, valid=())
    assert bearer.reasons == stranger.reasons == []


def test_a_provider_that_fails_says_nothing_about_a_token() -> None:
    running = session(tokens=(token("a"),))

    async def find_login(context: SessionContext) -> Login:
        raise ConfigurationError("tokens.json: not a token file")

    asyncio.run(end_without_token([running], find_login, NOW))
    assert running.reasons == []
