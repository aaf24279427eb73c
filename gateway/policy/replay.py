"""A candidate set of policies, asked about the recorded past: what would it have decided differently?

Every statement in the audit carries the facts that it was decided on, who asked for it, on what and from where. So a
policy can be tried on last week's real statements before it counts, and a change of a policy can show what it changes.

What is worked out is the candidate's decision and the masking guard's refusal, not what a database would have answered.
Principals and resources are the candidate's where it has them (so that a changed group shows), and the recorded ones
otherwise. Labels are by the candidate's classifications; a database's own relations between columns (a view's columns
carry what is behind them) are not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from gateway.audit.ocsf import DecisionForm, decision_form
from gateway.config.outline import Outline
from gateway.domain.decision import AccessRequest, Decision, Effect, Mode
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.domain.statement import ColumnRef, ObjectRef
from gateway.masking.guard import guard
from gateway.policy.compile import CompiledPolicySet, compile_policies
from gateway.policy.documents import PolicyDocument
from gateway.policy.evaluate import evaluate_chain, evaluate_session
from gateway.policy.labels import LabelIndex
from gateway.policy.memo import remember
from gateway.policy.recorded import RecordedStatement

GUARD: Final = "(masking guard)"
NOBODY: Final = "(no policy allows it)"
_REMEMBERED: Final = 65_536
_NO_LABELS: Final = LabelIndex(())
_NOT_POLICY: Final = ("AuditError", "PolicyEvaluationError", "LimitExceeded", "MessageTooLarge")


class Change(StrEnum):
    """How a decision differs, the gravest first."""

    ALLOWED = "newly allowed"
    REFUSED = "newly refused"
    HELD = "newly held for approval"
    UNMASKED = "no longer masked"
    MASKED = "newly masked"
    MASKED_OTHERWISE = "masked otherwise"
    LIMITED = "other limits"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a decision comes to."""

    effect: Effect
    policy: str
    """Which one decided; in parentheses what decides instead of a policy."""
    masks: Mapping[str, object]
    limits: tuple[int | None, float | None]


@dataclass(slots=True)
class Difference:
    """Statements of one principal that one policy decides differently in one way."""

    change: Change
    principal: str
    policy: str
    resource: str
    before: str
    after: str
    count: int = 0
    fingerprints: set[str] = field(default_factory=set)
    example: RecordedStatement | None = None
    """The last one."""


@dataclass(slots=True)
class Replay:
    """The outcome. ``principals`` are all whose statements were looked at."""

    statements: int = 0
    unchanged: int = 0
    not_comparable: int = 0
    """Refused for another reason than a policy: a failing plugin, an audit that could not be written."""
    unreadable: int = 0
    principals: set[str] = field(default_factory=set)
    differences: list[Difference] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """Statements that would be decided differently."""
        return sum(difference.count for difference in self.differences)


class Candidate:
    """Policies with what they are asked about, made ready."""

    def __init__(self, outline: Outline, *, enforce: Iterable[str] = (), enforce_all: bool = False) -> None:
        """``enforce`` names policies in ``warn`` or ``draft`` mode that are to count, ``enforce_all`` takes all."""
        chosen = set(enforce)
        documents = [_enforced(item) if enforce_all or item.name in chosen else item for item in outline.policies]
        self.policies: CompiledPolicySet = compile_policies(documents)
        self._outline = outline
        self._labels = {
            name: LabelIndex(item for item in outline.classifications if item.resource == name)
            for name in {item.resource for item in outline.classifications}
        }
        self._tables = {
            name: LabelIndex(replace(item, column="*", path=False) for item in index.classifications)
            for name, index in self._labels.items()
        }
        """The labels that any column of a table may carry."""

    def decide(self, statement: RecordedStatement) -> Verdict:
        """The candidate's answer."""
        principal = _now(statement.principal, self._outline.principals)
        resource = self._outline.resources.get(statement.resource.name, statement.resource)
        request = self._request(statement, principal, resource)
        admitted = evaluate_session(self.policies, request)
        if admitted.effect is not Effect.ALLOW:
            return verdict(admitted, request.labels)
        decision = evaluate_chain(self.policies, request, now=statement.time)
        found = verdict(decision, request.labels)
        if decision.effect is Effect.ALLOW and self._guarded(statement, decision, resource):
            return replace(found, effect=Effect.DENY, policy=GUARD)
        return found

    def cacheable(self) -> bool:
        """Whether statements that agree in everything but their text and their time are decided alike."""
        return not self.policies.uses_text and "now" not in self.policies.variables

    def _request(self, statement: RecordedStatement, principal: Principal, resource: Resource) -> AccessRequest:
        index = self._labels.get(resource.name, _NO_LABELS)
        labels: set[str] = set()
        for facts in statement.analysis.statements:
            if facts.reads_everything or facts.opaque:
                labels |= index.all_labels
            labels |= index.labels_of_all(facts.columns_read | facts.columns_written)
        return AccessRequest(
            principal,
            resource,
            statement.session,
            statement.analysis,
            statement.text,
            labels=frozenset(labels),
            resource_labels=index.all_labels,
        )

    def _guarded(self, statement: RecordedStatement, decision: Decision, resource: Resource) -> bool:
        masked = frozenset(decision.obligations.masks)
        if not masked:
            return False
        index = self._labels.get(resource.name, _NO_LABELS)
        tables = self._tables.get(resource.name, _NO_LABELS)

        def has_masked(target: ObjectRef) -> bool:
            # Without a catalog, by the classifications' own words for the table.
            whole = ColumnRef(target.schema, target.name, "any")
            return not target.schema or not tables.labels_of(whole).isdisjoint(masked)

        return any(
            guard(
                facts,
                labels_of=index.labels_of,
                masked=masked,
                inference=decision.obligations.inference,
                has_masked_columns=has_masked,
            )
            is not None
            for facts in statement.analysis.statements
        )


