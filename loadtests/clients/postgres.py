"""PostgreSQL by psycopg, which gives way to gevent by itself."""

from __future__ import annotations

from typing import Any

import psycopg
from typing_extensions import override

from loadtests.clients.base import DatabaseUser


class PostgresUser(DatabaseUser):
    """A session by psycopg."""

    abstract = True
    protocol = "postgres"

    @override
    def connect(self) -> None:
        """Open the connection; autocommit, as most readers have it."""
        self.connection = psycopg.connect(self.settings.needed("postgres"), autocommit=True)

    @override
    def on_stop(self) -> None:
        """Close it."""
        if hasattr(self, "connection"):
            self.connection.close()

    def run_sql(self, name: str, text: str, *values: Any) -> None:
        """One statement, and all of its rows."""
        with self.measured(name) as counted:
            cursor = self.connection.execute(text, values)
            counted.rows = len(cursor.fetchall()) if cursor.description else cursor.rowcount
