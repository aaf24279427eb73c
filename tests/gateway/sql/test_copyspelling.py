"""What of a COPY TO STDOUT is known well enough to spell its rows, and what is not."""

from __future__ import annotations

import pytest

from gateway.domain.copying import CopySpelling
from gateway.sql.analyse import analyse
from gateway.sql.catalog import CatalogContents
from gateway.sql.views import build
from tests.gateway.sql.shop import STATE, relation

TEXT = CopySpelling(query='SELECT "id", "e""mail" FROM ONLY "public"."people"')
CSV = CopySpelling(query=TEXT.query, csv=True, delimiter=",", null="")


CONTENTS = CatalogContents(
    relations=(
        relation(1, "people", "id", 'e"mail'),
        relation(2, "parted", "id", kind="p"),
        relation(3, "seen", "id", kind="v", definition="SELECT id FROM public.people"),
    ),
    schemas=frozenset({"public"}),
)
CATALOG = build(CONTENTS)


def copied(text: str) -> CopySpelling | None:
    found = analyse(text, STATE, CATALOG)
    return found.statements[0].copied


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", TEXT),
        ("WITH (FORMAT text)", TEXT),
        ("(FORMAT csv)", CSV),
        ("WITH CSV", CSV),
        ("CSV HEADER", CopySpelling(CSV.query, csv=True, delimiter=",", null="", header=True)),
        ("(FORMAT 'csv', HEADER on)", CopySpelling(CSV.query, csv=True, delimiter=",", null="", header=True)),
        ("(FORMAT csv, HEADER false)", CSV),
        ("(DELIMITER '|', NULL 'x')", CopySpelling(TEXT.query, delimiter="|", null="x")),
        ("DELIMITER AS E'\\x01' NULL AS ''", CopySpelling(TEXT.query, delimiter="\x01", null="")),
        (
            "(FORMAT csv, QUOTE '''', FORCE_QUOTE (id))",
            CopySpelling(CSV.query, csv=True, delimiter=",", null="", quote="'", escape="'", forced=frozenset({"id"})),
        ),
        ("CSV FORCE QUOTE *", CopySpelling(CSV.query, csv=True, delimiter=",", null="", forced=None)),
        ("CSV ESCAPE '\\'", CopySpelling(CSV.query, csv=True, delimiter=",", null="", escape="\\")),
    ],
)
def test_spellings_that_are_known(options: str, expected: CopySpelling) -> None:
    assert copied(f"COPY people TO STDOUT {options}") == expected


@pytest.mark.parametrize(
    "text",
    [
        "COPY people TO STDOUT (FORMAT binary)",
        "COPY BINARY people TO STDOUT",
        "COPY people TO STDOUT (ENCODING 'UTF8')",
        "COPY people TO STDOUT (FREEZE)",
        "COPY people TO STDOUT (FORMAT csv, FORMAT csv)",
        "COPY people TO STDOUT (DELIMITER 'ab')",
        "COPY people TO STDOUT (DELIMITER 'a')",
        "COPY people TO STDOUT (DELIMITER E'\\n')",
        "COPY people TO STDOUT (DELIMITER '§')",
        "COPY people TO STDOUT (NULL E'\\t')",
        "COPY people TO STDOUT (QUOTE '''')",
        "COPY people TO STDOUT (FORMAT csv, QUOTE ',')",
        "COPY people TO STDOUT (FORMAT csv, HEADER match)",
        "COPY people TO STDOUT (FORMAT csv DELIMITER ';')",
        "COPY people TO STDOUT CSV nonsense",
        "COPY people TO STDOUT CSV FORCE QUOTE",
        "COPY people TO '/tmp/x'",
        "COPY people TO PROGRAM 'cat'",
        "COPY people FROM STDIN",
        "COPY parted TO STDOUT",
        "COPY seen TO STDOUT",
        "COPY nobody TO STDOUT",
        "COPY people (nothing) TO STDOUT",
        "COPY (DELETE FROM people RETURNING id) TO STDOUT",
        "COPY (WITH d AS (DELETE FROM people RETURNING id) SELECT * FROM d) TO STDOUT",
        "COPY (SELECT id FROM people FOR UPDATE) TO STDOUT",
        "COPY (SELECT id FROM people; DELETE FROM people) TO STDOUT",
        "COPY (SELECT id FROM people;) TO STDOUT",
        "COPY (SELECT id INTO x FROM people) TO STDOUT",
        "SELECT 1",
    ],
)
def test_what_is_not_certain_has_none(text: str) -> None:
    assert copied(text) is None


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM people",
        " select id -- )\n from people /* ) */ ",
        "TABLE people",
        "VALUES (1), (2)",
        "(SELECT 1) UNION (SELECT ';')",
        "WITH a AS (SELECT 1 AS x) SELECT ')' || x FROM a",
    ],
)
def test_the_query_is_what_stands_in_the_parentheses(query: str) -> None:
    text = f"SET x = '§';/* ü */ COPY ( {query}) TO STDOUT CSV"
    found = analyse(text, STATE, CATALOG).statements[1].copied
    assert found is not None
    assert found.query_of(text).strip() == query.strip()
