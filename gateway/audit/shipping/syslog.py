"""``type: syslog``: RFC 5424 messages over TCP or TLS with octet counting (RFC 5425, RFC 6587).

Syslog has no acknowledgement: what was written into a connection that then breaks may be lost. So after a break the
batch before the failed one is sent again, too, which makes "at least once" true as far as TCP lets a sender know.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Self

from gateway.audit.shipping.forms import Place, syslog
from gateway.audit.shipping.options import Options
from gateway.audit.shipping.shorten import shortened
from gateway.errors import AuditError

_HEADER: Final = 512
"""Bytes kept for what stands before the event: 400 at most."""


class SyslogSink:
    """Options: ``host``, ``port`` (6514), ``tls`` (true), ``ca``, ``certificate``, ``key``, ``timeout``, ``max_event``
    and ``service``.

    Without ``ca`` the system's authorities are trusted; ``certificate`` and ``key`` are the client's own. ``max_event``
    (8KiB) is what a message may be long: rsyslog's own limit, behind which it cuts without a word.
    """

    spooled: ClassVar[bool] = True

    def __init__(self, options: Options) -> None:
        self._host = options.text("host")
        self._port = options.number("port", 6514)
        self._tls = options.flag("tls", True)
        self._ca, self._certificate, self._key = options.path("ca"), options.path("certificate"), options.path("key")
        self._timeout = options.seconds("timeout", 10.0)
        self._most = options.size("max_event", 8 * 1024, least=2048) - _HEADER
        self._place = Place(socket.gethostname(), options.text("service", "querygate"))
        options.done()
        self._connection: socket.socket | None = None
        self._before: bytes = b""

    @classmethod
    def from_options(cls, options: Mapping[str, object], data_dir: Path) -> Self:
        """Raises ``ConfigurationError``."""
        return cls(Options(options, data_dir))

    def write(self, lines: Sequence[bytes]) -> None:
        """Send a batch. Raises ``AuditError`` where the connection does not take it."""
        data = b"".join(syslog(shortened(line, self._most), self._place, os.getpid()) for line in lines)
        try:
            if self._connection is None:
                self._connection = self._connect()
                if self._before:
                    self._connection.sendall(self._before)
            elif self._hung_up():
                raise ConnectionResetError("the receiver hung up")
            self._connection.sendall(data)
        except (OSError, ssl.SSLError) as error:
            self.close()
            raise AuditError(f"syslog {self._host}:{self._port}: {error}") from error
        self._before = data

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _hung_up(self) -> bool:
        """Whether the receiver has closed its side: it never says anything otherwise."""
        connection = self._connection
        if connection is None:
            return True
        connection.setblocking(False)
        try:
            return connection.recv(1) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            connection.settimeout(self._timeout)

    def _connect(self) -> socket.socket:
        plain = socket.create_connection((self._host, self._port), timeout=self._timeout)
        if not self._tls:
            return plain
        try:
            return self._context().wrap_socket(plain, server_hostname=self._host)
        except (OSError, ssl.SSLError):
            plain.close()
            raise

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=None if self._ca is None else str(self._ca))
            if self._certificate is not None:
                context.load_cert_chain(self._certificate, self._key)
        except OSError as error:  # which does not say which file
            files = " ".join(str(path) for path in (self._ca, self._certificate, self._key) if path is not None)
            raise OSError(f"{files}: {error}") from error
        return context
