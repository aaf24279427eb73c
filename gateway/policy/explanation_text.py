"""An explanation as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.domain.decision import Decision, Effect, Mode, PolicyHit
from gateway.policy.explanation import (
    BY_LINEAGE,
    ExplainedColumn,
    ExplainedStatement,
    Explanation,
    show_budgets,
    show_mask,
    show_masks,
)

_ANY = "every label"


def print_explanation(explanation: Explanation, console: Console) -> None:
    """Facts, lineage, decision, obligations, refusal and masks, in this order."""
    who, chain = explanation.principal.name, explanation.principal.chain()
    behalf = "".join(f", for {above.name}" for above in chain[1:])
    _field(console, "who", f"{who}{behalf} on {explanation.resource.name}, database {explanation.database}")
    if explanation.decision is None:
        _field(console, "session", f"refused: {explanation.session.reason}")
        _verdict(explanation, console)
        return
    if not explanation.statements:
        _field(console, "statement", "none: the text holds nothing to run")
    for number, statement in enumerate(explanation.statements, 1):
        if len(explanation.statements) > 1:
            console.rule(f"statement {number}", align="left")
        _print_facts(statement, console)
        _print_columns(statement, console, masked=bool(explanation.decision.obligations.masks))
    if len(explanation.statements) > 1:
        console.rule("the whole text", align="left")
    _print_decision(explanation.decision, console)
    _verdict(explanation, console)


def _print_facts(statement: ExplainedStatement, console: Console) -> None:
    facts = statement.facts
    _field(console, "kind", f"{facts.kind}: {', '.join(sorted(action.value for action in facts.actions))}")
    for name, items in (
        ("reads", facts.objects_read),
        ("writes", facts.objects_written),
        ("calls", facts.functions),
        ("columns read", facts.columns_read),
        ("columns written", facts.columns_written),
        ("columns filtered", facts.columns_filtered),
    ):
        if items:
            _field(console, name, _listed(items))
    _field(console, "predicate", facts.predicate.value.replace("_", " "))
    _field(console, "labels", _listed(statement.labels) or "none")
    if facts.copies_data:
        _field(console, "copies", "stores values that it reads")
    if facts.session_effects:
        _field(console, "session", f"may change {_listed(effect.value for effect in facts.session_effects)}")
    if facts.reads_everything:
        _field(console, "reads more", "it may read columns that are not named above")
    _field(console, "opaque", "; ".join(facts.opaque) if facts.opaque else "no: everything above is proven")


def _print_columns(statement: ExplainedStatement, console: Console, *, masked: bool) -> None:
    if statement.columns is None:
        unknown = (
            "not known from the text; if there is one, what the server does not prove to be free of labels is masked"
        )
        _field(console, "result", unknown if masked else "not known from the text, or none")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("RESULT COLUMN", "SOURCES", "PROVEN", "BARE", "LABELS", "MASK"):
        table.add_column(heading, overflow="fold")
    for column in statement.columns:
        table.add_row(*map(escape, _cells(column)))
    console.print(table)
    if masked:
        console.print(f"[dim]masks {BY_LINEAGE}[/]")


def _cells(column: ExplainedColumn) -> tuple[str, ...]:
    lineage = column.lineage
    return (
        lineage.name if lineage.name.isprintable() else "?",
        "\n".join(sorted(map(str, lineage.sources))) or ("none" if lineage.proven else "unknown"),
        "yes" if lineage.proven else "no",
        "yes" if lineage.bare else "no",
        _ANY if column.labels is None else "\n".join(sorted(column.labels)) or "none",
        "none" if column.mask is None else show_mask(column.mask.spec),
    )


def _print_decision(decision: Decision, console: Console) -> None:
    _field(console, "decision", f"{decision.effect.value.replace('_', ' ')}: {decision.reason}")
    if not decision.cacheable:
        _field(console, "", "the answer may be another one at another time")
    for hit in decision.hits:
        _field(console, "policy", f"{hit.policy} ({hit.effect.value}): {_role(hit)}")
    for warning in decision.warnings:
        _field(console, "notice", warning)
    obligations = decision.obligations
    by_functions: dict[str, list[str]] = {}
    for label, functions in show_masks(obligations.masks).items():
        by_functions.setdefault(", ".join(functions), []).append(label)
    for name, labels in by_functions.items():
        _field(console, "mask", f"{name}: {', '.join(labels)}")
    if not obligations.inference:
        _field(console, "inference", "masked columns may not be used to filter, join, order or group")
    if obligations.row_limit is not None:
        _field(console, "row limit", str(obligations.row_limit))
    if obligations.timeout is not None:
        _field(console, "timeout", f"{obligations.timeout:g} s")
    if obligations.changes is not None:
        _field(console, "changes", f"at most {obligations.changes} rows")
    for budget in show_budgets(obligations.budgets):
        _field(console, "budget", budget)


def _role(hit: PolicyHit) -> str:
    match hit.mode:
        case Mode.DRAFT:
            return "draft: recorded, decides nothing"
        case Mode.WARN:
            return "warn: recorded, tells the client, decides nothing"
        case Mode.ENFORCE:
            pass
    roles = {
        Effect.ALLOW: "allows",
        Effect.DENY: "denies",
        Effect.REQUIRE_APPROVAL: "holds the statement for an approval",
        Effect.MASK: "masks labels that the statement touches",
        Effect.LIMIT: "limits rows or time",
    }
    return roles[hit.effect]


def _verdict(explanation: Explanation, console: Console) -> None:
    if explanation.allowed:
        console.print("[green]the database would see it[/]")
        if explanation.redacts_messages:
            console.print("[dim]messages of the database about it would be withheld[/]")
        return
    by = "the masking guard: " if explanation.masking_refusal else ""
    console.print(f"[red]refused[/] {escape(f'by {by}{explanation.refusal}' if by else f'{explanation.refusal}')}")
    _field(console, "client reads", explanation.client_message or "")


def _field(console: Console, name: str, value: str) -> None:
    console.print(f"[bold]{name:<16}[/] {escape(value)}")


def _listed(items: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, items)))
