"""Who a user name may be, and what proves it."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pluggy
import pytest

from gateway import PROJECT_NAME, hookspecs
from gateway.domain.decision import SessionContext
from gateway.domain.identity import PasswordCredentials
from gateway.domain.principal import Principal, PrincipalKind
from gateway.identity.provider import AccessTokenProvider
from gateway.identity.scram import derive_verifier, salted_password
from gateway.identity.store import TokenRecord, TokenStore
from gateway.identity.tokens import access_token, token_verifier

INSTALL = b"i" * 32
ANA = Principal("ana@example.com", groups=frozenset({"analysts"}))
COPILOT = Principal("copilot", PrincipalKind.AGENT, acts_for=ANA)
SESSION = SessionContext("s", "postgres", "127.0.0.1", True, user="ana@example.com", resource="shop-prod")


class World:
    """A provider and everything that it looks at."""

    def __init__(self, path) -> None:
        self.principals = {ANA.name: ANA, COPILOT.name: COPILOT}
        self.configured = {ANA.name: [access_token("config", ANA, "configured", install_secret=INSTALL)]}
        self.store = TokenStore(path / "tokens.json")
        self.now = 1000.0
        self.bearers: set[str] = set()
        self.provider = AccessTokenProvider(
            lambda: self.principals,
            lambda: self.configured,
            self.store,
            INSTALL,
            lambda: self.now,
            asks_for_password=lambda user: user in self.bearers,
        )

    def issue(self, identifier: str, secret: str, principal: str = ANA.name, *, expires=None, resources=()) -> None:
        verifier = token_verifier(secret, install_secret=INSTALL, name=principal)
        self.store.add(TokenRecord(identifier, principal, verifier, frozenset(resources), 0.0, expires))

    def tokens(self, **changes) -> list[str]:
        return [token.id for token in self.provider.find_login(replace(SESSION, **changes)).tokens]

    def proves(self, password: str, **changes) -> Principal | None:
        session = replace(SESSION, **changes)
        proof = self.provider.authenticate(session, PasswordCredentials(session.user, password))
        return None if proof is None else proof.principal


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def test_it_is_a_valid_plugin(world):
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(world.provider)
    manager.check_pending()
    assert [login.tokens[0].id for login in manager.hook.find_login(session=SESSION)] == ["config"]


def test_configured_and_issued_tokens_open_one_name_with_one_salt(world):
    world.issue("issued", "issued-secret")
    login = world.provider.find_login(SESSION)
    assert [token.id for token in login.tokens] == ["config", "issued"]
    assert {(token.scram.salt, token.scram.iterations) for token in login.tokens} == {(login.salt, login.iterations)}


def test_groups_are_always_the_snapshots(world):
    world.issue("issued", "issued-secret")
    changed = replace(ANA, groups=frozenset({"support"}))
    world.principals[ANA.name] = changed
    assert [token.principal for token in world.provider.find_login(SESSION).tokens] == [changed, changed]
    assert world.proves("configured") == changed


def test_somebody_who_left_the_snapshot_has_no_tokens(world):
    world.issue("issued", "issued-secret")
    del world.principals[ANA.name]
    assert world.tokens() == []
    assert world.proves("issued-secret") is None


def test_an_unknown_user_looks_like_a_known_one(world):
    world.issue("issued", "issued-secret")
    known = world.provider.find_login(SESSION)
    del world.principals[ANA.name]
    world.configured.clear()
    unknown = world.provider.find_login(SESSION)
    assert (unknown.salt, unknown.iterations, unknown.password) == (known.salt, known.iterations, known.password)


def test_an_expired_token_never_matches(world):
    world.issue("short", "short-secret", expires=1000.0)
    world.issue("long", "long-secret", expires=1000.5)
    assert world.tokens() == ["config", "long"]
    assert world.proves("short-secret") is None
    assert world.proves("long-secret") == ANA
    world.now = 1001
    assert world.proves("long-secret") is None


def test_a_token_opens_its_resources_only(world):
    world.issue("crm", "crm-secret", resources=["crm-prod"])
    world.issue("shop", "shop-secret", resources=["shop-prod", "crm-prod"])
    assert world.tokens() == ["config", "shop"]
    assert world.tokens(resource="crm-prod") == ["config", "crm", "shop"]
    assert world.tokens(resource="") == ["config"]
    assert world.proves("crm-secret") is None
    assert world.proves("crm-secret", resource="crm-prod") == ANA


def test_a_revoked_token_is_gone_at_the_next_login(world):
    world.issue("issued", "issued-secret")
    assert world.proves("issued-secret") == ANA
    TokenStore(world.store.path).revoke("issued")
    assert world.tokens() == ["config"]
    assert world.proves("issued-secret") is None


def test_an_agent_keeps_whom_it_acts_for(world):
    world.issue("agent", "agent-secret", COPILOT.name)
    principal = world.proves("agent-secret", user=COPILOT.name)
    assert principal is not None
    assert principal.chain() == (COPILOT, ANA)


@pytest.mark.parametrize("password", ["", "wrong", "configured ", "x" * 5000])
def test_a_wrong_clear_password_proves_nothing(world, password):
    assert world.proves(password) is None


def test_a_token_of_somebody_else_proves_nothing(world):
    assert world.proves("configured", user=COPILOT.name) is None


def test_a_clear_password_outside_tls_proves_nothing(world):
    assert world.proves("configured", tls=False) is None


def test_names_with_bearer_tokens_are_asked_for_a_clear_password(world):
    world.bearers.add(ANA.name)
    assert world.provider.find_login(SESSION).password
    assert not world.provider.find_login(replace(SESSION, user=COPILOT.name)).password


def test_a_configured_verifier_brings_its_own_salt(world):
    foreign = derive_verifier("foreign", salt=b"foreign-salt", iterations=5000)
    world.configured[ANA.name] = [replace(world.configured[ANA.name][0], id="foreign", scram=foreign)]
    world.issue("issued", "issued-secret")
    login = world.provider.find_login(SESSION)
    # One SCRAM exchange has one salt; in clear both tokens are good.
    assert (login.salt, login.iterations, [token.id for token in login.tokens]) == (b"foreign-salt", 5000, ["foreign"])
    assert world.provider.scram_parameters(ANA.name) == (b"foreign-salt", 5000)
    assert world.proves("foreign") == world.proves("issued-secret") == ANA


@pytest.mark.parametrize("user", [ANA.name, "nobody"])
def test_known_and_unknown_users_cost_one_hash(world, monkeypatch, user):
    world.issue("issued", "issued-secret")
    hashed = Mock(wraps=salted_password)
    monkeypatch.setattr("gateway.identity.provider.salted_password", hashed)
    world.proves("wrong", user=user)
    assert hashed.call_count == 1
