"""``querygate classify``: propose labels for a database's columns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.errors import ConfigurationError, GatewayError

if TYPE_CHECKING:
    from gateway.classify.propose import Proposal
    from gateway.classify.sampling import Findings


def classify(
    resource: Annotated[str, typer.Argument(help="The resource to look at.")],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The configuration file.", envvar="QUERYGATE_CONFIG", dir_okay=False)
    ] = Path("querygate.yaml"),
    sample: Annotated[int, typer.Option(min=1, max=100_000, help="How many rows of each table to look at.")] = 1000,
    database: Annotated[
        str | None, typer.Option("--database", "-d", help="Another database than the resource's own.")
    ] = None,
    min_score: Annotated[float, typer.Option(min=0.05, max=1.0, help="How sure a proposal must be.")] = 0.5,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new file for the proposal; left out: standard output.", dir_okay=False),
    ] = None,
) -> None:
    """Propose labels from names, types and some values of a database's columns, as a document to review.

    Rows are read with the gateway's own credentials, read-only. No value is printed or kept: examples show shapes.
    Nothing is applied: move what is right from the document to `classifications` in the configuration.

    Examples:

        querygate classify shop-prod --output proposal.yaml

        querygate classify shop-prod --config querygate.yaml --sample 200 --min-score 0.7 > proposal.yaml
    """
    import asyncio
    from datetime import date

    from rich.progress import Progress

    from gateway.classify.document import render
    from gateway.classify.sampling import classify as look
    from gateway.config import load_config
    from gateway.policy.explain import find_resource

    if output is not None and output.exists():
        # A slip of the hand must not cost a configuration.
        raise ConfigurationError(f"{output} exists; name a new file for the proposal")
    settings = load_config(config, environ=os.environ)
    found = find_resource(settings, resource)
    today = date.today()  # noqa: DTZ011 - ages in years, and the reader's own calendar
    errors = Console(stderr=True, highlight=False)
    try:
        with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
            task = bar.add_task("sampling", total=None)

            def progress(table: str, number: int, of: int) -> None:
                bar.update(task, description=escape(table), completed=number, total=of)

            findings = asyncio.run(
                look(
                    settings,
                    found,
                    database=database,
                    rows=sample,
                    min_score=min_score,
                    today=today,
                    progress=progress,
                )
            )
    except ConfigurationError:
        raise
    except GatewayError as error:
        raise ConfigurationError(str(error)) from error
    _show(findings, errors)
    document = render(
        findings.proposals,
        resource=found.name,
        database=findings.database,
        today=today,
        notes=_notes(findings, sample),
        paths=findings.paths,
    )
    if output is None:
        typer.echo(document, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(document)
    except OSError as error:
        raise ConfigurationError(f"{output}: cannot be written: {error.strerror}") from None
    errors.print(f"proposal written to {escape(str(output))}; nothing is in force", soft_wrap=True)


def _show(findings: Findings, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("SCORE", "LABEL", "COLUMN"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    table.add_column("EVIDENCE", overflow="fold")
    ordered = sorted(findings.proposals, key=lambda item: (item.evidence.label, -item.evidence.score, item.column))
    for proposal in ordered:
        table.add_row(*map(escape, _cells(proposal)))
    if ordered:
        console.print(table)
    for name, problem in findings.unread:
        console.print(f"[yellow]not read:[/] {escape(f'{name}: {problem}')}", soft_wrap=True)
    console.print(
        f"{len(findings.proposals)} proposals from {findings.tables} tables and {findings.rows} rows; "
        f"{len(findings.labelled)} columns that look sensitive are labelled already",
        soft_wrap=True,
    )


def _cells(proposal: Proposal) -> tuple[str, ...]:
    evidence = proposal.evidence
    column = "".join(char if char.isprintable() else "?" for char in str(proposal.column))
    return f"{evidence.score:.2f}", evidence.label, column, evidence.describe()


def _notes(findings: Findings, sample: int) -> list[str]:
    notes = [f"Looked at {findings.tables} tables, up to {sample} rows of each."]
    notes += [f"Not read: {name}: {problem}" for name, problem in findings.unread]
    return notes
