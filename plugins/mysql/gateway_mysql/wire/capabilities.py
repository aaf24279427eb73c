"""Capability flags (page "Capabilities Flags"), and what the gateway promises to each side.

The lower 32 bits are everybody's; the upper 32 are MariaDB's extended capabilities, which travel in bytes that MySQL
leaves empty, and count only where ``LONG_PASSWORD`` (to MariaDB: "I am MySQL") is not set.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final


class Capability(IntFlag):
    """What a side can do."""

    LONG_PASSWORD = 1
    FOUND_ROWS = 1 << 1
    LONG_FLAG = 1 << 2
    CONNECT_WITH_DB = 1 << 3
    NO_SCHEMA = 1 << 4
    COMPRESS = 1 << 5
    ODBC = 1 << 6
    LOCAL_FILES = 1 << 7
    IGNORE_SPACE = 1 << 8
    PROTOCOL_41 = 1 << 9
    INTERACTIVE = 1 << 10
    SSL = 1 << 11
    IGNORE_SIGPIPE = 1 << 12
    TRANSACTIONS = 1 << 13
    RESERVED = 1 << 14
    SECURE_CONNECTION = 1 << 15
    MULTI_STATEMENTS = 1 << 16
    MULTI_RESULTS = 1 << 17
    PS_MULTI_RESULTS = 1 << 18
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRS = 1 << 20
    PLUGIN_AUTH_LENENC = 1 << 21
    CAN_HANDLE_EXPIRED_PASSWORDS = 1 << 22
    SESSION_TRACK = 1 << 23
    DEPRECATE_EOF = 1 << 24
    OPTIONAL_METADATA = 1 << 25
    ZSTD = 1 << 26
    QUERY_ATTRIBUTES = 1 << 27
    MULTI_FACTOR = 1 << 28
    SSL_VERIFY_SERVER_CERT = 1 << 30
    REMEMBER_OPTIONS = 1 << 31
    MARIADB_PROGRESS = 1 << 32
    MARIADB_COM_MULTI = 1 << 33
    MARIADB_BULK = 1 << 34
    MARIADB_EXTENDED_METADATA = 1 << 35
    MARIADB_CACHE_METADATA = 1 << 36
    MARIADB_BULK_UNIT_RESULTS = 1 << 37


C = Capability
NONE: Final = Capability(0)

NEEDED: Final = C.PROTOCOL_41 | C.SECURE_CONNECTION | C.PLUGIN_AUTH
"""What both sides must be able to do."""

RELAYED: Final = (
    C.FOUND_ROWS
    | C.LONG_FLAG
    | C.ODBC
    | C.IGNORE_SPACE
    | C.INTERACTIVE
    | C.TRANSACTIONS
    | C.MULTI_STATEMENTS
    | C.MULTI_RESULTS
    | C.PS_MULTI_RESULTS
    | C.SESSION_TRACK
    | C.DEPRECATE_EOF
)
"""What the client gets from the server itself: asked of the server exactly where the client asked for it."""

MARIADB_RELAYED: Final = C.MARIADB_BULK | C.MARIADB_EXTENDED_METADATA
"""The same among MariaDB's own. Progress reports come in the middle of answers and caching leaves descriptions out
that masking needs, so neither is promised."""

OWN: Final = (
    NEEDED
    | C.CONNECT_WITH_DB
    | C.PLUGIN_AUTH_LENENC
    | C.CONNECT_ATTRS
    | C.COMPRESS
    | C.ZSTD
    | C.QUERY_ATTRIBUTES
    | C.IGNORE_SIGPIPE
    | C.RESERVED
    | C.CAN_HANDLE_EXPIRED_PASSWORDS
)
"""What the gateway gives the client itself, whatever the server can do. LOCAL_FILES is not among it: a server may ask
a client that allows it for any file."""


def offered(server: Capability | None, *, tls: bool) -> Capability:
    """What the greeting promises a client; ``server`` is what all databases behind it can do (None: not known yet).

    Every server since MySQL 5.7 and MariaDB 10.2 has all of ``RELAYED``.
    """
    promise = OWN | RELAYED
    if server is None:
        promise |= C.LONG_PASSWORD
    else:
        promise &= ~RELAYED | (server & RELAYED)
        promise |= server & (C.LONG_PASSWORD | MARIADB_RELAYED)
    return promise | C.SSL if tls else promise


def asked(client: Capability, *, tls: bool, compress: Capability = NONE) -> Capability:
    """What the server is asked for on behalf of a client."""
    wanted = NEEDED | C.PLUGIN_AUTH_LENENC | C.CONNECT_ATTRS | C.CONNECT_WITH_DB | C.TRANSACTIONS | C.LONG_FLAG
    wanted |= client & (RELAYED | MARIADB_RELAYED | C.QUERY_ATTRIBUTES) | compress
    if not client & MARIADB_RELAYED:
        wanted |= C.LONG_PASSWORD
    return wanted | C.SSL if tls else wanted
