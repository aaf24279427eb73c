"""``querygate token``: issue, list and revoke access tokens, at an admin API or on the gateway's own machine.

Without ``--config`` the admin API is asked that the user is logged in to (``querygate login``); with it, or without a
login, the gateway's own folder is changed: the running gateway follows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.client.tokens import TokenDesk

token_app = typer.Typer(
    help="Issue, list and revoke access tokens.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

DEFAULT_CONFIG = Path("querygate.yaml")
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file of a gateway on this machine; left out: the admin API, where you are logged in.",
        envvar="QUERYGATE_CONFIG",
        dir_okay=False,
    ),
]


@contextmanager
def token_desk(config: Path | None) -> Iterator[TokenDesk]:
    """Where tokens are issued: see the module's text."""
    from gateway.client.cli import logged_in, open_client
    from gateway.client.tokens import ApiTokens, LocalTokens, local_config

    if config is None and logged_in():
        with open_client() as client:
            yield ApiTokens(client)
    else:
        yield LocalTokens(local_config(config or DEFAULT_CONFIG))


@token_app.command()
def create(
    principal: Annotated[
        str | None,
        typer.Option("--principal", "-p", help="Whom it is for; left out: you, where you are logged in."),
    ] = None,
    config: ConfigOption = None,
    resource: Annotated[
        list[str] | None, typer.Option("--resource", "-r", help="A resource it is good for; several times for several.")
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it is good for: 30m, 8h, 7d.")] = "8h",
) -> None:
    """Issue a token and print it, once. Only verifiers are kept: it cannot be shown again.

    Clients use it as the database password.

    Examples:

        querygate token create --resource shop-prod --ttl 8h

        querygate token create --config querygate.yaml --principal ana@example.com

        export PGPASSWORD=$(querygate token create -r shop-prod)
    """
    from gateway.client.tokens import say_moment

    with token_desk(config) as desk:
        info, secret = desk.create(principal, resource or [], parse_ttl(ttl))
    typer.echo(secret)
    Console(stderr=True).print(
        f"token {info.id} for {info.principal}, good until {say_moment(info.expires, 'it is revoked')}",
        highlight=False,
        soft_wrap=True,
    )


@token_app.command("list")
def list_tokens(
    config: ConfigOption = None,
    principal: Annotated[str | None, typer.Option("--principal", "-p", help="Only this one's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a JSON list.")] = False,
) -> None:
    """Show issued tokens: whose, for what, until when, last used. The tokens themselves are nowhere to be seen.

    Examples:

        querygate token list

        querygate token list --config /etc/querygate/querygate.yaml
    """
    from gateway.client.tokens import say_moment

    with token_desk(config) as desk:
        found = desk.list(principal)
    if as_json:
        typer.echo(json.dumps([asdict(info) for info in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("ID", "PRINCIPAL", "RESOURCES", "CREATED", "EXPIRES", "LAST USED"):
        table.add_column(column, no_wrap=column == "ID", overflow="fold")  # an id is for copying: it is never cut
    for info in found:
        state = "" if info.state == "active" else f" ({info.state})"
        table.add_row(
            info.id,
            info.principal,
            ", ".join(info.resources) or "all",
            say_moment(info.created, ""),
            say_moment(info.expires, "never") + state,
            say_moment(info.used, "never"),
        )
    Console().print(table, soft_wrap=False)


@token_app.command()
def revoke(
    identifier: Annotated[str, typer.Argument(help="The token's id, as `token list` shows it.")],
    config: ConfigOption = None,
) -> None:
    """Revoke a token: from now on nobody logs in with it, and the sessions that it opened end.

    Examples:

        querygate token revoke tok-3f9a0c1d2b4e
    """
    with token_desk(config) as desk:
        desk.revoke(identifier)
    Console(stderr=True).print(f"token {identifier} is revoked", highlight=False)


def parse_ttl(text: str) -> float:
    """Seconds. Raises ``ConfigurationError``."""
    from gateway.policy.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"--ttl: {error}") from error
    if seconds <= 0:
        raise ConfigurationError("--ttl: longer than nothing")
    return seconds
