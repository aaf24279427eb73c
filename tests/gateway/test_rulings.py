"""The book of rulings: what may be found again, and when it may not."""

from __future__ import annotations

from gateway.domain.decision import Decision, Effect
from gateway.domain.ruling import Ruling
from gateway.domain.statement import Analysis
from gateway.rulings import MAX_ENTRIES, Epoch, RulingBook
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


def test_is_bounded() -> None:
    database = Database()
    for number in range(MAX_ENTRIES + 10):
        database.book.store(PUBLIC, b"SELECT %d" % number, database.ruling(), by_template=False)
    assert database.book.find(PUBLIC, b"SELECT 0") is None
    assert database.book.find(PUBLIC, b"SELECT %d" % (MAX_ENTRIES + 9)) is not None
