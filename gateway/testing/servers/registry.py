"""The database products that can be started, by the name of the protocol plugin that speaks to them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gateway.testing.servers.base import ServerKind
from gateway.testing.servers.mariadb import MariaDbServer
from gateway.testing.servers.mongod import MongoServer
from gateway.testing.servers.postgres import PostgresServer

SERVER_KINDS: Mapping[str, ServerKind] = MappingProxyType(
    {server.name: server for server in (PostgresServer, MariaDbServer, MongoServer)}
)
