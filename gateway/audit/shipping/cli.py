"""``querygate audit sinks``, ``set-aside`` and ``forget``: how the sinks get on, and what to do about them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gateway.audit.places import ConfigOption, DataDirOption, directory_of, failed
from gateway.audit.shipping.cursor import FOLDER, Cursor, Progress, refused_file, wish_file
from gateway.errors import AuditError, ConfigurationError
from gateway.terminal import harmless_json, one_line


def sinks(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for each sink.")] = False,
) -> None:
    """How far the sinks have come that read the log, and what is wrong with those that do not get on.

    Exits with 1 where the receiver of one refuses: somebody has to mend it, or the sink's settings. With --config,
    those that are not in it any more are told from the others.

    Examples:

        querygate audit sinks -c querygate.yaml

        querygate audit sinks -c querygate.yaml --json | jq 'select(.state != "ok")'
    """
    folder = directory_of(config, data_dir) / FOLDER
    configured = _configured(config) if config is not None and data_dir is None else None
    refuses = False
    for path in sorted(folder.glob("*.json")):
        try:
            found = Cursor(folder, path.stem).read() or Progress()
        except AuditError as error:
            raise failed(str(error)) from None
        removed = configured is not None and path.stem not in configured
        if as_json:
            typer.echo(harmless_json(_as_json(path.stem, found, removed=removed)))
            refuses = refuses or (found.blocked and not removed)
            continue
        if removed:
            # Whatever was wrong with it, nobody tries any more.
            typer.echo(f"{path.stem}: not configured any more, {found.delivered} delivered up to event {found.after}")
            typer.echo(f"    to have it listed no longer: querygate audit forget {path.stem}")
            continue
        refuses = refuses or found.blocked
        state = _state(found)
        aside = f", {found.set_aside} set aside" if found.set_aside else ""
        typer.echo(f"{path.stem}: {state}, {found.delivered} delivered up to event {found.after}{aside}")
        if found.lost:
            typer.echo(f"    {found.lost} lines were removed from the log before it had got them")
        if found.failing:
            typer.echo(f"    {one_line(found.failing)}")  # in the receiver's words
        if found.refused >= 0:
            typer.echo(f"    event {found.refused} is what it refuses: querygate audit set-aside {path.stem}")
    if refuses:
        raise typer.Exit(1)


def _state(progress: Progress) -> str:
    return "refused" if progress.blocked else "failing" if progress.failing else "ok"


def _as_json(name: str, progress: Progress, *, removed: bool) -> str:
    told = {"name": name, "state": "removed" if removed else _state(progress)} | msgspec.to_builtins(progress)
    return msgspec.json.encode(told).decode()


def forget(
    sink: Annotated[str, typer.Argument(help="The sink's name, as `querygate audit sinks` shows it.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The gateway's configuration file.")],
) -> None:
    """Forget how far a sink had come that is not in the configuration any more.

    The log itself stays as it is, and so do events that were set aside. A sink that is given the name again begins as a
    new one does.

    Examples:

        querygate audit forget old-siem -c querygate.yaml
    """
    folder = directory_of(config, None) / FOLDER
    cursor = Cursor(folder, sink)
    if cursor.path.stem in _configured(config):
        raise failed(f"{sink} is in {config}: forgotten, it would get everything again")
    try:
        cursor.forget()
    except FileNotFoundError:
        raise failed(f"{folder}: there is no sink of the name {sink}") from None
    except OSError as error:
        raise failed(str(error)) from None
    typer.echo(f"{sink} is forgotten")


def _configured(config: Path) -> frozenset[str]:
    # Only here: looking at a copied log must not depend on what a configuration needs.
    from gateway.assembly import shipped_sinks
    from gateway.config import load_config

    try:
        return shipped_sinks(load_config(config, environ=os.environ))
    except ConfigurationError as error:
        raise failed(str(error)) from None


def set_aside(
    sink: Annotated[str, typer.Argument(help="The sink's name, as `querygate audit sinks` shows it.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Let a sink go on behind the one event that its receiver refuses.

    The event is written to `audit/shipping/SINK.refused.jsonl` with the sink's next attempt, half a minute later at
    most. It stays in the log itself, whatever becomes of that file.

    Examples:

        querygate audit set-aside siem -c querygate.yaml
    """
    folder = directory_of(config, data_dir) / FOLDER
    cursor = Cursor(folder, sink)
    try:
        found = cursor.read()
        if found is None:
            raise failed(f"{folder}: there is no sink of the name {sink}")
        if found.refused < 0:
            raise failed(f"{sink}: there is no event that its receiver refuses")
        wish_file(cursor.path).write_text(str(found.refused))
    except (AuditError, OSError) as error:
        raise failed(str(error)) from None
    typer.echo(f"event {found.refused} is set aside with the next attempt: {refused_file(cursor.path)}")
