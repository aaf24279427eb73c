"""The shop as documents: the same people and orders as in SQL, the way one would keep them in MongoDB."""

from __future__ import annotations

import datetime
import json
import secrets
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from bson import Binary, Decimal128, Int64
from bson.binary import UuidRepresentation
from pymongo import MongoClient

from gateway.testing.servers.mongod import MongoServer
from gateway.testing.shop_data import Cell, shop_rows

GATEWAY_USER = "gateway"
SENSITIVE_PATHS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pii.email": ("shop.customers.contact.email", "shop.staff.home_email"),
        "pii.tax_number": ("shop.customers.tax_number",),
        "pii.phone": ("shop.customers.contact.phones.number",),
        "pii.birth_date": ("shop.customers.birth_date",),
        "pci.card_number": ("shop.customers.cards.number",),
        "finance.salary": ("shop.staff.salary",),
    }
)
"""Which paths (database, collection, path) deserve which label. Arrays on the way are not named."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DocumentShop:
    """A shop database on a MongoDB server, and the account that a gateway logs in with (in ``admin``)."""

    server: MongoServer
    database: str
    user: str
    password: str = field(repr=False)

    def client(self, **options: Any) -> MongoClient[Document]:
        """A client of the gateway's account, without TLS. Close it."""
        return MongoClient(self.server.uri(self.user, self.password), **options)


def shop_documents(customers: int = 200) -> dict[str, list[Document]]:
    """The documents of each collection, the same for the same argument."""
    rows = shop_rows(customers)
    lines: dict[Any, list[Document]] = defaultdict(list)
    for order, _, product, quantity, price in rows.order_items:
        lines[order].append({"product_id": product, "quantity": quantity, "unit_price": _value(price)})
    return {
        "customers": [_customer(row) for row in rows.customers],
        "products": [
            {
                "_id": number,
                "sku": sku,
                "name": name,
                "category": category,
                "price": _value(price),
                "stock": stock,
                "tags": list(tags) if isinstance(tags, tuple) else [],
            }
            for number, sku, name, category, price, stock, tags in rows.products
        ],
        "orders": [
            {
                "_id": Int64(int(str(number))),
                "customer_id": customer,
                "placed_at": placed,
                "status": status,
                "total": _value(total),
                "ship_to": city,
                "items": lines[number],
            }
            for number, customer, placed, status, total, city in rows.orders
        ],
        "staff": [
            {
                "_id": Binary.from_uuid(uuid.UUID(str(key)), UuidRepresentation.STANDARD),
                "name": name,
                "job": job,
                "home_email": email,
                "salary": _value(salary),
                "hired_on": _value(hired),
            }
            for key, name, job, email, salary, hired in rows.staff
        ],
    }


def _customer(row: tuple[Cell, ...]) -> Document:
    number, name, email, phone, born, tax, card, city, balance, vip, preferences, created = row
    return {
        "_id": number,
        "name": name,
        "contact": {
            "email": email,
            "phones": [] if phone is None else [{"kind": "mobile", "number": phone}],
            "city": city,
        },
        "birth_date": _value(born),
        "tax_number": tax,
        "cards": [] if card is None else [{"brand": "test", "number": card}],
        "city": city,
        "balance": _value(balance),
        "vip": vip,
        "preferences": json.loads(str(preferences)),
        "created_at": created,
    }


def _value(cell: Cell) -> Any:
    match cell:
        case Decimal():
            return Decimal128(cell)
        case datetime.datetime():
            return cell
        case datetime.date():
            return datetime.datetime(cell.year, cell.month, cell.day, tzinfo=datetime.UTC)
        case _:
            return cell


VIEWS: Mapping[str, tuple[str, list[Document]]] = MappingProxyType(
    {
        "customer_contacts": (
            "customers",
            [{"$project": {"name": 1, "mail": "$contact.email", "phones": "$contact.phones.number"}}],
        ),
        "order_overview": (
            "orders",
            [
                {
                    "$lookup": {
                        "from": "customers",
                        "localField": "customer_id",
                        "foreignField": "_id",
                        "as": "customer",
                    }
                },
                {"$unwind": "$customer"},
                {"$project": {"placed_at": 1, "status": 1, "total": 1, "who": "$customer.name"}},
            ],
        ),
    }
)
"""Views by name: what they are on, and their pipeline."""


def create_document_shop(
    server: MongoServer,
    *,
    database: str = "shop",
    user: str = GATEWAY_USER,
    password: str | None = None,
    customers: int = 200,
) -> DocumentShop:
    """Create the account (role ``root``) and the database, and fill it. ``password`` left out: a new random one.

    Both replace what is there: whoever else uses the account is locked out, and wants a ``user`` of its own.
    """
    shop = DocumentShop(server, database, user, secrets.token_urlsafe(18) if password is None else password)
    server.create_user(shop.user, shop.password)
    with server.client() as client:
        client.drop_database(database)
        target = client[database]
        for name, documents in shop_documents(customers).items():
            target[name].insert_many(documents)
        target.customers.create_index("contact.email", unique=True)
        target.orders.create_index("customer_id")
        for name, (source, pipeline) in VIEWS.items():
            target.command("create", name, viewOn=source, pipeline=pipeline)
    return shop
