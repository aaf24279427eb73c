"""The file of issued tokens."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

from gateway.errors import ConfigurationError
from gateway.identity.scram import derive_verifier
from gateway.identity.store import TokenRecord, TokenStore

VERIFIER = derive_verifier("qg_secret", salt=b"0123456789abcdef")


def record(
    identifier: str,
    principal: str = "ana@example.com",
    *,
    resources: frozenset[str] = frozenset({"shop-prod"}),
    expires: float | None = 2000.0,
) -> TokenRecord:
    return TokenRecord(identifier, principal, VERIFIER, resources, 1000.0, expires)


@pytest.fixture
def store(tmp_path) -> TokenStore:
    return TokenStore(tmp_path / "tokens.json")


def test_no_file_means_no_tokens(store):
    assert store.list() == ()
    assert store.find("ana@example.com") == ()
    assert store.revoke("t") is False


def test_what_is_added_is_found_by_principal(store):
    first, second = record("a"), record("b", "copilot", resources=frozenset(), expires=None)
    store.add(first)
    store.add(second)
    assert store.list() == (first, second)
    assert store.find("copilot") == (second,)
    assert TokenStore(store.path).find("ana@example.com") == (first,)


def test_the_file_is_private_and_holds_verifiers_only(store):
    store.add(record("a"))
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    text = store.path.read_text()
    assert "qg_secret" not in text
    assert json.loads(text)["tokens"][0]["verifier"].startswith("SCRAM-SHA-256$4096:")


def test_a_revoked_token_is_gone_for_other_readers_at_once(store):
    reader = TokenStore(store.path)
    store.add(record("a"))
    assert [token.id for token in reader.find("ana@example.com")] == ["a"]
    assert store.revoke("a") is True
    assert reader.find("ana@example.com") == ()


def test_an_unchanged_file_is_not_read_again(store, monkeypatch):
    store.add(record("a"))
    found = store.find("ana@example.com")
    monkeypatch.setattr(store, "_read", lambda: pytest.fail("read again"))
    assert store.find("ana@example.com") == found


def test_a_removed_file_takes_its_tokens_with_it(store):
    store.add(record("a"))
    store.find("ana@example.com")
    store.path.unlink()
    assert store.find("ana@example.com") == ()


def test_an_id_is_there_once(store):
    store.add(record("a"))
    with pytest.raises(ConfigurationError, match="already"):
        store.add(record("a", "copilot"))


def test_expired_tokens_can_be_cleared(store):
    for identifier, expires in [("old", 10.0), ("new", 30.0), ("forever", None)]:
        store.add(record(identifier, expires=expires))
    assert store.remove_expired(before=20) == 1
    assert [token.id for token in store.list()] == ["new", "forever"]
    assert store.remove_expired(before=20) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2, "tokens": []}',
        '{"version": 1, "tokens": [], "more": 1}',
        '{"version": 1, "tokens": [{"id": "a"}]}',
        '{"version": 1, "tokens": [{"id": "a", "principal": "b", "verifier": "qg_plain", "resources": [],'
        ' "created": 1, "expires": null}]}',
    ],
)
def test_a_damaged_file_is_refused_at_every_use(store, text):
    store.path.write_text(text)
    for use in (store.list, lambda: store.find("ana"), lambda: store.find("ana"), lambda: store.add(record("a"))):
        with pytest.raises(ConfigurationError, match=r"tokens\.json"):
            use()
    assert store.path.read_text() == text


def test_a_file_that_others_may_write_is_refused(store):
    store.add(record("a"))
    store.path.chmod(0o622)
    with pytest.raises(ConfigurationError, match="chmod"):
        store.list()


def test_a_file_that_breaks_is_not_believed_any_more(store):
    store.add(record("a"))
    store.find("ana@example.com")
    store.path.write_text("{")
    with pytest.raises(ConfigurationError):
        store.find("ana@example.com")


def test_processes_that_add_at_once_lose_nothing(store):
    script = (
        "import sys; from pathlib import Path\n"
        "from gateway.identity.store import *; from gateway.identity.scram import *\n"
        "store = TokenStore(Path(sys.argv[1])); v = derive_verifier('x', salt=b'12345678')\n"
        "for n in range(10): store.add(TokenRecord(f'{sys.argv[2]}-{n}', 'ana', v, frozenset(), 0.0))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(store.path), name], env=environment)
        for name in ("a", "b", "c")
    ]
    assert [process.wait(30) for process in running] == [0, 0, 0]
    assert len(store.list()) == 30
