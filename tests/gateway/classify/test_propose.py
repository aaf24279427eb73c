"""Names and values together."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.classify.detectors import detectors
from gateway.classify.names import of_people, words
from gateway.classify.propose import Proposal, fold, propose
from gateway.domain.statement import ColumnRef
from gateway.protocol.optional import ColumnSort, SampledColumn, SampledTable

LOOKED_FOR = detectors(date(2026, 1, 7))
EMAILS = tuple(f"ana{number}@example.com" for number in range(50))
TEXT, NUMBER, DATE, OTHER = ColumnSort.TEXT, ColumnSort.NUMBER, ColumnSort.DATE, ColumnSort.OTHER


def best(name: str, *found: str, sort: ColumnSort = TEXT, table: str = "things", least: float = 0.5) -> str | None:
    """The label that is proposed for a column, if any."""
    proposals = propose(
        SampledTable("public", table, (SampledColumn(name, "text", sort, found),)), LOOKED_FOR, min_score=least
    )
    return proposals[0].evidence.label if proposals else None


def score(name: str, *found: str, sort: ColumnSort = TEXT) -> float:
    table = SampledTable("public", "things", (SampledColumn(name, "text", sort, found),))
    return propose(table, LOOKED_FOR, min_score=0)[0].evidence.score


def test_a_name_and_values_make_surer_than_either() -> None:
    both, values, name = score("email", *EMAILS), score("x", *EMAILS), score("email")
    assert both > values > name > 0.5
    assert score("x", *EMAILS[:2]) < values


def test_values_that_do_not_fit_speak_against_a_name() -> None:
    assert best("email") == "pii.email"
    assert best("email", *["sent", "open", "bounced"] * 10) is None
    assert best("phone", *["home", "work"] * 10) is None


def test_an_unknown_countrys_number_is_taken_by_its_name() -> None:
    assert best("national_id", *(f"ZZ/{number}" for number in range(30))) == "pii.tax_number"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("homeEmail", "pii.email"),
        ("E-MAIL", "pii.email"),
        ("mobile_phone", "pii.phone"),
        ("phone2", "pii.phone"),
        ("cc_number", "pci.card_number"),
        ("ssn", "pii.tax_number"),
        ("dateOfBirth", "pii.birth_date"),
        ("client_ip", "pii.ip_address"),
        ("ip_address", "pii.ip_address"),
        ("billing_address", "pii.address"),
        ("street", "pii.address"),
        ("last_name", "pii.name"),
        ("api_key", "secret.credential"),
        ("password_hash", "secret.credential"),
        ("latitude", "pii.location"),
        ("salary", "finance.salary"),
        ("shipment", None),
        ("description", None),
        ("card_type", None),
        ("birth_place", None),
        ("password_changed_at", None),
        ("companion", None),
        ("tip", None),
        ("title", None),
    ],
)
def test_names_alone(name: str, label: str | None) -> None:
    assert best(name) == label


def test_what_is_called_name_is_a_persons_where_the_rows_are_people() -> None:
    assert best("name", table="employees") == "pii.name"
    assert best("name", table="customer_contacts") == "pii.name"
    assert best("name", table="products") is None
    assert of_people("Staff")
    assert words("lastLoginIP") == "last_login_ip"


def test_ordinary_numbers_and_dates_are_nothing() -> None:
    assert best("id", *map(str, range(1, 500)), sort=NUMBER) is None
    assert best("total", *(f"{n}.50" for n in range(100)), sort=NUMBER) is None
    assert best("created_at", *(f"2025-01-{n:02d} 10:00:00+00" for n in range(1, 29)), sort=DATE) is None
    assert best("hired_on", *(f"2003-01-{n:02d}" for n in range(1, 29)), sort=DATE) is None
    assert best("id", *(str(1_700_000_000_000_000_000 + 7919 * n) for n in range(300)), sort=NUMBER) is None
    assert best("epoch_ms", *(str(1_700_000_000_000 + 7919 * n) for n in range(300)), sort=NUMBER) is None
    assert best("email_verified", sort=OTHER) is None


def test_documents_and_lists_are_looked_into_and_may_hold_several_sorts() -> None:
    document = '{"mail": "ana@example.com", "call": "+1-200-555-0100", "theme": "dark"}'
    column = SampledColumn("profile", "jsonb", ColumnSort.DOCUMENT, (document,) * 20)
    proposals = propose(SampledTable("public", "t", (column,)), LOOKED_FOR, min_score=0.5)
    assert {item.evidence.label for item in proposals} == {"pii.email", "pii.phone"}
    assert "ana" not in "".join(item.evidence.describe() for item in proposals)
    several = ("{ana@example.com,x}", '{"Ben B",ben@example.com}', "{}", "{zoe@example.com}")
    assert best("reached_at", *several, sort=ColumnSort.LIST) == "pii.email"


def test_columns_with_the_same_data_are_one_proposal() -> None:
    def proposals(table: str, count: int) -> list[Proposal]:
        column = SampledColumn("email", "text", TEXT, EMAILS[:count])
        return propose(SampledTable("public", table, (column,)), LOOKED_FOR, min_score=0.5)

    parent, child, other = (ColumnRef("public", table, "email") for table in ("staff", "contractors", "other"))
    related = {parent: frozenset({child}), child: frozenset({parent})}
    folded = fold(
        [*proposals("staff", 0), *proposals("contractors", 50), *proposals("other", 5)],
        lambda column: related.get(column, frozenset()),
    )
    assert [(item.column, item.covers) for item in folded] == [(parent, (child,)), (other, ())]
    assert folded[0].evidence.looked_at == 50
