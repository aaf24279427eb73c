"""``querygate approvals``: what waits for people, from a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from gateway.client.cli import open_client
from gateway.errors import ConfigurationError
from gateway.policy.units import format_duration, parse_duration
from gateway.terminal import harmless, one_line

approvals_app = typer.Typer(
    help="Look at what waits for an approval, and decide.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

Identifier = Annotated[str, typer.Argument(help="The request's id, as `list` shows it.")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why; the requester and the audit get to know it.")]
_POLL: Final = 1.0
"""Seconds between looks of ``watch``."""


@approvals_app.command("list")
def list_requests(
    state: Annotated[
        str, typer.Option(help="pending, approved, used, rejected, expired, withdrawn, revoked, or all.")
    ] = "pending",
    principal: Annotated[str | None, typer.Option(help="Who asks.")] = None,
    resource: Annotated[str | None, typer.Option(help="For which resource.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole requests, a JSON array.")] = False,
) -> None:
    """List requests, the newest first.

    Examples:

        querygate approvals list

        querygate approvals list --state all --principal ana@example.com --json
    """
    with open_client() as client:
        wanted = None if state == "all" else state
        found = client.pages("/v1/approvals", state=wanted, principal=principal, resource=resource)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if not found:
        typer.echo("nothing waits" if state == "pending" else "none")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("ID", "STATE", "WHO", "RESOURCE", "WHAT", "WAITS FOR"):
        table.add_column(heading, no_wrap=heading == "ID", overflow="fold")  # an id is for copying: it is never cut
    for request in found:
        groups = sorted({group for rule in request["rules"] for group in rule["approvers"]})
        table.add_row(
            request["id"], request["state"], _who(request), request["resource"], _what(request), ", ".join(groups)
        )
    Console(highlight=False, markup=False, soft_wrap=False).print(table)


@approvals_app.command()
def show(
    request: Identifier,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole request as JSON.")] = False,
) -> None:
    """Show all that an approver should know of a request.

    Examples:

        querygate approvals show 5f0c9a51d2
    """
    with open_client() as client:
        found = client.get(f"/v1/approvals/{request}")
    typer.echo(json.dumps(found, indent=2) if as_json else describe(found))


@approvals_app.command()
def approve(
    request: Identifier,
    reason: Reason = "",
    scope: Annotated[str, typer.Option(help="once, window or session, as far as the policy offers it.")] = "once",
    window: Annotated[str | None, typer.Option(help='How long, with --scope window: "30m".')] = None,
) -> None:
    """Approve a request.

    Examples:

        querygate approvals approve 5f0c9a51d2 --reason "reviewed in CHG-7"

        querygate approvals approve 5f0c9a51d2 --scope window --window 30m
    """
    decision: dict[str, object] = {"decision": "approve", "reason": reason, "scope": scope}
    if window is not None:
        try:
            decision["window_seconds"] = parse_duration(window)
        except ValueError as error:
            raise ConfigurationError(f"--window: {error}") from None
    _decide(request, "decision", decision)


@approvals_app.command()
def reject(request: Identifier, reason: Reason = "") -> None:
    """Reject a request.

    Examples:

        querygate approvals reject 5f0c9a51d2 --reason "not on a Friday"
    """
    _decide(request, "decision", {"decision": "reject", "reason": reason})


@approvals_app.command()
def revoke(request: Identifier, reason: Reason = "") -> None:
    """Take back what was granted and can still be used. `list --state approved` shows what there is.

    Examples:

        querygate approvals list --state approved

        querygate approvals revoke 5f0c9a51d2 --reason "dora has left the team"
    """
    _decide(request, "revocation", {"reason": reason})


@approvals_app.command("break-glass")
def break_glass(
    request: Identifier, reason: Annotated[str, typer.Option("--reason", "-m", help="Why it cannot wait.")]
) -> None:
    """Approve your own request in an emergency, where the policy lets you. It is recorded with the highest severity.

    Examples:

        querygate approvals break-glass 5f0c9a51d2 --reason "the site is down, INC-42"
    """
    _decide(request, "break-glass", {"decision": "approve", "reason": reason})


@approvals_app.command("request-access")
def request_access(
    group: Annotated[str, typer.Argument(help="The group that you want to belong to for a while.")],
    resource: Annotated[str, typer.Option("--resource", "-r", help="Where.")],
    duration: Annotated[str, typer.Option("--for", help='How long: "2h".')],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why.")],
) -> None:
    """Ask for a group for some time, where the configuration offers it to you.

    Examples:

        querygate approvals request-access pii-readers --resource shop-prod --for 2h --reason INC-42
    """
    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        raise ConfigurationError(f"--for: {error}") from None
    wish = {"group": group, "resource": resource, "duration_seconds": seconds, "reason": reason}
    with open_client() as client:
        made = client.post("/v1/access-requests", wish)
    typer.echo(f"request {made['id']} waits for an approval; connect again once it is granted")


@approvals_app.command()
def watch() -> None:
    """Show requests as they come, and what becomes of them, until interrupted.

    Examples:

        querygate approvals watch
    """
    known: dict[str, str] = {}
    with open_client() as client:
        try:
            while True:
                page = client.get("/v1/approvals", limit=100)
                for request in reversed(page["items"]):
                    identifier = request["id"]
                    state = f"{request['state']}/{len(request['verdicts'])}"
                    before = known.get(identifier)
                    if state == before or (before is None and request["state"] != "pending"):
                        continue
                    known[identifier] = state
                    where = f"{_who(request)} on {request['resource']}"
                    typer.echo(f"{identifier}  {request['state']:9}  {where}: {_what(request)}")
                time.sleep(_POLL)
        except KeyboardInterrupt:
            raise typer.Exit from None


def describe(request: Mapping[str, Any]) -> str:
    """A request as text, for people."""
    lines = [_line("request", request["id"], request["state"], request["note"])]
    source = request["client_address"] and f"from {request['client_address']}"
    lines.append(_line("who", _who(request), request["principal_kind"], source, request["application"]))
    through = f"through {request['gateway']}" if request.get("gateway") else ""
    lines.append(_line("where", request["resource"], request["environment"], request["database"], through))
    until = request["valid_until"] or request["expires_at"]
    lines.append(_line("asked", request["created_at"], f"good until {until}"))
    if request["reason"]:
        lines.append(_line("why", request["reason"]))
    if request["group"]:
        lines.append(_line("wants", _what(request)))
    statement = request["statement"]
    if statement:
        lines += _facts(statement)
    for rule in request["rules"]:
        wanted = f"{rule['count']} of {', '.join(rule['approvers'])}"
        lines.append(_line("policy", rule["policy"], wanted, f"may grant {', '.join(rule['scopes'])}"))
    for verdict in request["verdicts"]:
        word = "approved" if verdict["approve"] else "rejected"
        loud = "BREAK GLASS" if verdict["break_glass"] else "does not count any more" if verdict["lapsed"] else ""
        lines.append(_line("decided", f"{word} by {verdict['approver']}", loud, verdict["reason"]))
    if statement and statement["before"]:
        lines += ["", "what the session ran before:", *(f"    {harmless(text)}" for text in statement["before"])]
    if statement:
        # Whoever wrote it must not be able to show the approver another text than the one that will run.
        lines += ["", harmless(statement["text"])]
    return "\n".join(lines)


def _facts(statement: Mapping[str, Any]) -> list[str]:
    lines = [_line("does", ", ".join(statement["actions"]) or "nothing known")]
    lines += [_line(word, ", ".join(statement[word])) for word in ("reads", "writes", "labels") if statement[word]]
    rows = statement["estimated_rows"]
    about = "" if rows is None else f"about {rows} rows"
    lines.append(_line("bounded by", f"predicate {statement['predicate']}", about))
    if statement["opaque"]:
        lines.append(_line("not proven", "; ".join(statement["opaque"])))
    return lines


def _line(heading: str, *parts: str) -> str:
    return f"{heading:11} " + ", ".join(one_line(part) for part in parts if part)


def _decide(identifier: str, what: str, decision: Mapping[str, object]) -> None:
    with open_client() as client:
        after = client.post(f"/v1/approvals/{identifier}/{what}", decision)
    left = after["approvals_missing"]
    more = f"; {left} more to come" if after["state"] == "pending" else ""
    typer.echo(f"request {after['id']} is {after['state']}{more}")


def _who(request: Mapping[str, Any]) -> str:
    acts_for = request["acts_for"]
    return one_line(str(request["principal"]) + (f" (for {', '.join(acts_for)})" if acts_for else ""))


def _what(request: Mapping[str, Any]) -> str:
    if request["group"]:
        return f"group {one_line(request['group'])} for {format_duration(request['duration_seconds'])}"
    text = one_line(request["statement"]["text"])
    return text if len(text) <= 60 else text[:57] + "..."
