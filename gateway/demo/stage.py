"""What the demo is played on: the database server, the gateway, three people and their tokens."""

from __future__ import annotations

import secrets
import shutil
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.configuration import configuration
from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import PostgresServer
from gateway.testing.servers.ports import free_ports
from gateway.testing.shop import Shop, create_shop

ANALYST, SUPPORT, AGENT = "ana@example.com", "sam@example.com", "copilot"
DEFAULT_PORT = 6432


@dataclass(frozen=True, slots=True)
class Stage:
    """A running demo. ``tokens`` are the people's passwords."""

    folder: Path
    port: int
    admin_port: int
    shop: Shop
    server: PostgresServer
    gateway: GatewayProcess
    tokens: Mapping[str, str]

    @property
    def data_dir(self) -> Path:
        """The gateway's ``data_dir``."""
        return self.folder / "data"

    @property
    def certificate(self) -> Path:
        """The certificate that the gateway shows."""
        return next(self.data_dir.glob("*.crt"))

    def trust(self) -> ssl.SSLContext:
        """What a careful client connects with."""
        return ssl.create_default_context(cafile=self.certificate)


@contextmanager
def set_up(*, port: int | None = None) -> Iterator[Stage]:
    """Start everything; all of it is gone afterwards. ``port`` None takes the usual one if it is free."""
    folder = Path(tempfile.mkdtemp(prefix="querygate-demo-"))
    try:
        with PostgresServer.start() as server:
            shop = create_shop(server)
            listen, admin = _ports(port)
            tokens = {name: f"qg_{secrets.token_urlsafe(24)}" for name in (ANALYST, SUPPORT, AGENT)}
            config = folder / "querygate.yaml"
            ca = server.ca_path if server.tls else None
            config.write_text(configuration(port=listen, admin_port=admin, database_port=server.port, ca=ca))
            environment = {
                "SHOP_PASSWORD": shop.password,
                "ANA_TOKEN": tokens[ANALYST],
                "SAM_TOKEN": tokens[SUPPORT],
                "COPILOT_TOKEN": tokens[AGENT],
            }
            with GatewayProcess.start(config, ports=(listen,), environment=environment) as gateway:
                yield Stage(folder, listen, admin, shop, server, gateway, tokens)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ports(wanted: int | None) -> tuple[int, int]:
    import socket

    listen, admin = free_ports(2)
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT if wanted is None else wanted))
        except OSError:
            if wanted is not None:
                raise
            return listen, admin
    return (DEFAULT_PORT if wanted is None else wanted), admin
