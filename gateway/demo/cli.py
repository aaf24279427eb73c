"""``querygate demo``."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.demo.stage import Stage
    from gateway.testing.servers import PostgresServer

_QUESTION = "SELECT full_name, email, card_number FROM customers LIMIT 3"
_CHANGE = "ALTER TABLE products ADD COLUMN note text"


def demo(
    tour: Annotated[bool, typer.Option("--tour", help="Tell the story with a real driver, check it, and end.")] = False,
    port: Annotated[
        int | None, typer.Option(help="The gateway's port; 6432 if it is free.", show_default=False)
    ] = None,
    mariadb: Annotated[
        bool, typer.Option("--mariadb/--no-mariadb", help="Put the shop on a MariaDB, too, where one can be had.")
    ] = True,
    mongodb: Annotated[
        bool, typer.Option("--mongodb/--no-mongodb", help="And on a MongoDB, where one can be had.")
    ] = True,
) -> None:
    """Start real databases (PostgreSQL, MariaDB, MongoDB) with a small shop and a gateway, and say how to connect.

    Everything runs on this machine, in a temporary folder, and is gone after Ctrl-C.

    Examples:

        querygate demo

        querygate demo --tour

        querygate demo --no-mariadb --no-mongodb
    """
    try:
        from gateway.client.session import VARIABLE
        from gateway.demo.stage import AGENT, ANALYST, MARIADB, SUPPORT, set_up
        from gateway.demo.tour import play
        from gateway.testing.servers import ServerUnavailable
    except ImportError as error:
        raise ConfigurationError(f"the demo needs more packages: pip install 'querygate[demo]' ({error})") from error
    console = Console()
    others = f"{', MariaDB' if mariadb else ''}{', MongoDB' if mongodb else ''}"
    console.print(f"Starting PostgreSQL{others}, the shop and the gateway …")
    try:
        with set_up(port=port, mariadb=mariadb, mongodb=mongodb) as stage:
            if tour:
                raise typer.Exit(play(stage, console))
            console.print(f"\nThe gateway listens on 127.0.0.1:{stage.port}. Try, in another terminal:\n")
            for who, what in (
                (ANALYST, "an analyst: personal data is masked"),
                (SUPPORT, "support: sees e-mails, and the last four digits of a card"),
                (AGENT, "an AI agent that acts for the analyst: may only read, and sees no more than she does"),
            ):
                console.print(f"[bold]# {what}[/]", highlight=False, soft_wrap=True)
                console.print(_asked(stage, who, _QUESTION) + "\n", highlight=False, soft_wrap=True)
            if stage.mariadb is not None:
                console.print("[bold]# the same shop on MariaDB, under the same policies[/]", highlight=False)
                client = shlex.join(stage.mariadb.client(ANALYST, stage.certificate))
                command = f'MYSQL_PWD={stage.tokens[ANALYST]} {client} -e "{_QUESTION}" {MARIADB}\n'
                console.print(command, highlight=False, soft_wrap=True)
            elif mariadb:
                console.print(f"[yellow]MariaDB is left out: {stage.mariadb_missing}[/]\n", highlight=False)
            if stage.mongodb is not None:
                console.print("[bold]# and as documents on MongoDB[/]", highlight=False)
                uri = stage.mongodb.uri(ANALYST, stage.tokens[ANALYST], stage.certificate)
                command = f'mongosh "{uri}" --quiet --eval "db.customers.find().limit(1)"\n'
                console.print(command, highlight=False, soft_wrap=True)
            elif mongodb:
                console.print(f"[yellow]MongoDB is left out: {stage.mongodb_missing}[/]\n", highlight=False)
            ours = _own_program()
            console.print(
                "[bold]# a schema change waits for a human: the session is told a request's id …[/]", highlight=False
            )
            console.print(_asked(stage, SUPPORT, _CHANGE) + "\n", highlight=False, soft_wrap=True)
            console.print(
                "[bold]# … and goes on when, in a third terminal, somebody of the group dba says yes[/]",
                highlight=False,
            )
            console.print(f"export {VARIABLE}={stage.session}", highlight=False, soft_wrap=True)
            console.print(f"{ours} approvals list", highlight=False, soft_wrap=True)
            console.print(f'{ours} approvals approve ID --reason "reviewed"\n', highlight=False, soft_wrap=True)
            console.print("[bold]# what happened, and the proof of it[/]", highlight=False)
            console.print(f"{ours} audit tail --follow --data-dir {stage.data_dir}", highlight=False, soft_wrap=True)
            console.print(f"{ours} audit verify --data-dir {stage.data_dir}\n", highlight=False, soft_wrap=True)
            console.print(f"Configuration: {stage.folder / 'querygate.yaml'}", highlight=False, soft_wrap=True)
            console.print(f"Policies:      {stage.documents}", highlight=False, soft_wrap=True)
            console.print(f"Admin API:     {stage.admin_api}/docs", highlight=False)
            console.print("\nCtrl-C ends it all.")
            _wait()
            console.print("\nStopping …")
    except ServerUnavailable as error:
        raise ConfigurationError(str(error)) from error


def _asked(stage: Stage, who: str, question: str) -> str:
    """psql's command line for somebody's question."""
    target = f"host=127.0.0.1 port={stage.port} user={who} dbname=shop-prod"
    verify = f"sslmode=verify-full sslrootcert={stage.certificate}"
    return f'PGPASSWORD={stage.tokens[who]} {_psql(stage.server)} "{target} {verify}" -c "{question}"'


def _psql(server: PostgresServer) -> str:
    """psql as a shell on this machine starts it: the installed one, or that of the demo's own server."""
    own = server.bindir / "psql"
    if shutil.which("psql") is not None or not own.exists():
        return "psql"
    libraries = server.installation.library_path
    needed = () if libraries is None else (f"LD_LIBRARY_PATH={shlex.quote(str(libraries))}",)
    return " ".join((*needed, shlex.quote(str(own))))


def _own_program() -> str:
    """This program as a shell starts it: an environment that is not activated is not on the path."""
    if shutil.which("querygate") is not None:
        return "querygate"
    program = Path(sys.executable).with_name("querygate")
    here = Path.cwd()
    return shlex.quote(str(program.relative_to(here) if program.is_relative_to(here) else program))


def _wait() -> None:
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
