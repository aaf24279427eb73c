"""``querygate approvals``: what waits for people, from a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.client.approvals_text import describe, extent, line, print_table, to_the_second
from gateway.client.cli import open_client
from gateway.domain.approval import GrantScope
from gateway.errors import ConfigurationError
from gateway.policy.units import parse_duration

approvals_app = typer.Typer(
    help="Look at what waits for an approval, and decide. Exit codes: 0 done, 2 refused or not possible.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


class StateFilter(StrEnum):
    """States of requests, as ``gateway.domain.approval.ApprovalState`` has them, and all of them."""

    PENDING = "pending"
    APPROVED = "approved"
    USED = "used"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    ALL = "all"


Identifier = Annotated[str, typer.Argument(help="The request's id, as `list` shows it.")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why; the requester and the audit get to know it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole request as JSON.")]


@approvals_app.command("list")
def list_requests(
    state: Annotated[StateFilter, typer.Option(help="Only those in this state.")] = StateFilter.PENDING,
    principal: Annotated[str | None, typer.Option(help="Who asks.")] = None,
    resource: Annotated[str | None, typer.Option(help="For which resource.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole requests, a JSON array.")] = False,
) -> None:
    """List requests, the newest first. In a pipe each stays on one line.

    Examples:

        querygate approvals list

        querygate approvals list --state approved

        querygate approvals list --state all --principal ana@example.com --json
    """
    with open_client() as client:
        wanted = None if state is StateFilter.ALL else state.value
        found = client.pages("/v1/approvals", state=wanted, principal=principal, resource=resource)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif not found:
        typer.echo("nothing waits" if state is StateFilter.PENDING else "none")
    else:
        print_table(found, datetime.now(UTC))


@approvals_app.command()
def show(request: Identifier, as_json: AsJson = False) -> None:
    """Show all that an approver should know of a request.

    Characters that could steer the terminal or reorder a line are shown as �; `--json` has them as escapes.

    Examples:

        querygate approvals show 5f0c9a51d2

        querygate approvals show 5f0c9a51d2 --json
    """
    with open_client() as client:
        found = client.get(_path(request))
    typer.echo(json.dumps(found, indent=2) if as_json else describe(found))


@approvals_app.command()
def approve(
    request: Identifier,
    reason: Reason = "",
    scope: Annotated[GrantScope, typer.Option(help="As far as the policy offers it.")] = GrantScope.ONCE,
    window: Annotated[str | None, typer.Option(help='How long, with --scope window: "30m".')] = None,
    as_json: AsJson = False,
) -> None:
    """Approve a request.

    Examples:

        querygate approvals approve 5f0c9a51d2 --reason "reviewed in CHG-7"

        querygate approvals approve 5f0c9a51d2 --scope window --window 30m
    """
    decision: dict[str, object] = {"decision": "approve", "reason": reason, "scope": scope.value}
    if window is not None:
        decision["window_seconds"] = _seconds(window, "--window")
    _decide(request, "decision", decision, as_json)


@approvals_app.command()
def reject(request: Identifier, reason: Reason = "", as_json: AsJson = False) -> None:
    """Reject a request.

    Examples:

        querygate approvals reject 5f0c9a51d2 --reason "not on a Friday"
    """
    _decide(request, "decision", {"decision": "reject", "reason": reason}, as_json)


@approvals_app.command()
def revoke(request: Identifier, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take back what was granted and can still be used. `list --state approved` shows what there is.

    Examples:

        querygate approvals list --state approved

        querygate approvals revoke 5f0c9a51d2 --reason "dora has left the team"
    """
    _decide(request, "revocation", {"reason": reason}, as_json)


@approvals_app.command("break-glass")
def break_glass(
    request: Identifier,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why it cannot wait.")],
    as_json: AsJson = False,
) -> None:
    """Approve your own request in an emergency, where the policy lets you. It is recorded with the highest severity.

    Examples:

        querygate approvals break-glass 5f0c9a51d2 --reason "the site is down, INC-42"
    """
    _decide(request, "break-glass", {"decision": "approve", "reason": reason}, as_json)


@approvals_app.command("request-access")
def request_access(
    group: Annotated[str, typer.Argument(help="The group that you want to belong to for a while.")],
    resource: Annotated[str, typer.Option("--resource", "-r", help="Where.")],
    duration: Annotated[str, typer.Option("--for", help='How long: "2h".')],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why.")],
    as_json: AsJson = False,
) -> None:
    """Ask for a group for some time, where the configuration offers it to you.

    Examples:

        querygate approvals request-access pii-readers --resource shop-prod --for 2h --reason INC-42
    """
    seconds = _seconds(duration, "--for")
    wish = {"group": group, "resource": resource, "duration_seconds": seconds, "reason": reason}
    with open_client() as client:
        made = client.post("/v1/access-requests", wish)
    text = f"request {made['id']} waits for an approval; connect again once it is granted"
    typer.echo(json.dumps(made, indent=2) if as_json else text)


@approvals_app.command()
def watch(
    as_json: Annotated[bool, typer.Option("--json", help="Print whole requests, one JSON document a line.")] = False,
) -> None:
    """Show what waits, what comes, and what becomes of it, until interrupted with Ctrl-C.

    While the API is away it is asked again, which is told on standard error. When the login is over, it ends with 2.

    Examples:

        querygate approvals watch

        querygate approvals watch --json | jq --unbuffered -r .id
    """
    from gateway.client.approvals_watch import Watch

    with open_client() as client:
        try:
            for request in Watch(client, _trouble).changes():
                typer.echo(json.dumps(request) if as_json else line(request, datetime.now()))  # noqa: DTZ005 - local
        except KeyboardInterrupt:
            raise typer.Exit from None


def _trouble(text: str) -> None:
    typer.echo(f"{text}; trying again" if text else "the API answers again", err=True)


def _decide(identifier: str, what: str, decision: Mapping[str, object], as_json: bool) -> None:
    with open_client() as client:
        after: Mapping[str, Any] = client.post(f"{_path(identifier)}/{what}", decision)
    left = after["approvals_missing"]
    more = f"; {left} more to come" if after["state"] == "pending" else ""
    if after["state"] == "approved" and (granted := extent(after)):
        more = f" {granted}, until {to_the_second(after['valid_until'])}"
    typer.echo(json.dumps(after, indent=2) if as_json else f"request {after['id']} is {after['state']}{more}")


def _path(identifier: str) -> str:
    if not identifier.strip():
        raise ConfigurationError("which request? the id is empty; `querygate approvals list` shows ids")
    return f"/v1/approvals/{quote(identifier, safe='')}"


def _seconds(text: str, option: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from None
