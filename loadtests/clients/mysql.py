"""MySQL and MariaDB by PyMySQL, which is all Python and so is patched by gevent."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql
from typing_extensions import override

from loadtests.clients.base import DatabaseUser


class MySqlUser(DatabaseUser):
    """A session by PyMySQL."""

    abstract = True
    protocol = "mysql"

    @override
    def connect(self) -> None:
        """Open the connection; TLS without verification where the URL ends in ``?tls``."""
        url = urlsplit(self.settings.needed("mysql"))
        context = None
        if url.query == "tls":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connection = pymysql.connect(
            host=url.hostname or "127.0.0.1",
            port=url.port or 3306,
            user=unquote(url.username or ""),
            password=unquote(url.password or ""),
            database=url.path.lstrip("/"),
            autocommit=True,
            ssl=context,
        )

    @override
    def on_stop(self) -> None:
        """Close it."""
        if hasattr(self, "connection") and self.connection.open:
            self.connection.close()

    def run_sql(self, name: str, text: str, *values: Any) -> None:
        """One statement, and all of its rows."""
        with self.measured(name) as counted, self.connection.cursor() as cursor:
            counted.rows = cursor.execute(text, values)
            cursor.fetchall()
