"""``querygate audit``: read, verify and prove the trail. Needs no running gateway."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from gateway.audit.checkpoints import kept_elsewhere
from gateway.audit.events import EventFilter, Found
from gateway.audit.notes import NoteError, VerifierKey
from gateway.audit.places import ConfigOption, DataDirOption, directory_of, failed
from gateway.audit.proofs import InclusionProof, log_key, read_checkpoint
from gateway.audit.proofs import consistency as make_consistency
from gateway.audit.proofs import prove as make_proof
from gateway.audit.reader import iter_events, last_events
from gateway.audit.render import render
from gateway.audit.shipping.cli import forget, set_aside, sinks
from gateway.audit.verify import VerifyReport
from gateway.audit.verify import verify as verify_directory
from gateway.errors import AuditError, ConfigurationError
from gateway.terminal import harmless_json, one_line

audit_app = typer.Typer(
    help="Read, verify and prove the audit trail.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

audit_app.command()(sinks)
audit_app.command("set-aside")(set_aside)
audit_app.command()(forget)

_AGO: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", help="The log's key as kept elsewhere: the text of `key.pub`, or a file.", show_default=False
    ),
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
    masked: Annotated[
        str | None, typer.Option(help="A label, or a pattern of labels (pii.*), of which values were masked.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole events, one JSON object a line.")] = False,
) -> None:
    """Show the last events, one line each.

    Examples:

        querygate audit tail --config querygate.yaml

        querygate audit tail -c querygate.yaml -f --outcome refused

        querygate audit tail -c querygate.yaml --principal ana@example.com --since 2h --text customers

        querygate audit tail --data-dir ./data -n 1000 --json | jq .query_info.query_string
    """
    directory = directory_of(config, data_dir)
    now = datetime.now(UTC)
    wanted = EventFilter(
        principal=principal,
        resource=resource,
        action=action,
        outcome=outcome,
        since=_moment(since, "--since", now),
        until=_moment(until, "--until", now),
        text=text,
        masked=masked,
    )
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    try:
        # What is newest now is asked first: what comes while the rest is read is then neither skipped nor shown twice.
        newest = last_events(directory, EventFilter(), 1)
        shown = last_events(directory, wanted, lines)
        for found in shown:
            _show(console, found, as_json=as_json)
        if follow:
            after = max((found.sequence for found in newest + shown), default=-1)
            for found in iter_events(directory, wanted, after=after, follow=True):
                _show(console, found, as_json=as_json)
    except AuditError as error:
        raise failed(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit from None


@audit_app.command()
def ship(
    config: Annotated[Path, typer.Option("--config", "-c", help="The gateway's configuration file.")],
    follow_parent: Annotated[bool, typer.Option("--follow-parent", hidden=True)] = False,
) -> None:
    """Bring the trail to the sinks of the configuration, until interrupted.

    `querygate serve` runs this beside itself. By hand it is for a machine on which the gateway does not run any more,
    or for a log on a shared disk: one process at a time, since each sink has one place in the log.

    Examples:

        querygate audit ship --config querygate.yaml
    """
    from gateway.assembly import shippers
    from gateway.audit.shipping.cursor import FOLDER
    from gateway.audit.shipping.process import run_until_signal
    from gateway.config import load_config

    try:
        settings = load_config(config, environ=os.environ)
        found = shippers(settings)
        if not found:
            raise failed(f"{config}: audit.sinks: none of the sinks is one that the trail is shipped to")
        run_until_signal(found, settings.data_dir / "audit" / FOLDER, follow_parent=follow_parent)
    except (AuditError, ConfigurationError) as error:
        raise failed(str(error)) from None


@audit_app.command()
def verify(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    first: Annotated[
        int,
        typer.Option("--from", min=0, help="The number of the oldest line kept, after older segments were archived."),
    ] = 0,
    key: KeyOption = None,
    witness: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoints kept elsewhere: a file, or a folder of them.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole finding as one JSON object.")] = False,
) -> None:
    """Check that no event was changed, dropped, added or reordered.

    Needs the files only, and may run beside the gateway. Exits with 1 and says file, line and finding where the log
    does not verify; with 2 where it cannot be read; with 130 where it was interrupted. Whoever has the machine has the
    signing key too: only a key and checkpoints that were kept elsewhere tell whether the whole log was replaced or put
    back. In a terminal it shows how far it is.

    Examples:

        querygate audit verify --config querygate.yaml

        querygate audit verify --data-dir /backup/2026-11/data --key gw-1.pub --witness /mnt/witness

        querygate audit verify --data-dir ./data --from 48113

        querygate audit verify -c querygate.yaml --json | jq .problems
    """
    directory = directory_of(config, data_dir)
    try:
        believed = _key(key)
        known = [item for path in witness or () for item in kept_elsewhere(path, believed or log_key(directory))]
        with _shown_progress() as progress:
            report = verify_directory(directory, first=first, key=believed, known=known, progress=progress)
    except AuditError as error:
        raise failed(str(error)) from None
    if as_json:
        typer.echo(harmless_json(report.encode().decode()))
    else:
        _tell(report)
    if not report.ok:
        raise typer.Exit(1)


@audit_app.command()
def prove(
    event: Annotated[str, typer.Argument(help="An event's number or `metadata.uid` (a refused client's reference).")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it; left out: standard output.")
    ] = None,
) -> None:
    """Make a proof that an event is in the log, for somebody who does not have the log.

    The proof holds the event, the signed checkpoint, and the hashes that lead from one to the other. Check it with
    `querygate audit check-proof`.

    Examples:

        querygate audit prove 3f2a9c0b1d2e4f55-17 -c querygate.yaml -o proof.json

        querygate audit prove 48113 --data-dir ./data
    """
    try:
        proof = make_proof(directory_of(config, data_dir), int(event) if event.isdigit() else event).encode()
        if output is not None:
            output.write_bytes(proof)
    except AuditError as error:
        raise failed(str(error)) from None
    except OSError as error:
        raise failed(f"{output}: {error.strerror}") from None
    if output is None:
        sys.stdout.buffer.write(proof)


@audit_app.command("check-proof")
def check_proof(
    proof: Annotated[Path, typer.Argument(help="What `querygate audit prove` made.")],
    key: KeyOption = None,
) -> None:
    """Check a proof that an event is in a log. Needs nothing but the proof and the log's key.

    Without `--key` the key in the proof itself is believed, which shows that the proof fits together, and not whose it
    is.

    Examples:

        querygate audit check-proof proof.json --key gw-1.pub
    """
    try:
        read = InclusionProof.decode(proof.read_bytes())
        believed = _key(key) or VerifierKey.parse(read.key)
    except OSError as error:
        raise failed(f"{proof}: {error.strerror}") from None
    except (AuditError, ValueError) as error:
        raise failed(f"{proof}: {error}") from None
    try:
        checkpoint = read.check(believed)
    except ValueError as error:
        typer.echo(f"FAILED: {one_line(str(error))}", err=True)
        raise typer.Exit(1) from None
    origin = one_line(checkpoint.origin)
    typer.echo(f"OK: line {read.lines[0].index} is among the {checkpoint.size} lines of {origin}")
    for item in read.lines:
        # Made by somebody else, and not what the person before the terminal has read yet.
        typer.echo(harmless_json(item.line) if sys.stdout.isatty() else item.line)
    if key is None:
        typer.echo(f"note: signed by the key in the proof itself: {one_line(str(believed))}")


@audit_app.command()
def consistency(
    old: Annotated[str, typer.Argument(help="A checkpoint: a file, its number of lines, or `latest`.")],
    new: Annotated[str, typer.Argument(help="A later one.")] = "latest",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    key: KeyOption = None,
) -> None:
    """Prove that the log of one checkpoint begins with that of an earlier one: nothing before it was changed.

    Prints the proof's hashes (RFC 6962), for whoever wants to check it without the log. Exits with 1 where it does not
    hold.

    Examples:

        querygate audit consistency /mnt/witness/6f0c…-00000000000000048113 latest -c querygate.yaml

        querygate audit consistency 1200 48113 --data-dir ./data
    """
    directory = directory_of(config, data_dir)
    try:
        believed = _key(key) or log_key(directory)
        made = make_consistency(
            directory, read_checkpoint(old, directory, believed), read_checkpoint(new, directory, believed)
        )
    except AuditError as error:
        raise failed(str(error)) from None
    for step in made.path:
        typer.echo(base64.b64encode(step).decode())
    if not made.holds:
        typer.echo(f"FAILED: the log of {made.new.size} lines does not begin with that of {made.old.size}", err=True)
        raise typer.Exit(1)
    typer.echo(f"OK: the log of {made.new.size} lines begins with that of {made.old.size}", err=True)


def _key(text: str | None) -> VerifierKey | None:
    """A verifier key, given itself or by a file."""
    if text is None:
        return None
    try:
        return VerifierKey.parse(text if "+" in text and "\n" not in text else Path(text).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, NoteError) as error:
        raise AuditError(f"--key {text}: {error}") from None


def _tell(report: VerifyReport) -> None:
    for note in report.notes:
        typer.echo(f"note: {one_line(note)}")
    for problem in report.problems:
        typer.echo(one_line(problem.describe()), err=True)
    if report.more_problems:
        typer.echo(f"… and {report.more_problems} more", err=True)
    span = "no lines" if report.last is None else f"lines {report.first} to {report.last}"
    typer.echo(f"{report.directory}: {report.segments} segments, {span}, signed by {one_line(str(report.key))}")
    if report.ok:
        size = 0 if report.signed is None else report.signed.size
        typer.echo(f"OK: unchanged and complete; {size} lines are signed")
        return
    count = len(report.problems) + report.more_problems
    typer.echo(f"FAILED: {count} problem{'' if count == 1 else 's'}", err=True)
    typer.echo(
        "Leave the files as they are, and copy them. What each word means and what to look at next: docs/audit.md,"
        ' "When verify fails".',
        err=True,
    )


@contextmanager
def _shown_progress() -> Iterator[Callable[[int, int], None] | None]:
    """How far a long check is, on standard error, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = ("verifying", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(console: Console, found: Found, *, as_json: bool) -> None:
    if as_json and sys.stdout.isatty():
        typer.echo(harmless_json(found.line.decode()), nl=False)
    elif as_json:
        sys.stdout.buffer.write(found.line)
        sys.stdout.buffer.flush()
    else:
        width = console.width if console.is_terminal else 0
        console.print(render(found.event, width=width, zone=datetime.now().astimezone().tzinfo or UTC))


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
        raise failed(f"{option}: neither a time such as 2026-11-23T08:00 nor an age such as 10m: {value}") from None
    return int(moment.timestamp() * 1000)
