"""The suites: where each comes from, what it needs, how it is told the server, and what of it runs in CI."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.suites.catalogue_mysql import MYSQL_SUITES
from tests.suites.endpoints import Endpoint
from tests.suites.suite import Suite


def _psycopg2(endpoint: Endpoint) -> Mapping[str, str]:
    own = {"PSYCOPG2_TESTDB": "psycopg2_test", "PSYCOPG2_TEST_REPL_DSN": ""}
    return endpoint.variables("psycopg2_test") | own


def _sqlalchemy(driver: str) -> Callable[[Endpoint], tuple[str, ...]]:
    def arguments(endpoint: Endpoint) -> tuple[str, ...]:
        address = f"{endpoint.user}:{endpoint.password}@{endpoint.host}:{endpoint.port}"
        return ("--dburi", f"postgresql+{driver}://{address}/test", "--maxfail=100000")

    return arguments


def _sqlalchemy_suite(driver: str, *distributions: str, bounded: tuple[str, ...] = ()) -> Suite:
    return Suite(
        name=f"sqlalchemy-{driver}",
        distribution="sqlalchemy",
        targets=("test/dialect/test_suite.py", "test/dialect/postgresql"),
        bounded=bounded,
        keep=("test", "lib", "setup.cfg", "pyproject.toml"),
        requirements=distributions,
        extras=("greenlet", "typing-extensions"),
        arguments=_sqlalchemy(driver),
        databases={
            "test": "CREATE SCHEMA test_schema; CREATE SCHEMA test_schema_2; CREATE EXTENSION hstore;"
            " CREATE EXTENSION citext; ALTER DATABASE test SET default_text_search_config = 'pg_catalog.english';"
        },
    )


def _pymongo(endpoint: Endpoint) -> Mapping[str, str]:
    return {
        "DB_IP": endpoint.host,
        "DB_PORT": str(endpoint.port),
        "DB_USER": endpoint.user,
        "DB_PASSWORD": endpoint.password,
    }


_MOTOR_FILES = (
    *(f"asyncio_tests/test_asyncio_{name}" for name in ("basic", "collection", "await", "session", "gridfsbucket")),
    *(f"tornado_tests/test_motor_{name}" for name in ("collection", "database", "session", "transaction", "grid_file")),
)
_PYMONGO_FILES = ("collection", "cursor", "database", "bulk", "grid_file")


# Without the thousands of tests of range types and of the compiler, which hardly ask the server anything.
_POSTGRESQL_DIALECT = tuple(
    f"test/dialect/postgresql/test_{name}.py" for name in ("dialect", "query", "on_conflict", "bitstring")
)

SUITES: tuple[Suite, ...] = (
    Suite(
        name="asyncpg",
        distribution="asyncpg",
        targets=("tests",),
        bounded=("tests", "-k", "not large_db"),
        keep=("tests",),
        requirements=("asyncpg",),
        extras=("distro",),
    ),
    Suite(
        name="psycopg2",
        distribution="psycopg2-binary",
        targets=("tests",),
        bounded=("tests",),
        keep=("tests",),
        requirements=("psycopg2-binary",),
        variables=_psycopg2,
        databases={"psycopg2_test": "CREATE EXTENSION hstore;"},
    ),
    Suite(
        name="pg8000",
        distribution="pg8000",
        targets=("test", "--benchmark-disable"),
        bounded=("test", "--benchmark-disable", "-k", "not test_max_parameters and not round_trips"),
        keep=("test", "README.md"),
        requirements=("pg8000",),
        extras=("pytest-mock", "pytest-benchmark", "pytz", "docutils"),
        databases={"postgres": "CREATE EXTENSION hstore;"},
    ),
    _sqlalchemy_suite("asyncpg", "asyncpg", bounded=("test/dialect/test_suite.py", "-k", "not Reflection")),
    _sqlalchemy_suite("psycopg2", "psycopg2-binary", bounded=_POSTGRESQL_DIALECT),
    _sqlalchemy_suite("psycopg", "psycopg", "psycopg-binary"),
    _sqlalchemy_suite("pg8000", "pg8000"),
    Suite(
        name="pymongo",
        distribution="pymongo",
        targets=("test", "--ignore=test/test_fuzz_capture.py"),
        bounded=(
            *(f"test/test_{name}.py" for name in _PYMONGO_FILES),
            "test/asynchronous/test_collection.py",
        ),
        keep=("test", "tools", "pyproject.toml"),
        requirements=("pymongo", "python-snappy"),
        extras=("pytest-asyncio",),
        variables=_pymongo,
        server="mongodb",
        tls=False,
    ),
    Suite(
        name="motor",
        distribution="motor",
        targets=("test/asyncio_tests", "test/tornado_tests", "--ignore-glob=*_encryption.py"),
        bounded=tuple(f"test/{name}.py" for name in _MOTOR_FILES),
        keep=("test",),
        requirements=("motor", "pymongo"),
        extras=("mockupdb", "tornado", "aiohttp", "setuptools<81"),
        variables=_pymongo,
        server="mongodb",
        tls=False,
        patience={"test/test_environment.py": {"TimeoutMS = 100\n": "TimeoutMS = 1000\n"}},
    ),
    *MYSQL_SUITES,
)
