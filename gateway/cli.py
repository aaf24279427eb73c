"""The ``querygate`` command."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway import __version__
from gateway.audit.cli import audit_app
from gateway.classify.cli import classify
from gateway.client.apply_cli import apply, export, plan
from gateway.client.approvals_cli import approvals_app
from gateway.client.cli import login, logout, whoami
from gateway.client.connect_cli import connect
from gateway.demo.cli import demo
from gateway.errors import AuditError, ConfigurationError
from gateway.identity.cli import token_app
from gateway.policy.cli import policy_app
from gateway.terminal import harmless

if TYPE_CHECKING:
    from gateway.config import Config

# Commands import what they need when they run, so that `--help` and `audit tail` answer at once.

app = typer.Typer(
    name="querygate",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Identity-aware database access: one gateway that knows who asks, decides, masks, and proves what happened.",
    epilog="Start with:  querygate demo    or    querygate serve --config querygate.yaml",
)
app.command()(demo)
app.command()(connect)
app.command()(login)
app.command()(logout)
app.command()(whoami)
app.command()(plan)
app.command()(apply)
app.command()(export)
app.command()(classify)
app.add_typer(approvals_app, name="approvals")
app.add_typer(token_app, name="token")
app.add_typer(audit_app, name="audit")
app.add_typer(policy_app, name="policy")

# Commands of other parts, such as the control plane's, which the data plane does not import; light to load.
for point in sorted(entry_points(group="querygate.commands"), key=lambda point: point.name):
    app.add_typer(point.load(), name=point.name)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file.", envvar="QUERYGATE_CONFIG", dir_okay=False)
]
DEFAULT_CONFIG = Path("querygate.yaml")


class LogLevel(StrEnum):
    """How much the log tells."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def main() -> None:
    """Entry point: errors that the user can mend are one readable message and exit code 2."""
    try:
        app()
    except (ConfigurationError, AuditError) as error:
        Console(stderr=True).print(
            f"[bold red]error:[/] {escape(harmless(str(error)))}", highlight=False, soft_wrap=True
        )
        sys.exit(2)


def _load(config: Path) -> Config:
    from gateway.config import load_config

    return load_config(config, environ=os.environ)


def _load_linked(config: Path, control: str) -> Config:
    from gateway.config.linked import load_linked

    return load_linked(config, control, environ=os.environ)


@app.command()
def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    control: Annotated[
        str | None,
        typer.Option(
            "--control",
            help="Get everything that decides from this control plane; the credential is in QUERYGATE_CREDENTIAL.",
            envvar="QUERYGATE_CONTROL",
        ),
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="The least that the log tells.")] = LogLevel.INFO,
) -> None:
    """Run the gateway (and the admin API) until Ctrl-C or SIGTERM, which let running statements finish.

    A second Ctrl-C or SIGTERM waits for no statement. SIGHUP reads the configuration again: policies, principals,
    labels and resources change at once, without a restart.

    Examples:

        querygate serve

        querygate serve --config /etc/querygate/querygate.yaml --log-level warning

        querygate serve --control https://querygate.example.com
    """
    import structlog
    import uvloop

    from gateway.observability.logs import configure_logs
    from gateway.serving import run

    configure_logs(level=log_level.value)
    log = structlog.get_logger("querygate")
    settings = _load(config) if control is None else _load_linked(config, control)
    for warning in settings.warnings:
        log.warning(warning)
    raise typer.Exit(uvloop.run(run(config, settings)))


@app.command("check-config")
def check_config(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Check a configuration file without starting anything: syntax, references, secrets, policies, plugins.

    Examples:

        querygate check-config --config querygate.yaml
    """
    from gateway.assembly import check

    settings = _load(config)
    check(settings)
    console = Console()
    for warning in settings.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)
    console.print(
        f"[green]ok:[/] {len(settings.resources)} resources, {len(settings.principals)} principals, "
        f"{len(settings.classifications)} classifications, {len(settings.policies.policies)} policies",
        highlight=False,
    )


plugins_app = typer.Typer(no_args_is_help=True, help="Look at plugins.")
app.add_typer(plugins_app, name="plugins")


@plugins_app.command("list")
def list_plugins(config: Annotated[Path | None, typer.Option("--config", "-c", dir_okay=False)] = None) -> None:
    """Show the plugins that would be loaded, where they come from and which hooks they implement.

    Examples:

        querygate plugins list

        querygate plugins list --config querygate.yaml
    """
    from gateway.assembly import check, installed_protocols
    from gateway.plugin.load import load_plugins

    plugins = load_plugins(installed_protocols(), {}, {}) if config is None else check(_load(config))
    table = Table(box=None, pad_edge=False)
    for column in ("NAME", "DISTRIBUTION", "VERSION", "HOOKS"):
        table.add_column(column)
    for info in plugins.infos:
        version = info.version or __version__
        table.add_row(info.name, "built in" if info.builtin else info.distribution, version, " ".join(info.hooks))
    Console().print(table)


@app.command()
def version() -> None:
    """Print the version.

    Examples:

        querygate version
    """
    typer.echo(__version__)


if __name__ == "__main__":
    main()
