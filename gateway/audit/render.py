"""Events for people: one line each."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final

from rich.text import Text

from gateway.audit.events import Event
from gateway.terminal import one_line

_ADMIN: Final = "admin."
_COLOURS: Final = {
    "success": "green",
    "intent": "dim",
    "failure": "yellow",
    "refused": "bold red",
    "limited": "magenta",
    "skipped": "dim",
    "lost": "bold yellow",
    "login": "cyan",
    "login_failed": "bold red",
    "closed": "dim",
    "cancel": "yellow",
}


def render(event: Event, *, width: int = 0, zone: tzinfo = UTC) -> Text:
    """Time, who (for whom), resource, outcome, figures, policies and the statement, cut to ``width`` cells if not 0."""
    outcome = event.outcome
    line = Text(no_wrap=True, overflow="ellipsis", end="")
    stamp = datetime.fromtimestamp(event.time / 1000, tz=zone)
    line.append(stamp.strftime("%Y-%m-%d %H:%M:%S.") + f"{event.time % 1000:03} ", style="dim")
    if event.actor.user.name:
        line.append(_who(event), style="bold")
        where = event.dst_endpoint.name or event.dst_endpoint.svc_name
        line.append(f" {one_line(where)} " if where else " ", style="blue")
    line.append(one_line(outcome), style=_COLOURS.get(outcome, ""))
    if event.metadata.event_code.startswith(_ADMIN):
        line.append(f" {_done(event)}")
    for note in _figures(event):
        line.append(f" {note}", style="dim")
    line.append(" ")
    line.append(one_line(event.query_info.query_string or event.message or event.unmapped.reason))
    line.rstrip()
    if width:
        line.truncate(width, overflow="ellipsis")
    return line


def _who(event: Event) -> str:
    actor, *behind = event.principals
    text = one_line(actor)
    if not event.unmapped.session.authenticated:
        text += "?"
    return text + (f" (for {one_line(', '.join(behind))})" if behind else "")


def _done(event: Event) -> str:
    """What an administrator or an approver did, and to what."""
    operation = event.metadata.event_code.removeprefix(_ADMIN).removesuffix(".intent")
    return one_line(" ".join((operation, *(item.name for item in event.resources if item.name))))


def _figures(event: Event) -> list[str]:
    if not event.metadata.event_code.startswith("statement"):
        return []
    unmapped = event.unmapped
    figures = []
    if event.status_code:
        figures.append(one_line(event.status_code))
    if event.outcome not in ("intent", "refused", "skipped"):
        figures.append(f"rows={unmapped.rows}")
        if unmapped.masked_cells:
            labels = ",".join(f"{label}:{number}" for label, number in sorted(event.masked_by_label.items()))
            figures.append(f"masked={unmapped.masked_cells}" + (f"({one_line(labels)})" if labels else ""))
        figures.append(f"{unmapped.duration_us / 1000:.1f}ms")
    policies = [
        hit.policy if hit.mode == "enforce" else f"{hit.policy}({hit.mode})" for hit in unmapped.decision.policies
    ]
    if policies:
        figures.append(f"[{one_line(','.join(policies))}]")
    return figures
