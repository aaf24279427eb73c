"""A small shop database: for the demo, the tests and the benchmarks."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.testing.servers.postgres import PostgresServer
from gateway.testing.servers.text import identifier
from gateway.testing.shop_data import shop_sql

GATEWAY_USER = "gateway"
SENSITIVE_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pii.email": ("public.customers.email", "public.staff.home_email"),
        "pii.tax_number": ("public.customers.tax_number",),
        "pii.phone": ("public.customers.phone",),
        "pii.birth_date": ("public.customers.birth_date",),
        "pci.card_number": ("public.customers.card_number",),
        "finance.salary": ("public.staff.salary",),
    }
)
"""Which columns deserve which label, as a classification would state it."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop database on a server, and the account that owns it: the one that a gateway logs in with."""

    server: PostgresServer
    database: str
    user: str
    password: str = field(repr=False)

    def dsn(self) -> str:
        """A libpq connection string for the owner, without TLS."""
        return (
            f"host={self.server.host} port={self.server.port} dbname={self.database} user={self.user}"
            f" password={self.password} sslmode=disable"
        )

    def psql(self, sql: str) -> str:
        """Run a script as the owner and return what psql prints."""
        return self.server.psql(sql, database=self.database, user=self.user, password=self.password)


def create_shop(
    server: PostgresServer,
    *,
    database: str = "shop",
    user: str = GATEWAY_USER,
    password: str | None = None,
    customers: int = 200,
) -> Shop:
    """Create the account and the database, owned by it, and fill it. ``password`` left out: a new random one."""
    shop = Shop(server, database, user, secrets.token_urlsafe(18) if password is None else password)
    server.create_role(shop.user, shop.password)
    server.create_database(shop.database, owner=shop.user)
    shop.psql(shop_sql(customers))
    return shop


def copy_shop(template: Shop, database: str) -> Shop:
    """A copy under another name, faster than a new one. Nobody may be connected to ``template`` meanwhile."""
    source, owner = identifier(template.database), identifier(template.user)
    template.server.psql(f"CREATE DATABASE {identifier(database)} TEMPLATE {source} OWNER {owner}")
    return Shop(template.server, database, template.user, template.password)
