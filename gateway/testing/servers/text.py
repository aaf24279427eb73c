"""Quoting for SQL that tests and the demo build themselves."""

from __future__ import annotations


def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """``value`` as a quoted SQL string (with ``standard_conforming_strings`` on)."""
    return "'" + value.replace("'", "''") + "'"


def mysql_identifier(name: str) -> str:
    """``name`` as a quoted identifier of MySQL and MariaDB."""
    return "`" + name.replace("`", "``") + "`"


def mysql_literal(value: str) -> str:
    """``value`` as a quoted string of MySQL and MariaDB, in their default ``sql_mode``."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
