"""The tables that are read: pgbench's own, a big one without labels, and its copy with a label on two columns."""

from __future__ import annotations

ROLE = "bench"
DATABASE = "bench"
RESOURCE = "bench"
"""The database's name through the gateway."""
PGBENCH_SCALE = 5
"""In units of 100,000 accounts."""

MASKED = {"pii.email": "email", "pci.card_number": "card_number"}
"""Label and column of ``people_masked``."""

_COLUMNS = """
    i AS id,
    'person' || i || '@example.com' AS email,
    lpad((i::bigint * 48271 % 10000000000000000)::text, 16, '4') AS card_number,
    'First name ' || i % 9973 AS first_name,
    'Last name ' || i % 99991 AS last_name,
    i % 1000 AS region,
    (i * 7 % 100000)::numeric / 100 AS balance,
    timestamp '2024-01-01' + i * interval '1 second' AS created_at,
    md5(i::text) AS note,
    i % 2 = 0 AS active
"""


def schema(rows: int) -> str:
    """SQL that makes and fills the tables; ``rows`` is for each of the two big ones."""
    return f"""
        CREATE UNLOGGED TABLE people AS SELECT {_COLUMNS} FROM generate_series(1, {rows}) AS i;
        CREATE UNLOGGED TABLE people_masked AS TABLE people;
        CREATE TABLE customers AS SELECT * FROM people LIMIT 1000;
        ALTER TABLE customers ADD PRIMARY KEY (id);
        CREATE TABLE orders AS SELECT i AS id, i % 1000 + 1 AS customer_id, i % 50 AS product_id, i * 3 AS total
            FROM generate_series(1, 5000) AS i;
        CREATE TABLE products AS SELECT i AS id, 'Product ' || i AS name, i % 10 AS supplier_id
            FROM generate_series(0, 49) AS i;
        CREATE TABLE suppliers AS SELECT i AS id, 'Supplier ' || i AS name FROM generate_series(0, 9) AS i;
        ANALYZE;
    """
