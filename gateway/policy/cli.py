"""``querygate policy``: try policies before they count, and ask what they would do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.errors import AuditError, ConfigurationError, GatewayError

if TYPE_CHECKING:
    from gateway.domain.resource import Resource
    from gateway.domain.statement import Analysis
    from gateway.policy.documents import PolicyDocument
    from gateway.policy.verify import SampleResult

policy_app = typer.Typer(
    help="Try policies, and ask what they would do.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

DEFAULT_CONFIG = Path("querygate.yaml")
ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file.", envvar="QUERYGATE_CONFIG", dir_okay=False)
]


@policy_app.command()
def verify(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files with policies; left out: the configuration.", dir_okay=False)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="A configuration file.", dir_okay=False, show_default=str(DEFAULT_CONFIG)),
    ] = None,
    library: Annotated[
        list[str] | None, typer.Option("--library", help="A ready policy; several times for several.")
    ] = None,
    all_library: Annotated[bool, typer.Option("--all-library", help="All ready policies.")] = False,
) -> None:
    """Run the samples that come with policies. No secrets and no database are needed.

    Exits with 1 where a sample does not come out as its author says.

    Examples:

        querygate policy verify --config querygate.yaml

        querygate policy verify policies/*.yaml

        querygate policy verify --library no-write-without-predicate

        querygate policy verify --all-library
    """
    import logging

    from gateway.policy.verify import verify_samples

    # The parser warns of statements that it does not know; here they are samples like any other.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    console = Console(highlight=False, soft_wrap=True)
    documents = _documents(files or [], config, library or [], all_library=all_library)
    tried = failed = without = 0
    for document in documents:
        results = verify_samples([document], analyse=_analyse)
        if not results:
            without += 1
            console.print(f"[yellow]none[/] {escape(document.name)}: no samples")
        for result in results:
            tried += 1
            failed += result.passed is not True
            console.print(_line(result, document))
    summary = f"{len(documents)} policies, {tried} samples tried, {failed} failed, {without} policies without samples"
    console.print(f"[{'red' if failed else 'green'}]{summary}[/]")
    if failed:
        raise typer.Exit(1)


@policy_app.command("library")
def list_library() -> None:
    """Show the ready policies that come with the gateway; add one by its name under `policy_library`.

    Examples:

        querygate policy library
    """
    from gateway.policy.library import library_names, read_library

    table = Table(box=None, pad_edge=False)
    table.add_column("NAME", no_wrap=True)
    table.add_column("DESCRIPTION")
    for name in library_names():
        table.add_row(name, escape(read_library(name).description.strip()))
    Console().print(table)


@policy_app.command()
def explain(
    sql: Annotated[str, typer.Argument(help="The statement. It is not run.")],
    principal: Annotated[str, typer.Option("--as", help="Who asks: a principal of the configuration.")],
    resource: Annotated[str, typer.Option("--resource", "-r", help="The resource that is asked.")],
    config: ConfigOption = DEFAULT_CONFIG,
    database: Annotated[
        str | None, typer.Option("--database", "-d", help="Another database than the resource's own.")
    ] = None,
    application: Annotated[str, typer.Option(help="The application's name as the client would give it.")] = "",
    client_address: Annotated[str, typer.Option(help="Where the client would come from.")] = "127.0.0.1",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one JSON document.")] = False,
) -> None:
    """Say what the gateway would do with a statement, and why, without running it.

    The database's catalog is read with the gateway's own credentials; nothing else is asked of it, and nothing is
    written to the audit. The server's own word on where a result column comes from is added only when a statement
    runs, so the masks shown here are those by lineage alone.

    Examples:

        querygate policy explain --as ana@example.com --resource shop-prod "SELECT email FROM customers"

        querygate policy explain --as copilot -r shop-prod --json "DELETE FROM orders"
    """
    import asyncio
    import json

    from gateway.config import load_config
    from gateway.policy.explain import Question
    from gateway.policy.explain import explain as work_out
    from gateway.policy.explanation import as_document
    from gateway.policy.explanation_text import print_explanation

    question = Question(principal, resource, sql, database, application, client_address)
    try:
        explanation = asyncio.run(work_out(load_config(config, environ=os.environ), question))
    except ConfigurationError:
        raise
    except GatewayError as error:
        raise ConfigurationError(str(error)) from error
    if as_json:
        typer.echo(json.dumps(as_document(explanation), indent=2, ensure_ascii=False))
    else:
        print_explanation(explanation, Console(highlight=False, soft_wrap=True))


@policy_app.command()
def replay(
    config: ConfigOption = DEFAULT_CONFIG,
    policies: Annotated[
        list[Path] | None,
        typer.Option(
            "--policies", "-f", help="Files whose policies take the place of the configuration's.", dir_okay=False
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Compare with this configuration, not with what was decided.", dir_okay=False),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option("--audit", help="The audit log; left out: the one in the data_dir.", file_okay=False)
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How far back: 12h, 7d, or a time such as 2026-11-01.")] = "7d",
    until: Annotated[str | None, typer.Option("--until", help="Where to end, in the same form.")] = None,
    principal: Annotated[str | None, typer.Option("--principal", "-p", help="Only this one's statements.")] = None,
    resource: Annotated[str | None, typer.Option("--resource", "-r", help="Only statements on this resource.")] = None,
    enforce: Annotated[
        list[str] | None, typer.Option("--enforce", help="Take a warn or draft policy as if it were enforced.")
    ] = None,
    enforce_all: Annotated[bool, typer.Option("--enforce-all", help="Take all of them so.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one JSON document.")] = False,
) -> None:
    """Ask a candidate set of policies about the recorded past: what would it have decided differently?

    Every recorded statement is decided again by the candidate, from the facts that the audit keeps. No database and no
    secret is needed. Exit status: 0 nothing changes, 2 something does; 1 where the candidate or the log cannot be read.

    Examples:

        querygate policy replay --config candidate.yaml --since 7d

        querygate policy replay --policies policies.yaml --since 30d --json

        querygate policy replay --enforce no-select-star --since 7d

        querygate policy replay --config candidate.yaml --against querygate.yaml --audit /var/lib/querygate/audit
    """
    import json

    from gateway.audit.events import EventFilter
    from gateway.audit.reader import iter_events
    from gateway.config.outline import load_outline
    from gateway.policy.recorded import RecordedStatement, read_statement
    from gateway.policy.replay import Candidate, unknown_policies
    from gateway.policy.replay import replay as work_out
    from gateway.policy.replay_text import print_replay, replay_document

    try:
        outline = load_outline(config, policies=policies or [])
        if wrong := unknown_policies(enforce or [], outline):
            raise ConfigurationError(f"--enforce: there is no policy {', '.join(wrong)}")
        candidate = Candidate(outline, enforce=enforce or [], enforce_all=enforce_all)
        other = None if against is None else Candidate(load_outline(against))
        wanted = EventFilter(
            principal=principal,
            resource=resource,
            since=_moment(since),
            until=None if until is None else _moment(until),
        )

        def recorded() -> Iterator[RecordedStatement | None]:
            for found in iter_events(audit or outline.data_dir / "audit", wanted):
                try:
                    statement = read_statement(found.line)
                except ValueError:
                    yield None
                    continue
                if statement is not None:
                    yield statement

        result = work_out(recorded(), candidate, against=other)
    except (ConfigurationError, AuditError) as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(replay_document(result), indent=2, ensure_ascii=False))
    else:
        print_replay(result, Console(highlight=False))
    if result.differences:
        raise typer.Exit(2)


def _moment(text: str) -> int:
    """A time, or how long ago, as Unix milliseconds."""
    import time
    from datetime import UTC, datetime

    from gateway.policy.units import parse_duration

    try:
        return int((time.time() - parse_duration(text)) * 1000)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f'"{text}" is neither a duration such as 7d nor a time such as 2026-11-01') from None
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _documents(
    files: list[Path], config: Path | None, library: list[str], *, all_library: bool
) -> list[PolicyDocument]:
    from gateway.policy.files import read_policies
    from gateway.policy.library import library_names, load_library

    names = library_names() if all_library else tuple(library)
    paths = [*files, *([] if config is None else [config])]
    if not paths and not names:
        paths = [Path(os.environ.get("QUERYGATE_CONFIG", DEFAULT_CONFIG))]
    documents = [policy for path in paths for policy in read_policies(path)]
    return documents + [policy for name in names for policy in load_library(name)]


def _analyse(text: str, resource: Resource) -> Analysis:
    from gateway.policy.assumed import assumed_analysis

    return assumed_analysis(text, resource.protocol)


def _line(result: SampleResult, document: PolicyDocument) -> str:
    verdict = {True: "[green]pass[/]", False: "[red]FAIL[/]", None: "[red]FAIL[/]"}[result.passed]
    kind = "refused" if result.refused else "allowed"
    samples = document.samples.refused if result.refused else document.samples.allowed
    sample = samples[result.index]
    about = sample.description or " ".join((sample.sql or "").split())
    shown = f" ({about})" if about else ""
    return f"{verdict} {escape(f'{result.policy} {kind}[{result.index}]{shown}: {result.detail}')}"