def replay(
    statements: Iterable[RecordedStatement | None],
    candidate: Candidate,
    *,
    against: Candidate | None = None,
    seen: Callable[[int], None] = lambda count: None,
) -> Replay:
    """Ask the candidate about every statement (None: one that could not be read).

    It is compared with what was decided then, or with what ``against`` says of the same statement. ``seen`` is told how
    many were looked at, for a display.
    """
    result = Replay()
    grouped: dict[tuple[Change, str, str, str, str, str], Difference] = {}
    known: dict[bytes, tuple[Verdict, Verdict]] = {}
    share = candidate.cacheable() and (against is None or against.cacheable())
    for statement in statements:
        if statement is None:
            result.unreadable += 1
            continue
        result.statements += 1
        seen(result.statements)
        result.principals.add(statement.principal.name)
        pair = known.get(statement.key) if share else None
        if pair is None:
            before = _recorded(statement.decision) if against is None else against.decide(statement)
            if before is None:
                result.not_comparable += 1
                continue
            pair = (before, candidate.decide(statement))
            if share:
                remember(known, statement.key, pair, limit=_REMEMBERED)
        before, after = pair
        change = _change(before, after)
        if change is None:
            result.unchanged += 1
            continue
        policy = before.policy if change is Change.ALLOWED or change is Change.UNMASKED else after.policy
        key = (change, statement.principal.name, policy, statement.resource.name, _say(before), _say(after))
        difference = grouped.get(key)
        if difference is None:
            difference = grouped[key] = Difference(*key)
        difference.count += 1
        difference.fingerprints.add(statement.analysis.fingerprint)
        difference.example = statement
    order = list(Change)
    result.differences = sorted(grouped.values(), key=lambda item: (order.index(item.change), -item.count))
    return result


def verdict(decision: Decision, labels: frozenset[str]) -> Verdict:
    """What a decision comes to, with the masks of the labels that the statement touches."""
    form = decision_form(decision, None)
    masks = {label: tuple(specs) for label, specs in form.masks.items() if label in labels}
    return _verdict(form, masks)


def _verdict(form: DecisionForm, masks: Mapping[str, object]) -> Verdict:
    effect = Effect(form.effect)
    if effect is Effect.ALLOW:
        hits = [hit for hit in form.policies if hit.effect == Effect.MASK and hit.mode == Mode.ENFORCE]
        policy = hits[0].policy if hits else ""
        limits = [hit for hit in form.policies if hit.effect == Effect.LIMIT and hit.mode == Mode.ENFORCE]
        policy = policy or (limits[0].policy if limits else "")
    else:
        deciding = [hit for hit in form.policies if hit.effect == effect and hit.mode == Mode.ENFORCE]
        policy = deciding[0].policy if deciding else NOBODY
    return Verdict(effect, policy, masks, (form.row_limit, form.timeout))


def _recorded(form: DecisionForm) -> Verdict | None:
    """What was decided then; None where it was not a policy's doing."""
    name = form.refusal.partition(":")[0]
    if name in _NOT_POLICY or not form.effect:
        return None
    found = _verdict(form, {label: tuple(specs) for label, specs in form.masks.items()})
    if name == "MaskingRefusal":
        return replace(found, effect=Effect.DENY, policy=GUARD)
    return found


def _change(before: Verdict, after: Verdict) -> Change | None:
    if before.effect is not after.effect:
        match after.effect:
            case Effect.ALLOW:
                return Change.ALLOWED
            case Effect.REQUIRE_APPROVAL:
                return Change.HELD
            case _:
                return Change.REFUSED
    if after.effect is not Effect.ALLOW:
        return None  # refused either way: by whom makes no difference to anybody
    if before.masks.keys() - after.masks.keys():
        return Change.UNMASKED
    if after.masks.keys() - before.masks.keys():
        return Change.MASKED
    if before.masks != after.masks:
        return Change.MASKED_OTHERWISE
    return Change.LIMITED if before.limits != after.limits else None


def _say(found: Verdict) -> str:
    if found.effect is not Effect.ALLOW:
        return found.effect.value
    parts = [f"mask {', '.join(sorted(found.masks))}"] if found.masks else []
    rows, timeout = found.limits
    parts += [] if rows is None else [f"{rows} rows"]
    parts += [] if timeout is None else [f"{timeout:g} s"]
    return "allow" + (f" ({'; '.join(parts)})" if parts else "")


def _now(principal: Principal, known: Mapping[str, Principal]) -> Principal:
    """The principal as the candidate has it, or as it was; whom it acted for is what it was then."""
    current = known.get(principal.name, principal)
    above = None if principal.acts_for is None else _now(principal.acts_for, known)
    return replace(current, acts_for=above)


def _enforced(document: PolicyDocument) -> PolicyDocument:
    return document.model_copy(update={"mode": Mode.ENFORCE})


def unknown_policies(names: Sequence[str], outline: Outline) -> list[str]:
    """Names that no policy of the candidate has."""
    known = {item.name for item in outline.policies}
    return [name for name in names if name not in known]
