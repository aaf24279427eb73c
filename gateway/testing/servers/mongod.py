"""MongoDB for tests and for the demo: one server, or a replica set, with authentication and TLS."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote_plus

import pymongo
from pymongo.errors import PyMongoError
from typing_extensions import override

from gateway.testing.servers.account import Account, server_account
from gateway.testing.servers.certificates import CertificateFiles, write_certificates
from gateway.testing.servers.daemon import Daemon, Product
from gateway.testing.servers.errors import ServerFailed
from gateway.testing.servers.installation import Installation, choose
from gateway.testing.servers.local import LocalServer
from gateway.testing.servers.mongod_finder import mongod_sources
from gateway.testing.servers.places import server_folder
from gateway.testing.servers.process import StopMode

SUPERUSER = "root"
X509_USER = "CN=gateway"
"""The name under which the client certificate logs in (database ``$external``)."""
_PRODUCT = Product(
    "mongod",
    {StopMode.SMART: signal.SIGTERM, StopMode.FAST: signal.SIGTERM, StopMode.IMMEDIATE: signal.SIGKILL},
    port_taken="Address already in use",
)
_READY = b'"Waiting for connections"'
_ELECTION_SECONDS = 30.0
_SETTINGS: Mapping[str, str] = {
    "diagnosticDataCollectionEnabled": "false",
    "ttlMonitorSleepSecs": "3600",
}
_ELECTION = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}


class MongoServer(LocalServer):
    """mongod on 127.0.0.1 with SCRAM and, where the build can, TLS. A context manager.

    ``members`` 0 is a standalone server, 1 or more a replica set (named ``rs``, authenticated by key file).
    Connections without TLS are accepted too. The server ends with the process that started it.
    """

    name = "mongodb"
    superuser = SUPERUSER

    def __init__(
        self,
        installation: Installation,
        directory: Path,
        members: list[Daemon],
        *,
        temporary: bool,
        replica_set: str | None,
        password: str,
        certificates: CertificateFiles | None,
    ) -> None:
        super().__init__(
            installation, directory, members, temporary=temporary, password=password, certificates=certificates
        )
        self.members = members
        self.replica_set = replica_set

    @classmethod
    def find(cls, *, tls: bool | None = None, version: int | None = None) -> Installation:
        """The installation that ``start`` would use; ``ServerUnavailable`` names what is missing and how to get it."""
        return choose("MongoDB", mongod_sources(_account()), tls=tls, version=version)

    @classmethod
    def start(
        cls,
        directory: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        tls: bool | None = None,
        version: int | None = None,
        members: int = 0,
    ) -> Self:
        """Start in a temporary folder, or in ``directory``, whose data then stays.

        ``settings`` become ``--setParameter`` options. ``tls`` None takes TLS if the build has it, True insists, False
        goes without. Raises ``ServerUnavailable`` or ``ServerFailed``.
        """
        account = _account()
        installation = cls.find(tls=tls, version=version)
        temporary = directory is None
        with server_folder(directory, account, "querygate-mongod-") as place:
            key_file = place / "key"
            key_file.touch(mode=0o600)
            key_file.write_text(secrets.token_hex(64))
            certificates = _certificates(place, account) if installation.tls and tls is not False else None
            options = ["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"]
            options += ["--keyFile", str(key_file), "--oplogSize", "128"] if members else ["--auth"]
            account.own(key_file)
            if members:
                options += ["--replSet", "rs"]
            if certificates is not None:
                # "allow": members talk to each other without, since their certificate is a server's only.
                options += ["--tlsMode", "allowTLS", "--tlsCertificateKeyFile", str(place / "server.pem")]
                options += ["--tlsCAFile", str(certificates.ca), "--tlsAllowConnectionsWithoutCertificates"]
            for name, value in (dict(_SETTINGS) | dict(settings or {})).items():
                options += ["--setParameter", f"{name}={value}"]
            made = [
                _member(
                    installation,
                    account,
                    place / f"member{number}",
                    options,
                    remove_if_orphaned=place if temporary and number == 0 else None,
                )
                for number in range(members or 1)
            ]
            server = cls(
                installation,
                place,
                made,
                temporary=temporary,
                replica_set="rs" if members else None,
                password=secrets.token_urlsafe(18),
                certificates=certificates,
            )
            try:
                for member in made:
                    member.start_on_free_port()
                server._initialise()
            except BaseException:
                server.kill()
                raise
            return server

    def _initialise(self) -> None:
        """Make the replica set and the first user, for which mongod makes an exception on loopback."""
        first = self.members[0]
        lone: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            self.host, first.port, directConnection=True, serverSelectionTimeoutMS=10_000
        )
        with lone as client:
            if self.replica_set is not None:
                config = {
                    "_id": self.replica_set,
                    "members": [
                        # The first member is the one that everybody wants, so that tests know who begins.
                        {"_id": number, "host": member.address, "priority": 2 if number == 0 else 1}
                        for number, member in enumerate(self.members)
                    ],
                    "settings": _ELECTION,
                }
                client.admin.command("replSetInitiate", config)
                _wait(lambda: bool(client.admin.command("hello").get("isWritablePrimary")), "a primary")
            client.admin.command("createUser", SUPERUSER, pwd=self.password, roles=["root"])
        if self._certificates is not None:
            with self.client() as client:
                roles = [{"role": "root", "db": "admin"}]
                client["$external"].command("createUser", X509_USER, roles=roles)
        if len(self.members) > 1:
            with self.client() as client:
                _wait(lambda: _all_secondaries(client), "the other members")

    @property
    def version(self) -> int:
        """The major version."""
        return self.installation.version[0]

    @property
    def client_certificate(self) -> Path | None:
        """A PEM file with certificate and key that logs in as ``X509_USER``; None without TLS."""
        return self._certificates.client if self._certificates is not None else None

    def uri(self, user: str | None = None, password: str | None = None, *, database: str = "") -> str:
        """A connection string for all members, authenticating against ``admin``."""
        name, secret = quote_plus(user or self.superuser), quote_plus(self.password if password is None else password)
        hosts = ",".join(member.address for member in self.members)
        options = "authSource=admin" + (f"&replicaSet={self.replica_set}" if self.replica_set else "")
        return f"mongodb://{name}:{secret}@{hosts}/{database}?{options}"

    def client(self, **options: Any) -> pymongo.MongoClient[dict[str, Any]]:
        """A client of the superuser's. Close it."""
        return pymongo.MongoClient(self.uri(), **({"serverSelectionTimeoutMS": 20_000} | options))

    def create_database(self, name: str) -> None:
        """Make an empty collection ``_made``: that makes a database. One of that name is dropped before."""
        with self.client() as client:
            client.drop_database(name)
            client[name].create_collection("_made")

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists."""
        with self.client() as client:
            client.drop_database(name)

    def create_user(self, name: str, password: str, roles: list[Any] | None = None) -> None:
        """Create a user in ``admin``, or give an existing one this password and these roles (default: ``root``)."""
        with self.client() as client:
            known = client.admin.command("usersInfo", name)["users"]
            verb = "updateUser" if known else "createUser"
            client.admin.command(verb, name, pwd=password, roles=["root"] if roles is None else roles)

    def primary(self) -> Daemon:
        """The member that takes writes now; waits for an election."""
        with self.client() as client:
            _wait(lambda: client.primary is not None or self.replica_set is None, "a primary")
            address = client.primary
        if address is None:
            return self.members[0]
        return next(member for member in self.members if member.port == address[1])

    def step_down(self, seconds: int = 12) -> None:
        """Have the primary give up and another member take over; returns when there is a new one.

        The old one stands for no election in the next ``seconds``.
        """
        old = self.primary()

        def given_up() -> bool:
            with self.client() as client:
                client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=max(1, seconds - 2))
            return True

        _wait(given_up, "a secondary that has caught up")
        _wait(lambda: self.primary() is not old, "another primary")

    @override
    def restart(self, mode: StopMode | str = StopMode.FAST) -> None:
        """Stop what runs, start all members on the same ports and data, and wait for a primary."""
        super().restart(mode)
        if self.replica_set is not None:
            self.primary()


def _member(
    installation: Installation,
    account: Account,
    directory: Path,
    options: list[str],
    *,
    remove_if_orphaned: Path | None,
) -> Daemon:
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o711)
    account.own(data)
    command = (str(installation.bindir / "mongod"), "--dbpath", str(data), *options)
    return Daemon(
        _PRODUCT,
        installation,
        account,
        directory,
        prepare=lambda port: (*command, "--port", str(port)),
        ready=lambda _, said: _READY in said,
        remove_if_orphaned=remove_if_orphaned,
    )


def _certificates(place: Path, account: Account) -> CertificateFiles:
    """What mongod wants: certificate and key in one file."""
    certificates = write_certificates(place, client="gateway")
    both = place / "server.pem"
    both.touch(mode=0o600)
    both.write_bytes(certificates.certificate.read_bytes() + certificates.key.read_bytes())
    account.own(both)
    return certificates


def _all_secondaries(client: pymongo.MongoClient[dict[str, Any]]) -> bool:
    status = client.admin.command("replSetGetStatus")
    return all(member["stateStr"] in ("PRIMARY", "SECONDARY") for member in status["members"])


def _wait(ready: Any, what: str) -> None:
    deadline = time.monotonic() + _ELECTION_SECONDS
    while True:
        try:
            if ready():
                return
        except PyMongoError:
            pass  # elections close connections
        if time.monotonic() > deadline:
            raise ServerFailed(f"waited {_ELECTION_SECONDS:g} s for {what}")
        time.sleep(0.05)


def _account() -> Account:
    return server_account("mongodb", "nobody")
