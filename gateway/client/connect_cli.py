"""``querygate connect``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gateway.errors import ConfigurationError
from gateway.identity.cli import DEFAULT_CONFIG, ConfigOption, parse_ttl


def connect(
    resource: Annotated[str, typer.Argument(help="The resource.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="More for the client program, after --.")] = None,
    config: ConfigOption = None,
    principal: Annotated[
        str | None, typer.Option("--principal", "-p", help="As whom; left out: you, where you are logged in.")
    ] = None,
    database: Annotated[str | None, typer.Option("--database", "-d", help="Another database than its own.")] = None,
    ttl: Annotated[str, typer.Option(help="How long the token, and so the session, is good.")] = "8h",
    url: Annotated[bool, typer.Option("--url", help="Print a URL for another client; the token stays good.")] = False,
    gateway: Annotated[
        str | None, typer.Option("--gateway", help="Where the gateway is (host:port), if the API does not know it.")
    ] = None,
) -> None:
    """Open a resource in psql, mariadb or mongosh, with a fresh token that is revoked when the program ends.

    Examples:

        querygate connect shop-prod

        querygate connect shop-prod -- -c "SELECT count(*) FROM orders"

        querygate connect shop-prod --url --ttl 30m

        querygate connect shop-prod --config querygate.yaml --principal ana@example.com
    """
    from gateway.client.cli import logged_in, open_client
    from gateway.client.connect import Route, api_route, local_route, program_for, run_program, url_of
    from gateway.client.tokens import ApiTokens, LocalTokens, TokenDesk, local_config

    seconds = parse_ttl(ttl)

    def open_with(desk: TokenDesk, route: Route) -> int:
        if not url:
            program_for(route, "")  # before a token is issued that nobody could use
        info, secret = desk.create(route.user, [resource], seconds)
        if url:
            typer.echo(url_of(route, secret))
            Console(stderr=True).print(f"token {info.id}: revoke it when you are done", highlight=False)
            return 0
        try:
            return run_program(program_for(route, secret, arguments or ()), os.environ)
        finally:
            desk.revoke(info.id)

    if config is None and logged_in():
        with open_client() as client:
            who = principal or client.get("/v1/auth/me")["name"]
            status = open_with(ApiTokens(client), api_route(client, resource, who, database, gateway))
    else:
        settings = local_config(config or Path(DEFAULT_CONFIG))
        if principal is None:
            raise ConfigurationError("say as whom: --principal ana@example.com")
        status = open_with(LocalTokens(settings), local_route(settings, resource, principal, database))
    raise typer.Exit(status)
