"""The suites of MySQL's drivers, which run against MariaDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from tests.suites.endpoints import Endpoint
from tests.suites.suite import Suite


def _pymysql(endpoint: Endpoint) -> Mapping[str, str]:
    login = {"host": endpoint.host, "port": endpoint.port, "user": endpoint.user, "passwd": endpoint.password}
    first = {**login, "db": "test1", "use_unicode": True, "local_infile": True}
    return {"pymysql/tests/databases.json": json.dumps([first, {**login, "db": "test2"}])}


def _aiomysql(endpoint: Endpoint) -> tuple[str, ...]:
    return (f"--mysql-address=server={endpoint.host}:{endpoint.port}",)


def _sqlalchemy(driver: str) -> Callable[[Endpoint], tuple[str, ...]]:
    def arguments(endpoint: Endpoint) -> tuple[str, ...]:
        address = f"{endpoint.user}:{endpoint.password}@{endpoint.host}:{endpoint.port}"
        return ("--dburi", f"mysql+{driver}://{address}/test", "--maxfail=100000")

    return arguments


def _sqlalchemy_suite(driver: str, *distributions: str, bounded: tuple[str, ...] = (), tls: bool) -> Suite:
    return Suite(
        name=f"sqlalchemy-{driver}",
        distribution="sqlalchemy",
        targets=("test/dialect/test_suite.py", "test/dialect/mysql"),
        bounded=bounded,
        keep=("test", "lib", "setup.cfg", "pyproject.toml"),
        requirements=distributions,
        extras=("greenlet", "typing-extensions"),
        arguments=_sqlalchemy(driver),
        server="mysql",
        tls=tls,
        databases={"test": "", "test_schema": "", "test_schema_2": ""},
    )


_AIOMYSQL_FILES = ("basic", "cursor", "sscursor", "nextset", "bulk_inserts", "ssl")
_DIALECT = tuple(f"test/dialect/mysql/test_{name}.py" for name in ("dialect", "query", "on_duplicate", "types"))
MYSQL_SUITES: tuple[Suite, ...] = (
    Suite(
        name="pymysql",
        distribution="pymysql",
        version="0.10.1",  # the last with tests
        targets=("pymysql/tests",),
        bounded=("pymysql/tests", "-k", "not gone_away"),
        keep=("pymysql",),
        requirements=("cryptography",),
        files=_pymysql,
        server="mysql",
        tls=False,
        databases={"test1": "", "test2": ""},
    ),
    Suite(
        name="aiomysql",
        distribution="aiomysql",
        targets=("tests",),
        bounded=(*(f"tests/test_{name}.py" for name in _AIOMYSQL_FILES), "-k", "asyncio"),
        keep=("tests",),
        requirements=("aiomysql", "cryptography", "uvloop"),
        extras=("pymysql==1.1.2", "sqlalchemy==1.3.24"),  # what it is developed with
        arguments=_aiomysql,
        variables=lambda endpoint: {"MYSQL_ROOT_PASSWORD": endpoint.password},
        server="mysql",
    ),
    _sqlalchemy_suite("pymysql", "pymysql", "cryptography", bounded=_DIALECT, tls=False),
    _sqlalchemy_suite("mysqlconnector", "mysql-connector-python", bounded=_DIALECT[:-1], tls=True),
)
