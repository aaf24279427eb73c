"""``querygate plan``, ``apply`` and ``export``: the store as files, for people and for continuous integration."""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.client.api import ApiClient
    from gateway.client.files import Desired

CHANGES = 2
"""Exit status where something changes."""

FilesOption = Annotated[list[Path], typer.Option("--file", "-f", help="A file, or a folder with everything below it.")]
PruneOption = Annotated[bool, typer.Option("--prune", help="Delete what the files do not name.")]
SecretsOption = Annotated[
    bool, typer.Option("--send-secrets", help="Read {env: …} and {file: …} here, and have the API seal the secrets.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def plan(
    file: FilesOption, prune: PruneOption = False, send_secrets: SecretsOption = False, as_json: JsonOption = False
) -> None:
    """Show what `apply` would change in the store, checked as `apply` checks it. Nothing is changed.

    Exit status: 0 nothing changes, 2 something does, 1 it would not work.

    Examples:

        querygate plan -f policies/

        querygate plan -f policies/ --prune --json
    """
    desired, answer = _ask("/v1/plan", file, prune=prune, send_secrets=send_secrets)
    _show(answer, desired, as_json=as_json)
    raise typer.Exit(CHANGES if answer["changes"] else 0)


def apply(
    file: FilesOption,
    prune: PruneOption = False,
    send_secrets: SecretsOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    allow_lockout: Annotated[
        bool, typer.Option("--allow-lockout", help="Also where you could no longer use a resource yourself.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the store what the files say: all or nothing, in force at once.

    The plan is shown first, and applied only if the store is still the one that it was made for.

    Exit status: 0 nothing had to change, 2 it was changed, 1 it did not work or was not wanted.

    Examples:

        querygate apply -f policies/

        querygate apply -f querygate.yaml --send-secrets

        querygate apply -f policies/ --prune --yes --json
    """
    from gateway.client.cli import open_client

    desired = _read(file, send_secrets=send_secrets)
    try:
        with open_client() as client:
            planned = _post(client, "/v1/plan", desired, prune=prune)
            if not planned["changes"]:
                _show(planned, desired, as_json=as_json)
                return
            if not as_json:
                _show(planned, desired, as_json=False)
            if not yes and not typer.confirm("Apply?", err=True):
                raise typer.Exit(1)
            answer = _post(
                client, "/v1/apply", desired, prune=prune, revision=planned["revision"], allow_lockout=allow_lockout
            )
    except ConfigurationError as error:
        raise _fail(error, desired) from None
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        Console(stderr=True).print(f"[green]applied[/]: {len(answer['changes'])} documents", highlight=False)
    raise typer.Exit(CHANGES)


def export(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A folder; left out: standard output.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the store's documents as files that `apply` takes. Sealed secrets are not shown, and kept by `apply`.

    Examples:

        querygate export -o policies/

        querygate export --json
    """
    from gateway.client.cli import open_client
    from gateway.client.files import to_yaml, write_files

    try:
        with open_client() as client:
            sections = client.get("/v1/export")["sections"]
        if output is not None:
            for path in write_files(output, sections):
                Console(stderr=True).print(str(path), highlight=False, soft_wrap=True)
            return
    except ConfigurationError as error:
        raise _fail(error, None) from None
    typer.echo(json.dumps(sections, indent=2, ensure_ascii=False) if as_json else to_yaml(sections))


def _ask(path: str, files: list[Path], *, prune: bool, send_secrets: bool) -> tuple[Desired, Any]:
    from gateway.client.cli import open_client

    desired = _read(files, send_secrets=send_secrets)
    try:
        with open_client() as client:
            return desired, _post(client, path, desired, prune=prune)
    except ConfigurationError as error:
        raise _fail(error, desired) from None


def _read(files: list[Path], *, send_secrets: bool) -> Desired:
    from gateway.client.files import read_desired

    try:
        return read_desired(files, send_secrets=send_secrets, environ=os.environ)
    except ConfigurationError as error:
        raise _fail(error, None) from None


def _post(client: ApiClient, path: str, desired: Desired, **more: object) -> Any:
    return client.post(path, {"sections": desired.sections, **more})


def _show(answer: Any, desired: Desired, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for change in answer["changes"]:
        _show_change(change, console)
    for warning in answer["warnings"]:
        console.print(f"[yellow]warning:[/] {escape(warning)}")
    for resource in answer["lockouts"]:
        console.print(f"[red]lock-out:[/] you could no longer use {escape(resource)}")
    for line in desired.ignored:
        console.print(f"[dim]not the store's business: {escape(line)}[/]")
    if unmanaged := answer["unmanaged"]:
        console.print(f"[dim]{len(unmanaged)} documents are in the store only, and stay (--prune deletes)[/]")
    counts = {"create": 0, "update": 0, "delete": 0}
    for change in answer["changes"]:
        counts[change["operation"]] += 1
    console.print(
        f"{counts['create']} to create, {counts['update']} to update, {counts['delete']} to delete"
        if answer["changes"]
        else "nothing changes"
    )


def _show_change(change: Any, console: Console) -> None:
    from gateway.client.files import to_yaml

    sign, colour = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}[change["operation"]]
    console.print(f"[bold {colour}]{sign} {change['section']} {escape(change['name'])}[/]")
    before = [] if change["before"] is None else to_yaml(change["before"]).splitlines()
    after = [] if change["after"] is None else to_yaml(change["after"]).splitlines()
    for line in list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]:
        shade = {"+": "green", "-": "red", "@": "dim"}.get(line[0], "default")
        if not line.startswith("@@"):
            console.print(f"    [{shade}]{escape(line)}[/]")


def _fail(error: ConfigurationError, desired: Desired | None) -> typer.Exit:
    """One readable message and exit status 1: 2 says that something changes."""
    from gateway.client.api import ApiProblem
    from gateway.client.files import place_of

    text = str(error)
    if isinstance(error, ApiProblem) and desired is not None and error.problem.get("errors"):
        lines = [str(error.problem.get("detail", ""))]
        for item in error.problem["errors"]:
            where = place_of(item.get("pointer", ""), desired)
            lines.append(f"  {where}: {item.get('detail', '')}" if where else f"  {item.get('detail', '')}")
        text = "\n".join(lines)
    Console(stderr=True).print(f"[bold red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)
    return typer.Exit(1)
