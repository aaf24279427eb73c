"""The sample shop on MariaDB: the same rows as on PostgreSQL, in its own types."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.testing.servers.mariadb import MariaDbServer
from gateway.testing.servers.text import mysql_identifier
from gateway.testing.shop import GATEWAY_USER
from gateway.testing.shop_data import shop_mysql


@dataclass(frozen=True, slots=True)
class MariaDbShop:
    """A shop database on a server, and the account that a gateway logs in with: all rights on all databases."""

    server: MariaDbServer
    database: str
    user: str
    password: str = field(repr=False)

    def sql(self, script: str) -> str:
        """Run a script as the gateway's account and return what the shell prints, tab-separated."""
        return self.server.sql(script, database=self.database, user=self.user, password=self.password)


def create_mariadb_shop(
    server: MariaDbServer,
    *,
    database: str = "shop",
    user: str = GATEWAY_USER,
    password: str | None = None,
    customers: int = 200,
) -> MariaDbShop:
    """Create the account and the database, and fill it. ``password`` left out: a new random one.

    In MySQL a schema is a database, and an account is not bound to one, so the account gets all of them; it may grant
    nothing and holds no rights over the server.
    """
    shop = MariaDbShop(server, database, user, secrets.token_urlsafe(18) if password is None else password)
    server.create_database(database)
    server.create_user(user, shop.password, grants="ALL ON *.*")
    server.sql(shop_mysql(customers), database=database)
    return shop


def copy_mariadb_shop(template: MariaDbShop, database: str) -> MariaDbShop:
    """Another shop like ``template``, with the same account."""
    template.server.sql(f"CREATE DATABASE {mysql_identifier(database)}")
    template.server.sql(shop_mysql(), database=database)
    return MariaDbShop(template.server, database, template.user, template.password)


def sensitive_columns(database: str = "shop") -> Mapping[str, tuple[str, ...]]:
    """Which columns deserve which label, as a classification would state it."""
    return {
        "pii.email": (
            f"{database}.customers.email",
            f"{database}.staff.home_email",
            f"{database}.contractors.home_email",
        ),
        "pii.tax_number": (f"{database}.customers.tax_number",),
        "pii.phone": (f"{database}.customers.phone",),
        "pii.birth_date": (f"{database}.customers.birth_date",),
        "pci.card_number": (f"{database}.customers.card_number",),
        "finance.salary": (f"{database}.staff.salary", f"{database}.contractors.salary"),
    }
