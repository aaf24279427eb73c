"""A small catalog without a server."""

from __future__ import annotations

from gateway.domain.statement import ColumnRef, StatementFacts
from gateway.sql.analyse import analyse
from gateway.sql.catalog import Catalog, CatalogContents, Column, Function, Relation
from gateway.sql.state import NameResolution
from gateway.sql.views import build

STATE = NameResolution(search_path=("public",), role="ana")


def relation(oid: int, name: str, *columns: str, schema: str = "public", kind: str = "r", **more: object) -> Relation:
    listed = tuple(Column(column, number) for number, column in enumerate(columns, 1))
    return Relation(schema, name, oid, kind, listed, **more)  # type: ignore[arg-type]


CONTENTS = CatalogContents(
    relations=(
        relation(10, "customers", "id", "name", "email", "ssn"),
        relation(11, "orders", "id", "customer_id", "note", "amount"),
        relation(12, "v_customers", "id", "secret", kind="v", definition="SELECT id, ssn FROM public.customers;"),
        relation(13, "v_of_view", "s", kind="v", definition="SELECT upper(secret) AS s FROM public.v_customers;"),
        relation(14, "v_opaque", "s", kind="v", definition="SELECT public.leak(id) AS s FROM public.customers;"),
        relation(15, "people", "id", "email"),
        relation(16, "staff", "id", "email", "grade"),
        relation(17, "customers", "id", "label", schema="other"),
        relation(18, "pg_stats", "histogram_bounds", schema="pg_catalog", kind="v"),
        relation(19, "pg_class", "oid", "relname", schema="pg_catalog"),
        Relation(
            "public",
            "accounts",
            20,
            "r",
            (Column("id", 1), Column("iban", 2), Column("bank", 3, generated='"substring"(iban, 1, 4)')),
        ),
        relation(21, "ruled", "id", "x", rewritten=True),
    ),
    functions=(
        Function("public", "leak", "v", "plpgsql"),
        Function("public", "steady", "i", "sql"),
        Function("other", "upper", "v", "sql"),
        Function("public", "coalesce", "i", "sql"),
        Function("public", "similarity", "i", "c", "pg_trgm"),
    ),
    schemas=frozenset({"public", "other", "pg_catalog", "information_schema"}),
    inherits=((16, 15),),
)
CATALOG: Catalog = build(CONTENTS)


def facts(text: str, state: NameResolution = STATE, catalog: Catalog | None = CATALOG) -> StatementFacts:
    """The facts of a text of one statement."""
    (only,) = analyse(text, state, catalog).statements
    return only


def column(text: str) -> ColumnRef:
    """``table.column`` or ``schema.table.column``."""
    *schema, table, name = text.split(".")
    return ColumnRef(schema[0] if schema else "public", table, name)


def columns(*texts: str) -> frozenset[ColumnRef]:
    return frozenset(map(column, texts))
