"""``querygate audit``: read and verify the trail. Needs no running gateway."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from gateway.audit.render import render
from gateway.audit.tail import EventFilter, Found, iter_events, last_events
from gateway.audit.verify import verify as verify_directory
from gateway.errors import AuditError, ConfigurationError

audit_app = typer.Typer(
    help="Read and verify the audit trail.", no_args_is_help=True, rich_markup_mode="markdown", add_completion=False
)

_AGO: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The gateway's configuration file, for its `data_dir`.", show_default=False),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The gateway's `data_dir` itself, without a configuration.", show_default=False),
]


@audit_app.command()
def tail(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last matching events.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events as they come.")] = False,
    principal: Annotated[str | None, typer.Option(help="Who acted, or for whom.")] = None,
    resource: Annotated[str | None, typer.Option(help="The resource's name.")] = None,
    action: Annotated[str | None, typer.Option(help="What the statement does: read, update, drop …")] = None,
    outcome: Annotated[
        str | None,
        typer.Option(help="success, failure, refused, limited, skipped, lost, intent; login, login_failed, closed …"),
    ] = None,
    since: Annotated[str | None, typer.Option(help="A time (ISO 8601) or an age: 90s, 10m, 2h, 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="As --since; events before it.")] = None,
    text: Annotated[str | None, typer.Option(help="A part of the statement's text.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the events as recorded, one JSON object a line.")
    ] = False,
) -> None:
    """Show the last events, one line each.

    Examples:

        querygate audit tail --config querygate.yaml

        querygate audit tail -c querygate.yaml -f --outcome refused

        querygate audit tail -c querygate.yaml --principal ana@example.com --since 2h --text customers

        querygate audit tail --data-dir ./data -n 1000 --json | jq .query_info.query_string
    """
    directory = _directory(config, data_dir)
    now = datetime.now(UTC)
    wanted = EventFilter(
        principal=principal,
        resource=resource,
        action=action,
        outcome=outcome,
        since=_moment(since, "--since", now),
        until=_moment(until, "--until", now),
        text=text,
    )
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    try:
        # What is newest now is asked first: what comes while the rest is read is then neither skipped nor shown twice.
        newest = last_events(directory, EventFilter(), 1)
        shown = last_events(directory, wanted, lines)
        for found in shown:
            _show(console, found, as_json=as_json)
        if follow:
            after = max((found.event.metadata.sequence for found in newest + shown), default=-1)
            for found in iter_events(directory, wanted, after=after, follow=True):
                _show(console, found, as_json=as_json)
    except AuditError as error:
        raise _fail(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit from None


@audit_app.command()
def verify(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    first: Annotated[
        int,
        typer.Option("--from", min=0, help="The number of the oldest event kept, after older segments were archived."),
    ] = 0,
) -> None:
    """Check that no event was changed, dropped, added or reordered.

    Needs the files only, and may run beside the gateway. Exits with 1 and says file, line and finding where the log
    does not verify; with 2 where it cannot be read.

    Examples:

        querygate audit verify --config querygate.yaml

        querygate audit verify --data-dir /backup/2026-11/data

        querygate audit verify --data-dir ./data --from 48113
    """
    directory = _directory(config, data_dir)
    try:
        report = verify_directory(directory, first=first)
    except AuditError as error:
        raise _fail(str(error)) from None
    for note in report.notes:
        typer.echo(f"note: {note}")
    for problem in report.problems:
        typer.echo(problem.describe(), err=True)
    if report.more_problems:
        typer.echo(f"… and {report.more_problems} more", err=True)
    span = "no events" if report.last is None else f"events {report.first} to {report.last}"
    typer.echo(f"{directory}: {report.segments} segments, {span}, chain {report.chain_uid or 'unknown'}")
    if not report.ok:
        typer.echo(f"FAILED: {len(report.problems) + report.more_problems} problems", err=True)
        raise typer.Exit(1)
    typer.echo(f"OK: unchanged and complete up to {report.fingerprint}")


def _show(console: Console, found: Found, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(found.line)
        sys.stdout.buffer.flush()
    else:
        width = console.width if console.is_terminal else 0
        console.print(render(found.event, width=width, zone=datetime.now().astimezone().tzinfo or UTC))


def _directory(config: Path | None, data_dir: Path | None) -> Path:
    if data_dir is not None:
        return data_dir / "audit"
    if config is None:
        raise _fail("say where the log is: --config FILE or --data-dir DIRECTORY")
    # Only here: reading a copied log must not depend on what a configuration needs.
    from gateway.config import load_config

    try:
        return Path(load_config(config, environ=os.environ).data_dir) / "audit"
    except ConfigurationError as error:
        raise _fail(str(error)) from None


def _moment(value: str | None, option: str, now: datetime) -> int | None:
    """Unix milliseconds of a time or an age. A time without zone is local time."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value)
    try:
        if ago is not None:
            moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        raise _fail(f"{option}: neither a time such as 2026-11-23T08:00 nor an age such as 10m: {value}") from None
    return int(moment.timestamp() * 1000)


def _fail(message: str) -> typer.Exit:
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(2)
