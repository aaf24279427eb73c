"""People who look things up: one customer by key mostly, a customer's orders often, a page now and then."""

from __future__ import annotations

from locust import task

from loadtests.clients.mongodb import MongoUser
from loadtests.clients.mysql import MySqlUser
from loadtests.clients.postgres import PostgresUser
from loadtests.skew import popular

CUSTOMER = "SELECT id, full_name, email, city FROM customers WHERE id = %s"
ORDERS = "SELECT id, placed_at, status, total FROM orders WHERE customer_id = %s ORDER BY placed_at DESC LIMIT 20"
PAGE = "SELECT id, full_name, email, card_number, city FROM customers WHERE id > %s ORDER BY id LIMIT 50"


class PostgresReads(PostgresUser):
    """Reads on PostgreSQL."""

    @task(8)
    def customer(self) -> None:
        """One row, with an e-mail address in it."""
        self.run_sql("reads: customer", CUSTOMER, popular(self.settings.customers, self.random))

    @task(3)
    def orders(self) -> None:
        """At most twenty rows, none of them sensitive."""
        self.run_sql("reads: orders", ORDERS, popular(self.settings.customers, self.random))

    @task(1)
    def page(self) -> None:
        """Fifty rows, with two sensitive columns."""
        self.run_sql("reads: page", PAGE, self.random.randrange(max(1, self.settings.customers - 50)))


class MySqlReads(MySqlUser):
    """Reads on MySQL and MariaDB."""

    @task(8)
    def customer(self) -> None:
        """One row, with an e-mail address in it."""
        self.run_sql("reads: customer", CUSTOMER, popular(self.settings.customers, self.random))

    @task(3)
    def orders(self) -> None:
        """At most twenty rows, none of them sensitive."""
        self.run_sql("reads: orders", ORDERS, popular(self.settings.customers, self.random))

    @task(1)
    def page(self) -> None:
        """Fifty rows, with two sensitive columns."""
        self.run_sql("reads: page", PAGE, self.random.randrange(max(1, self.settings.customers - 50)))


class MongoReads(MongoUser):
    """Reads on MongoDB."""

    @task(8)
    def customer(self) -> None:
        """One document, with an e-mail address in it."""
        with self.measured("reads: customer") as counted:
            key = popular(self.settings.customers, self.random)
            found = self.collection("customers").find_one({"_id": key}, {"name": 1, "contact": 1, "city": 1})
            counted.rows = int(found is not None)

    @task(3)
    def orders(self) -> None:
        """At most twenty documents."""
        with self.measured("reads: orders") as counted:
            key = popular(self.settings.customers, self.random)
            found = self.collection("orders").find({"customer_id": key}).sort("placed_at", -1).limit(20)
            counted.rows = len(list(found))

    @task(1)
    def page(self) -> None:
        """Fifty documents, with sensitive paths."""
        with self.measured("reads: page") as counted:
            start = self.random.randrange(max(1, self.settings.customers - 50))
            found = self.collection("customers").find({"_id": {"$gt": start}}).sort("_id", 1).limit(50)
            counted.rows = len(list(found))
