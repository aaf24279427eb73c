"""The shop's rows.

Everything is made up and the same every time: mail addresses end in example.com, telephone numbers lie in the range
kept free for fiction, tax numbers in a range that is never issued, and card numbers are test numbers with a right check
digit. Every sensitive value is unique and long enough that finding it in a byte stream means that it leaked.
"""

from __future__ import annotations

import datetime
import json
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from typing import TypeAlias

from gateway.testing.servers.text import literal, mysql_literal

Cell: TypeAlias = str | int | bool | Decimal | datetime.date | tuple[str, ...] | None

_SEED = 20
# fmt: off
_GIVEN = (
    "Ana", "Ben", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Karim", "Lucia", "Mei",
    "Nils", "Olga", "Paulo", "Qadir", "Rosa", "Sven", "Tara", "Uma", "Viktor", "Wanda", "Ximena", "Yusuf", "Zoe",
)
_FAMILY = (
    "Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel", "Ivy", "Juniper", "Larch", "Maple",
    "Nettle", "Oak", "Pine", "Quince", "Rowan", "Sorrel",
)
# fmt: on
_CITIES = ("Bergen", "Coimbra", "Ghent", "Izmir", "Kraków", "León", "Nagoya", "Tampere", "Zürich", "Ålesund")
_PRODUCTS = (
    ("kettle", "kitchen", "39.90"),
    ("teapot", "kitchen", "24.50"),
    ("cast-iron pan", "kitchen", "58.00"),
    ("paring knife", "kitchen", "14.25"),
    ("desk lamp", "light", "45.00"),
    ("lantern", "light", "32.75"),
    ("fairy lights", "light", "12.99"),
    ("wool blanket", "home", "79.00"),
    ("doormat", "home", "18.40"),
    ("wall clock", "home", "27.30"),
    ("notebook", "paper", "6.80"),
    ("fountain pen", "paper", "34.00"),
    ("ink, blue", "paper", "8.90"),
    ("envelopes, 50", "paper", "5.20"),
    ("watering can", "garden", "21.60"),
    ("secateurs", "garden", "29.95"),
)
_STATUSES = ("placed", "paid", "shipped", "delivered", "returned")
_EPOCH = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
_DAYS = 800
_ROWS_PER_INSERT = 500


@dataclass(frozen=True, slots=True)
class ShopRows:
    """The rows of every table, in the order of its columns, the same for the same arguments."""

    customers: Sequence[tuple[Cell, ...]]
    products: Sequence[tuple[Cell, ...]]
    orders: Sequence[tuple[Cell, ...]]
    order_items: Sequence[tuple[Cell, ...]]
    staff: Sequence[tuple[Cell, ...]]
    contractors: Sequence[tuple[Cell, ...]]


def shop_rows(customers: int = 200, *, seed: int = _SEED) -> ShopRows:
    """What the shop holds, whatever the database. Lists of words (``products.tags``) are tuples, JSON is text."""
    source = random.Random(seed)  # noqa: S311 - sample data that must be the same every time
    people = list(_customers(source, customers))
    orders, items = _orders(source, customers)
    return ShopRows(
        customers=people,
        products=list(_products(source)),
        orders=orders,
        order_items=items,
        staff=list(_staff(source, 12, ("buyer", "packer", "support", "dba"))),
        contractors=[(*row, "Fastline") for row in _staff(source, 3, ("courier",))],
    )


def shop_sql(customers: int = 200, *, seed: int = _SEED) -> str:
    """Schema and rows for PostgreSQL as one script, the same text for the same arguments. Any client can run it."""
    rows = shop_rows(customers, seed=seed)
    parts = [
        "BEGIN;",
        (resources.files("gateway.testing") / "shop.sql").read_text("utf-8"),
        insert("customers", rows.customers, _postgres),
        f"ALTER TABLE customers ALTER COLUMN id RESTART WITH {customers + 1};",
        insert("products", rows.products, _postgres),
        f"ALTER TABLE products ALTER COLUMN id RESTART WITH {len(rows.products) + 1};",
        insert("orders", rows.orders, _postgres),
        insert("order_items", rows.order_items, _postgres),
        insert("staff", rows.staff, _postgres),
        insert("contractors", rows.contractors, _postgres),
        "REFRESH MATERIALIZED VIEW top_customers;",
        "COMMIT;",
        "ANALYZE;",
    ]
    return "\n".join(parts) + "\n"


def shop_mysql(customers: int = 200, *, seed: int = _SEED) -> str:
    """Schema and rows for MariaDB and MySQL as one script for the ``mariadb`` or ``mysql`` shell."""
    rows = shop_rows(customers, seed=seed)
    parts = [
        (resources.files("gateway.testing") / "shop_mysql.sql").read_text("utf-8"),
        "BEGIN;",
        insert("customers", rows.customers, _mysql),
        insert("products", rows.products, _mysql),
        insert("orders", rows.orders, _mysql),
        insert("order_items", rows.order_items, _mysql),
        insert("staff", rows.staff, _mysql),
        insert("contractors", rows.contractors, _mysql),
        "COMMIT;",
    ]
    return "\n".join(parts) + "\n"


