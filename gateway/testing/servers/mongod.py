"""MongoDB for tests and for the demo: one server, or a replica set, with authentication and TLS."""

from __future__ import annotations

import secrets
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote_plus

import pymongo
from pymongo.errors import PyMongoError

from gateway.testing.servers.account import Account, server_account
from gateway.testing.servers.certificates import CertificateFiles, write_certificates
from gateway.testing.servers.errors import ServerFailed, ServerUnavailable
from gateway.testing.servers.installation import Installation, choose
from gateway.testing.servers.mongod_finder import mongod_sources
from gateway.testing.servers.places import temporary_folder
from gateway.testing.servers.ports import free_port
from gateway.testing.servers.process import Program, ServerProcess, StopMode, log_tail

SUPERUSER = "root"
X509_USER = "CN=gateway"
"""The name under which the client certificate logs in (database ``$external``)."""
_SIGNALS = {
    StopMode.SMART: signal.SIGTERM,
    StopMode.FAST: signal.SIGTERM,
    StopMode.IMMEDIATE: signal.SIGKILL,
}
_START_SECONDS = 30.0
_ELECTION_SECONDS = 30.0
_PORT_ATTEMPTS = 5
_SETTINGS: Mapping[str, str] = {
    "diagnosticDataCollectionEnabled": "false",
    "ttlMonitorSleepSecs": "3600",
}
_ELECTION = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}


class Member:
    """One mongod of a server. Addressed by its port."""

    host = "127.0.0.1"

    def __init__(self, installation: Installation, account: Account, directory: Path, options: list[str]) -> None:
        self.port = 0
        self.log_path = directory / "server.log"
        self._installation = installation
        self._account = account
        self._directory = directory
        self._options = options
        self._process: ServerProcess | None = None

    @property
    def address(self) -> str:
        """``host:port``, as the replica set's configuration names it."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None:
            raise ServerFailed("the server is stopped")
        return self._process.pid

    def launch_on_free_port(self, *, remove_if_orphaned: Path | None) -> None:
        """Choose a port and start; another one if somebody was faster."""
        for attempt in range(_PORT_ATTEMPTS):
            self.port = free_port()
            try:
                return self.launch(remove_if_orphaned=remove_if_orphaned)
            except ServerFailed as error:
                if attempt == _PORT_ATTEMPTS - 1 or "Address already in use" not in str(error):
                    raise
        return None

    def launch(self, *, remove_if_orphaned: Path | None = None) -> None:
        """Start on the known port and wait until it takes connections."""
        start_of_log = self.log_path.stat().st_size if self.log_path.exists() else 0
        program = Program(
            command=(
                str(self._installation.bindir / "mongod"),
                "--dbpath",
                str(self._directory / "data"),
                "--port",
                str(self.port),
                *self._options,
            ),
            environment=self._installation.environment(),
            log=self.log_path,
            pid_file=self._directory / "server.pid",
            signals=_SIGNALS,
            remove_if_orphaned=remove_if_orphaned,
        )
        process = ServerProcess(program, self._account)
        deadline = time.monotonic() + _START_SECONDS
        while not self._says_waiting(start_of_log):
            if not process.running():
                raise ServerFailed(f"mongod ended at its start with status {process.wait()}\n{log_tail(self.log_path)}")
            if time.monotonic() > deadline:
                process.kill()
                raise ServerFailed(f"mongod was not ready in {_START_SECONDS:g} s\n{log_tail(self.log_path)}")
            time.sleep(0.01)
        self._process = process

    def _says_waiting(self, start: int) -> bool:
        with self.log_path.open("rb") as log:
            log.seek(start)
            return b'"Waiting for connections"' in log.read()

    def running(self) -> bool:
        """Whether the process exists."""
        return self._process is not None and self._process.running()

    def stop(self, mode: StopMode = StopMode.FAST) -> None:
        """Stop and wait for the end."""
        if self._process is not None:
            self._process.stop(mode)
            self._process = None

    def kill(self) -> None:
        """End it by SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process = None


class MongoServer:
    """mongod on 127.0.0.1 with SCRAM and, where the build can, TLS. A context manager.

    ``members`` 0 is a standalone server, 1 or more a replica set (named ``rs``, authenticated by key file).
    Connections without TLS are accepted too. The server ends with the process that started it.
    """

    name = "mongodb"
    host = "127.0.0.1"
    superuser = SUPERUSER

    def __init__(
        self,
        installation: Installation,
        directory: Path,
        members: list[Member],
        *,
        temporary: bool,
        replica_set: str | None,
        password: str,
        certificates: CertificateFiles | None,
    ) -> None:
        self.installation = installation
        self.directory = directory
        self.members = members
        self.replica_set = replica_set
        self.password = password
        self._temporary = temporary
        self._certificates = certificates

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
        place = temporary_folder(account, "querygate-mongod-") if directory is None else directory.absolute()
        server: Self | None = None
        try:
            place.mkdir(parents=True, exist_ok=True)
            if not account.can_enter(place):
                raise ServerUnavailable(f"the account {account.name} cannot enter {place}; choose another folder")
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
                _member(installation, account, place / f"member{number}", options) for number in range(members or 1)
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
            for member in made:
                member.launch_on_free_port(remove_if_orphaned=place if temporary and member is made[0] else None)
            server._initialise()
        except BaseException:
            if server is not None:
                for member in server.members:
                    member.kill()
            if temporary:
                shutil.rmtree(place, ignore_errors=True)
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
    def port(self) -> int:
        """The first member's port."""
        return self.members[0].port

    @property
    def version(self) -> int:
        """The major version."""
        return self.installation.version[0]

    @property
    def tls(self) -> bool:
        """Whether the server offers TLS."""
        return self._certificates is not None

    @property
    def ca_path(self) -> Path | None:
        """The authority behind the server's certificate (for ``localhost`` and ``127.0.0.1``); None without TLS."""
        return self._certificates.ca if self._certificates is not None else None

    @property
    def client_certificate(self) -> Path | None:
        """A PEM file with certificate and key that logs in as ``X509_USER``; None without TLS."""
        return self._certificates.client if self._certificates is not None else None

    @property
    def pid(self) -> int:
        """The first member's process id."""
        return self.members[0].pid

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

    def primary(self) -> Member:
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

    def running(self) -> bool:
        """Whether every member's process exists."""
        return all(member.running() for member in self.members)

    def stop(self, mode: StopMode | str = StopMode.FAST) -> None:
        """Stop all members and wait for their end. The data stays until the context is left."""
        for member in self.members:
            member.stop(StopMode(mode))

    def kill(self) -> None:
        """End all members by SIGKILL, as a power cut would."""
        for member in self.members:
            member.kill()

    def restart(self) -> None:
        """Stop what runs, and start all members on the same ports and data."""
        self.stop()
        for member in self.members:
            member.launch()
        if self.replica_set is not None:
            self.primary()

    def log(self) -> str:
        """All that the members logged."""
        return "".join(
            member.log_path.read_text(errors="replace") for member in self.members if member.log_path.exists()
        )

    def close(self) -> None:
        """Stop the server, quickly if its data is temporary, and remove temporary data."""
        self.stop(StopMode.IMMEDIATE if self._temporary else StopMode.FAST)
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _member(installation: Installation, account: Account, directory: Path, options: list[str]) -> Member:
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o711)
    account.own(data)
    return Member(installation, account, directory, options)


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
