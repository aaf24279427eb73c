"""Real database servers on loopback, for root and for ordinary users, that cannot outlive the process that starts them.

A server listens on 127.0.0.1 on a free port, asks for a password and offers TLS where its build can. It
belongs to an unprivileged account even if root starts it, and no account is ever created for that.
"""

from gateway.testing.servers.base import DatabaseServer, ServerKind
from gateway.testing.servers.errors import ServerFailed, ServerUnavailable
from gateway.testing.servers.installation import Installation
from gateway.testing.servers.mariadb import MariaDbServer
from gateway.testing.servers.mongod import MongoServer
from gateway.testing.servers.postgres import PostgresServer
from gateway.testing.servers.process import StopMode

__all__ = [
    "DatabaseServer",
    "Installation",
    "MariaDbServer",
    "MongoServer",
    "PostgresServer",
    "ServerFailed",
    "ServerKind",
    "ServerUnavailable",
    "StopMode",
]