def _customers(source: random.Random, count: int) -> Iterator[tuple[Cell, ...]]:
    for number in range(1, count + 1):
        name = _name(source)
        yield (
            number,
            name,
            f"{name.lower().replace(' ', '.')}.{number:03d}@example.com",
            f"+1-{source.randint(200, 989)}-555-{100 + number % 100:04d}" if source.random() < 0.95 else None,
            datetime.date(1940, 1, 1) + datetime.timedelta(days=source.randrange(24_000)),
            f"9{number % 100:02d}-{source.randint(10, 99)}-{1000 + number:04d}",
            _card_number(source, number) if source.random() < 0.9 else None,
            source.choice(_CITIES),
            _money(source, -50, 2500),
            source.random() < 0.1,
            json.dumps({"newsletter": source.random() < 0.5, "language": source.choice(["en", "de", "pt"])}),
            _EPOCH + datetime.timedelta(minutes=source.randrange(200 * 1440)),
        )


def _products(source: random.Random) -> Iterator[tuple[Cell, ...]]:
    for number, (name, category, price) in enumerate(_PRODUCTS, 1):
        tags = tuple(sorted(source.sample(["new", "sale", "gift", "heavy"], source.randint(0, 2))))
        yield (
            number,
            f"{category[:2].upper()}-{number:04d}",
            name,
            category,
            Decimal(price),
            source.randint(0, 90),
            tags,
        )


def _orders(source: random.Random, customers: int) -> tuple[list[tuple[Cell, ...]], list[tuple[Cell, ...]]]:
    orders: list[tuple[Cell, ...]] = []
    items: list[tuple[Cell, ...]] = []
    for number in range(1, 3 * customers + 1):
        total = Decimal(0)
        for line, product in enumerate(source.sample(range(len(_PRODUCTS)), source.randint(1, 4)), 1):
            quantity, price = source.randint(1, 3), Decimal(_PRODUCTS[product][2])
            total += quantity * price
            items.append((number, line, product + 1, quantity, price))
        # A few customers order often, most rarely.
        customer = min(int(source.paretovariate(0.6)), customers)
        placed = _EPOCH + datetime.timedelta(minutes=source.randrange(_DAYS * 1440))
        orders.append((number, customer, placed, source.choice(_STATUSES), total, source.choice(_CITIES)))
    return orders, items


def _staff(source: random.Random, count: int, jobs: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    for number in range(count):
        name, key = _name(source), uuid.UUID(int=source.getrandbits(128), version=4)
        yield (
            str(key),
            name,
            jobs[number % len(jobs)],
            f"{name.lower().replace(' ', '.')}.home{key.hex[:4]}@example.com",
            _money(source, 28_000, 92_000),
            _EPOCH.date() - datetime.timedelta(days=source.randrange(3000)),
        )


def _name(source: random.Random) -> str:
    return f"{source.choice(_GIVEN)} {source.choice(_FAMILY)}"


def _money(source: random.Random, low: int, high: int) -> Decimal:
    return Decimal(source.randrange(low * 100, high * 100)) / 100


def _card_number(source: random.Random, number: int) -> str:
    """Sixteen digits that pass the check of ISO/IEC 7812-1, annex B."""
    body = f"40000{number:05d}{source.randrange(100_000):05d}"
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(body)]
    return body + str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def insert(table: str, rows: Sequence[Sequence[Cell]], write: Callable[[Cell], str]) -> str:
    """INSERT statements for ``rows``; ``write`` makes a literal."""
    return "\n".join(
        f"INSERT INTO {table} VALUES\n"
        + ",\n".join(f"({', '.join(map(write, row))})" for row in rows[start : start + _ROWS_PER_INSERT])
        + ";"
        for start in range(0, len(rows), _ROWS_PER_INSERT)
    )


def _postgres(cell: Cell) -> str:
    match cell:
        case tuple():
            return literal("{" + ",".join(cell) + "}")
        case datetime.date():
            return literal(cell.isoformat())
        case str():
            return literal(cell)
        case _:
            return _plain(cell)


def _mysql(cell: Cell) -> str:
    match cell:
        case tuple():
            return mysql_literal(json.dumps(cell))
        case datetime.datetime():
            return mysql_literal(cell.strftime("%Y-%m-%d %H:%M:%S"))
        case datetime.date():
            return mysql_literal(cell.isoformat())
        case str():
            return mysql_literal(cell)
        case _:
            return _plain(cell)


def _plain(cell: int | Decimal | None) -> str:
    if cell is None:
        return "NULL"
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
