"""The fixtures' table of contents, how hard property tests try, and the report's header."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import signal

from hypothesis import HealthCheck, settings

from gateway.testing.servers import PostgresServer, ServerUnavailable

# A shell that runs this in the background has SIGINT ignored, and so would every program that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.fixtures.servers", "tests.fixtures.gateway"]

# No deadlines: machines that run tests are busy. Hypothesis's own profile "ci" is the same every time.
settings.register_profile("local", deadline=None)
settings.register_profile(
    "fuzz", deadline=None, max_examples=20_000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_report_header() -> list[str]:
    """The versions in play."""
    try:
        found = PostgresServer.find()
        tls = "TLS" if found.tls else "no TLS"
        server = f"PostgreSQL {'.'.join(map(str, found.version))} ({found.source}, {tls})"
    except ServerUnavailable:
        server = "PostgreSQL: none"
    drivers = ("psycopg", "asyncpg", "psycopg2-binary", "pg8000", "sqlalchemy")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in drivers)
    parser = f"sqlglot {importlib.metadata.version('sqlglot')}"
    return [f"{server}; {parser}; {platform.python_implementation()} on {platform.machine()}", f"drivers: {versions}"]
