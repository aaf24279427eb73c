"""``querygate admin``: the store and its administrators from the machine that the store's key is on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from admin_api.db import Database
    from gateway.config import Config

# Commands import what they need when they run, so that `--help` answers at once.

admin_app = typer.Typer(
    help="Look after the control plane's store and its administrators.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file.", envvar="QUERYGATE_CONFIG", dir_okay=False)
]
DEFAULT_CONFIG = Path("querygate.yaml")


@admin_app.command()
def migrate(
    config: ConfigOption = DEFAULT_CONFIG,
    to: Annotated[str, typer.Option(help="The revision to bring the tables to.")] = "head",
    check: Annotated[bool, typer.Option("--check", help="Only say whether there is something to do.")] = False,
) -> None:
    """Bring the store's tables to this version.

    An embedded store (SQLite) is brought up to date by `querygate serve` itself; one in PostgreSQL only by this.
    Exits with 1 where `--check` finds something to do.

    Examples:

        querygate admin migrate --config querygate.yaml

        querygate admin migrate --check
    """
    from admin_api.migrate import current, newest, upgrade

    async def run(database: Database, _: Config) -> tuple[str | None, str | None]:
        before = await current(database)
        if not check:
            await upgrade(database, to)
        return before, await current(database)

    before, after = _with_store(config, run)
    if check and after != newest():
        Console().print(f"the tables are at {after or 'nothing'}, this version wants {newest()}", highlight=False)
        raise typer.Exit(1)
    done = "are up to date" if before == after else f"went from {before or 'nothing'} to {after}"
    Console().print(f"[green]ok:[/] the tables {done}", highlight=False)


@admin_app.command()
def create(
    name: Annotated[str, typer.Argument(help="The administrator's name.")],
    config: ConfigOption = DEFAULT_CONFIG,
    role: Annotated[list[str] | None, typer.Option(help="A role; several times for several. Default: owner.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of approvers; several times for several.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Make an administrator, without the API: for the first one, or where nobody can log in any more.

    The password is asked for, or read from standard input. Roles: viewer, auditor, approver, policy-admin, owner.

    Examples:

        querygate admin create root

        pass show querygate | querygate admin create ci --role policy-admin --password-stdin
    """
    from pydantic import ValidationError

    from admin_api.admins.models import AdminIn
    from admin_api.admins.offline import create_offline
    from gateway.config.shape import shape_problems

    password = (
        sys.stdin.readline().rstrip("\r\n")
        if password_stdin
        else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    try:
        wanted = AdminIn.model_validate(
            {"name": name, "password": password, "roles": role or ["owner"], "groups": group or []}
        )
    except ValidationError as error:
        lines = [problem.render() for problem in shape_problems(error, AdminIn)]
        raise ConfigurationError("\n".join(lines)) from None

    async def run(database: Database, settings: Config) -> None:
        await create_offline(database, settings, wanted)

    _with_store(config, run)
    Console().print(f"[green]ok:[/] {escape(name)} may log in", highlight=False)


T = TypeVar("T")


def _with_store(path: Path, run: Callable[[Database, Config], Awaitable[T]]) -> T:
    from admin_api.setup import open_database
    from gateway.config import load_config

    config = load_config(path, environ=os.environ)
    if config.control_plane is None:
        raise ConfigurationError(f"{path}: there is no control_plane, so there is no store")
    database = open_database(config, config.control_plane)

    async def story() -> T:
        try:
            return await run(database, config)
        finally:
            await database.close()

    return asyncio.run(story())
