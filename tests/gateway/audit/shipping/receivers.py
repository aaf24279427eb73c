"""Receivers that are really there: an HTTP server that can be made to fail, and a syslog server over TCP or TLS."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    """What came in, unpacked."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpReceiver:
    """``judge`` says what a request is answered with; ``requests`` is what it took (answered with 2xx)."""

    url: str = ""
    status: int = 200
    """What everything is answered with, unless ``judge`` is another one."""
    judge: Callable[[Request], int] | None = None
    answer: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    refused: int = 0

    def lines(self) -> list[bytes]:
        """Everything that was taken, as JSON lines."""
        return b"".join(request.body for request in self.requests).splitlines(keepends=True)


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    """As long as the context lasts."""
    receiver = HttpReceiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            status = receiver.status if receiver.judge is None else receiver.judge(request)
            if status < 300:
                receiver.requests.append(request)
            else:
                receiver.refused += 1
            self.send_response(status)
            self.send_header("Content-Length", str(len(receiver.answer)))
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class SyslogReceiver:
    """Messages without their sizes. ``hang_up`` closes the present connections."""

    port: int = 0
    messages: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    def hang_up(self) -> None:
        """Close what is open; the port stays."""
        while self.connections:
            connection = self.connections.pop()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@contextmanager
def syslog_receiver(context: ssl.SSLContext | None = None) -> Iterator[SyslogReceiver]:
    """A server of octet-counted messages."""
    receiver = SyslogReceiver()
    listener = socket.create_server(("127.0.0.1", 0))
    receiver.port = listener.getsockname()[1]

    def serve(connection: socket.socket) -> None:
        try:
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            receiver.connections.append(connection)
            data = b""
            while chunk := connection.recv(65536):
                data += chunk
                while (space := data.find(b" ")) > 0 and len(data) >= space + 1 + int(data[:space]):
                    end = space + 1 + int(data[:space])
                    receiver.messages.append(data[space + 1 : end])
                    data = data[end:]
        except OSError:
            pass
        finally:
            connection.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        listener.close()
        receiver.hang_up()
