"""The book of rulings: what may be found again, and when it may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.approval import ApprovalRule
from gateway.domain.decision import Decision, Effect, Obligations
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Action, Analysis, Predicate, SessionEffect, StatementFacts
from gateway.rulings import MAX_ENTRIES, MAX_STATES, Epoch, RulingBook
from gateway.sql.state import NameResolution

PUBLIC = NameResolution()
OTHER = NameResolution(search_path=("other",))


class Database:
    def __init__(self) -> None:
        self.epoch = Epoch()
        self.healthy = True
        self.reason = ""
        self.book = RulingBook(self, self)

    def ruling(self) -> Ruling:
        return Ruling(Decision(Effect.ALLOW, "yes"), Analysis(()), None, False, False, False, epoch=self.epoch)


def test_finds_a_text_again_but_not_another_one() -> None:
    database = Database()
    ruling = database.ruling()
    database.book.store(PUBLIC, b"SELECT 1", ruling, by_template=False)
    assert database.book.find(PUBLIC, b"SELECT 1") is ruling
    assert database.book.find(PUBLIC, b"SELECT 2") is None


def test_shares_a_template_between_literals_only() -> None:
    database = Database()
    ruling = database.ruling()
    database.book.store(PUBLIC, b"SELECT a FROM t WHERE b = 1 AND c = 'x'", ruling, by_template=True)
    assert database.book.find(PUBLIC, b"SELECT a FROM t WHERE b = 22 AND c = 'it''s'") is ruling
    assert database.book.find(PUBLIC, b"SELECT a FROM t WHERE b = x AND c = 'x'") is None
    assert database.book.find(PUBLIC, b"SELECT a FROM t WHERE b = 1 AND c = 'x' -- y") is None


def test_a_text_that_has_no_template_is_kept_as_it_is() -> None:
    database = Database()
    ruling = database.ruling()
    database.book.store(PUBLIC, b"SELECT E'\\n'", ruling, by_template=True)
    assert database.book.find(PUBLIC, b"SELECT E'\\n'") is ruling
    assert database.book.find(PUBLIC, b"SELECT E'\\t'") is None


def test_nothing_is_shared_between_session_states() -> None:
    database = Database()
    database.book.store(PUBLIC, b"SELECT * FROM t", database.ruling(), by_template=False)
    assert database.book.find(OTHER, b"SELECT * FROM t") is None
    assert database.book.find(PUBLIC, b"SELECT * FROM t") is not None


def test_a_new_epoch_voids_everything() -> None:
    database = Database()
    old = database.ruling()
    database.book.store(PUBLIC, b"SELECT 1", old, by_template=False)
    database.epoch = Epoch()
    assert database.book.find(PUBLIC, b"SELECT 1") is None
    database.book.store(PUBLIC, b"SELECT 1", old, by_template=False)
    assert database.book.find(PUBLIC, b"SELECT 1") is None, "a ruling that was made before the change"


def test_finds_nothing_while_the_audit_cannot_be_written() -> None:
    database = Database()
    database.book.store(PUBLIC, b"SELECT 1", database.ruling(), by_template=False)
    database.healthy = False
    assert database.book.find(PUBLIC, b"SELECT 1") is None
    database.healthy = True
    assert database.book.find(PUBLIC, b"SELECT 1") is not None


def test_equal_states_have_one_object() -> None:
    book = Database().book
    first, same = NameResolution(search_path=("one",)), NameResolution(search_path=("one",))
    assert book.intern(first) is first
    assert book.intern(same) is first
    assert book.intern(OTHER) is OTHER
    for number in range(MAX_STATES + 10):
        state = NameResolution(search_path=(f"path {number}",))
        assert book.intern(state) == state, "also where more states come than are kept"


ORDINARY = Analysis((StatementFacts(kind="select", actions=frozenset({Action.READ}), predicate=Predicate.ABSENT),))


def made(analysis: Analysis = ORDINARY, obligations: Obligations | None = None, **changes: Any) -> Ruling:
    values: dict[str, Any] = {"refusal": None, "masked": True, "redact_messages": True, "intent": False}
    return Ruling(
        Decision(Effect.ALLOW, "yes", obligations=obligations or Obligations()), analysis, **(values | changes)
    )


@pytest.mark.parametrize(
    "ruling",
    [
        made(warnings=("careful",)),
        made(approvals=frozenset({ApprovalRule("held", frozenset({"dba"}))})),
        made(allowance=object()),
        made(sentinels=object()),
        made(obligations=Obligations(row_limit=10)),
        made(obligations=Obligations(timeout=1.0)),
        made(obligations=Obligations(changes=0)),
        made(Analysis((replace(ORDINARY.statements[0], actions=frozenset({Action.READ, Action.CURSOR})),))),
        made(Analysis((replace(ORDINARY.statements[0], session_effects=frozenset({SessionEffect.CATALOG})),))),
    ],
)
def test_whatever_asks_for_care_keeps_a_ruling_from_being_plain(ruling: Ruling) -> None:
    assert made().plain
    assert made(intent=True).plain, "its record is written earlier, and that is all"
    assert not ruling.plain


def test_is_bounded() -> None:
    database = Database()
    for number in range(MAX_ENTRIES + 10):
        database.book.store(PUBLIC, b"SELECT %d" % number, database.ruling(), by_template=False)
    assert database.book.find(PUBLIC, b"SELECT 0") is None
    assert database.book.find(PUBLIC, b"SELECT %d" % (MAX_ENTRIES + 9)) is not None
