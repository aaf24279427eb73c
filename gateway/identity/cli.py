"""``querygate token``: issue, list and revoke access tokens on the machine that the gateway runs on.

The running gateway follows the token file, so what is done here counts for the next login.
"""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.errors import ConfigurationError
from gateway.identity.files import INSTALL_KEY, load_or_create_secret
from gateway.identity.store import TOKENS, TokenRecord, TokenStore
from gateway.identity.tokens import new_secret, new_token_id, token_verifier

if TYPE_CHECKING:
    from gateway.config import Config

token_app = typer.Typer(
    help="Issue, list and revoke access tokens.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file.", envvar="QUERYGATE_CONFIG", dir_okay=False)
]
DEFAULT_CONFIG = Path("querygate.yaml")


def _load(path: Path) -> tuple[Config, TokenStore]:
    from gateway.config import load_config

    config = load_config(path, environ=os.environ)
    return config, TokenStore(config.data_dir / TOKENS)


@token_app.command()
def create(
    principal: Annotated[str, typer.Option("--principal", "-p", help="Whom the token is for.")],
    config: ConfigOption = DEFAULT_CONFIG,
    resource: Annotated[
        list[str] | None, typer.Option("--resource", "-r", help="A resource it is good for; several times for several.")
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it is good for: 30m, 8h, 7d.")] = "8h",
) -> None:
    """Issue a token and print it, once. Only verifiers are kept: it cannot be shown again.

    Clients use it as the database password.

    Examples:

        querygate token create --principal ana@example.com

        querygate token create -p copilot --resource shop-prod --ttl 30m

        export PGPASSWORD=$(querygate token create -p ana@example.com)
    """
    settings, store = _load(config)
    if principal not in settings.principals:
        known = ", ".join(sorted(settings.principals)) or "none"
        raise ConfigurationError(f"there is no principal {principal!r} in {config} (there are: {known})")
    for name in resource or ():
        if name not in settings.resources:
            raise ConfigurationError(f"there is no resource {name!r} in {config}")
    from gateway.policy.units import parse_duration

    try:
        seconds = parse_duration(ttl)
    except ValueError as error:
        raise ConfigurationError(f"--ttl: {error}") from error
    now = time.time()
    secret = new_secret(secrets.token_bytes)
    key = load_or_create_secret(settings.data_dir / INSTALL_KEY)
    record = TokenRecord(
        id=new_token_id(secrets.token_bytes),
        principal=principal,
        scram=token_verifier(secret, install_secret=key, name=principal),
        resources=frozenset(resource or ()),
        created=now,
        expires=now + seconds,
    )
    store.remove_expired(before=now - 30 * 86400)
    store.add(record)
    typer.echo(secret)
    Console(stderr=True).print(
        f"token {record.id} for {principal}, good until {_moment(record.expires)}", highlight=False, soft_wrap=True
    )


@token_app.command("list")
def list_tokens(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Show issued tokens: whose, for what, until when. The tokens themselves are nowhere to be seen.

    Examples:

        querygate token list

        querygate token list --config /etc/querygate/querygate.yaml
    """
    _, store = _load(config)
    table = Table(box=None, pad_edge=False)
    for column in ("ID", "PRINCIPAL", "RESOURCES", "CREATED", "EXPIRES"):
        table.add_column(column)
    now = time.time()
    for record in store.list():
        expired = record.expires is not None and record.expires <= now
        table.add_row(
            record.id,
            record.principal,
            ", ".join(sorted(record.resources)) or "all",
            _moment(record.created),
            f"{_moment(record.expires)}{' (expired)' if expired else ''}",
        )
    Console().print(table)


@token_app.command()
def revoke(
    identifier: Annotated[str, typer.Argument(help="The token's id, as `token list` shows it.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Revoke a token: from now on nobody logs in with it.

    Examples:

        querygate token revoke tok-3f9a0c1d2b4e
    """
    _, store = _load(config)
    if not store.revoke(identifier):
        raise ConfigurationError(f"there is no token {identifier!r}; see: querygate token list")
    Console(stderr=True).print(f"token {identifier} is revoked", highlight=False)


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
