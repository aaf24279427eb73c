"""What the demo is played on: the database servers, the gateway, three people and their tokens."""

from __future__ import annotations

import secrets
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote_plus

from gateway.demo.configuration import Database, documents, process
from gateway.demo.control import APPROVER, take_over
from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import MariaDbServer, MongoServer, PostgresServer, ServerUnavailable
from gateway.testing.servers.ports import free_ports
from gateway.testing.shop import Shop, create_shop
from gateway.testing.shop_documents import DocumentShop, create_document_shop
from gateway.testing.shop_mariadb import MariaDbShop, create_mariadb_shop

ANALYST, SUPPORT, AGENT = "ana@example.com", "sam@example.com", "copilot"
DEFAULT_PORT = 6432
MARIADB, MONGODB = "shop-mariadb", "shop-mongodb"
"""The resources' names."""

_Server = TypeVar("_Server", MariaDbServer, MongoServer)
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class MariaDbStage:
    """The shop on MariaDB, and the gateway's port for it."""

    shop: MariaDbShop
    port: int

    def client(self, who: str, certificate: Path) -> list[str]:
        """The shell's command line through the gateway, but for the database. The password is for MYSQL_PWD."""
        program = str(self.shop.server.installation.bindir / "mariadb")
        target = ["--no-defaults", "--host=127.0.0.1", f"--port={self.port}", f"--user={who}"]
        return [program, *target, f"--ssl-ca={certificate}", "--ssl-verify-server-cert"]


@dataclass(frozen=True, slots=True)
class MongoStage:
    """The shop on MongoDB, and the gateway's port for it."""

    shop: DocumentShop
    port: int

    def uri(self, who: str, token: str, certificate: Path) -> str:
        """Where a driver or mongosh finds it, through the gateway."""
        return (
            f"mongodb://{quote_plus(f'{who}#{MONGODB}')}:{token}@127.0.0.1:{self.port}/{self.shop.database}"
            f"?authSource=admin&tls=true&tlsCAFile={quote_plus(str(certificate))}"
        )


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
    mariadb: MariaDbStage | None
    mariadb_missing: str
    """Why there is none."""
    mongodb: MongoStage | None
    mongodb_missing: str

    @property
    def data_dir(self) -> Path:
        """The gateway's ``data_dir``."""
        return self.folder / "data"

    @property
    def admin_api(self) -> str:
        """The admin API's address."""
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def documents(self) -> Path:
        """What the gateway decided by at the beginning."""
        return self.folder / "documents.yaml"

    @property
    def session(self) -> Path:
        """The approver's login, for ``$QUERYGATE_SESSION``."""
        return self.folder / "session.json"

    @property
    def certificate(self) -> Path:
        """The certificate that the gateway shows."""
        return next(self.data_dir.glob("*.crt"))

    def trust(self) -> ssl.SSLContext:
        """What a careful client connects with."""
        return ssl.create_default_context(cafile=self.certificate)


@contextmanager
def set_up(*, port: int | None = None, mariadb: bool = True, mongodb: bool = True) -> Iterator[Stage]:
    """Start everything; all of it is gone afterwards. ``port`` None takes the usual one if it is free.

    ``mariadb`` and ``mongodb`` ask for these as well, where they can be had.
    """
    folder = Path(tempfile.mkdtemp(prefix="querygate-demo-"))
    try:
        with ExitStack() as servers:
            server = servers.enter_context(PostgresServer.start())
            shop = create_shop(server)
            second, no_second = _optional(servers, mariadb, MariaDbServer.start, _on_mariadb)
            third, no_third = _optional(servers, mongodb, MongoServer.start, _on_mongodb)
            listen, admin = _ports(port)
            tokens = {name: f"qg_{secrets.token_urlsafe(24)}" for name in (ANALYST, SUPPORT, AGENT)}
            config = folder / "querygate.yaml"
            databases = {"postgres": Database(listen, server.port, server.ca_path if server.tls else None)}
            environment = {
                "SHOP_PASSWORD": shop.password,
                "ANA_TOKEN": tokens[ANALYST],
                "SAM_TOKEN": tokens[SUPPORT],
                "COPILOT_TOKEN": tokens[AGENT],
            }
            if second is not None:
                databases["mysql"] = Database(second.port, second.shop.server.port, second.shop.server.ca_path)
                environment["MARIADB_PASSWORD"] = second.shop.password
            if third is not None:
                databases["mongodb"] = Database(third.port, third.shop.server.port, third.shop.server.ca_path)
                environment["MONGODB_PASSWORD"] = third.shop.password
            config.write_text(process(databases, admin))
            ports = [admin, *(database.listen for database in databases.values())]
            with GatewayProcess.start(config, ports=ports, environment=environment) as gateway:
                stage = Stage(folder, listen, admin, shop, server, gateway, tokens, second, no_second, third, no_third)
                stage.documents.write_text(documents(databases, APPROVER))
                take_over(stage.admin_api, stage.data_dir, stage.documents, stage.session)
                yield stage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _optional(
    servers: ExitStack, wanted: bool, start: Callable[[], _Server], make: Callable[[_Server, int], _Made]
) -> tuple[_Made | None, str]:
    """Another database with a port of the gateway's for it, or why there is none: the demo goes on without."""
    if not wanted:
        return None, "it was not asked for"
    try:
        server = servers.enter_context(start())
    except ServerUnavailable as error:
        return None, str(error)
    (port,) = free_ports(1)
    return make(server, port), ""


def _on_mariadb(server: MariaDbServer, port: int) -> MariaDbStage:
    return MariaDbStage(create_mariadb_shop(server), port)


def _on_mongodb(server: MongoServer, port: int) -> MongoStage:
    return MongoStage(create_document_shop(server), port)


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
