"""Issuing tokens."""

from __future__ import annotations

import secrets

from gateway.domain.principal import Principal
from gateway.identity.scram import matches_verifier
from gateway.identity.tokens import (
    TOKEN_BYTES,
    access_token,
    new_secret,
    new_token_id,
    scram_salt,
    token_verifier,
)

INSTALL = b"i" * 32
ANA = Principal("ana@example.com")


def test_a_token_is_recognisable_long_and_safe_to_paste():
    token = new_secret(secrets.token_bytes)
    assert token.startswith("qg_")
    assert len(token) == 3 + 32
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert TOKEN_BYTES * 8 >= 160


def test_tokens_and_ids_come_from_the_randomness_given():
    assert new_secret(lambda size: b"\xff" * size) == "qg_" + "_" * 32
    assert new_token_id(lambda size: b"\1" * size) == "tok-010101010101"
    assert new_secret(secrets.token_bytes) != new_secret(secrets.token_bytes)


def test_all_tokens_of_a_name_share_a_salt():
    first, second = (token_verifier(secret, install_secret=INSTALL, name="ana") for secret in ("one", "two"))
    assert (first.salt, first.iterations) == (second.salt, second.iterations)
    assert first.stored_key != second.stored_key
    assert matches_verifier("one", first)


def test_salts_differ_by_name_and_by_installation():
    salts = {scram_salt(INSTALL, "ana"), scram_salt(INSTALL, "ben"), scram_salt(b"j" * 32, "ana")}
    assert len(salts) == 3
    assert {len(salt) for salt in salts} == {16}


def test_a_token_does_not_show_its_verifier():
    token = access_token("t", ANA, "one", install_secret=INSTALL)
    assert repr(token.scram.stored_key) not in repr(token)
    assert repr(token.scram.server_key) not in repr(token)
