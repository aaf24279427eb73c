"""An application: reads as in ``reads``, and one statement in seven changes a row.

A write is in the audit, on disk, before the database sees it.
"""

from __future__ import annotations

from locust import task

from loadtests.scenarios.reads import MongoReads, MySqlReads, PostgresReads

RESTOCK = "UPDATE products SET stock = stock + %s WHERE id = %s"
PRODUCTS = 16


class PostgresMixed(PostgresReads):
    """Reads and writes on PostgreSQL."""

    @task(2)
    def restock(self) -> None:
        """One row by key."""
        change, product = self.random.choice((-1, 1)), self.random.randint(1, PRODUCTS)
        self.run_sql("mixed: restock", RESTOCK, change, product)


class MySqlMixed(MySqlReads):
    """Reads and writes on MySQL and MariaDB."""

    @task(2)
    def restock(self) -> None:
        """One row by key."""
        change, product = self.random.choice((-1, 1)), self.random.randint(1, PRODUCTS)
        self.run_sql("mixed: restock", RESTOCK, change, product)


class MongoMixed(MongoReads):
    """Reads and writes on MongoDB."""

    @task(2)
    def restock(self) -> None:
        """One document by key."""
        with self.measured("mixed: restock") as counted:
            change, product = self.random.choice((-1, 1)), self.random.randint(1, PRODUCTS)
            done = self.collection("products").update_one({"_id": product}, {"$inc": {"stock": change}})
            counted.rows = done.matched_count
