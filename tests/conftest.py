"""The fixtures' table of contents, how hard property tests try, and the report's header."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import signal

from hypothesis import HealthCheck, settings

from gateway.testing.servers import MariaDbServer, PostgresServer, ServerKind, ServerUnavailable

# A shell that runs this in the background has SIGINT ignored, and so would every program that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "tests.fixtures.admin",
    "tests.fixtures.servers",
    "tests.fixtures.mariadb",
    "tests.fixtures.mongodb",
    "tests.fixtures.gateway",
    "tests.fixtures.mysql_gateway",
    "tests.fixtures.control_plane",
]

# No deadlines: machines that run tests are busy. Hypothesis's own profile "ci" is the same every time.
settings.register_profile("local", deadline=None)
settings.register_profile(
    "fuzz", deadline=None, max_examples=20_000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_report_header() -> list[str]:
    """The versions in play."""
    servers = "; ".join([_found(PostgresServer), _found(MariaDbServer)])
    drivers = (
        "psycopg",
        "asyncpg",
        "psycopg2-binary",
        "pg8000",
        "sqlalchemy",
        "pymysql",
        "aiomysql",
        "mysql-connector-python",
    )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in drivers)
    parser = f"sqlglot {importlib.metadata.version('sqlglot')}"
    return [f"{servers}; {parser}; {platform.python_implementation()} on {platform.machine()}", f"drivers: {versions}"]


def _found(kind: ServerKind) -> str:
    try:
        found = kind.find()
    except ServerUnavailable:
        return f"{kind.name}: none"
    version = ".".join(map(str, found.version))
    return f"{kind.name} {version} ({found.source}, {'TLS' if found.tls else 'no TLS'})"
