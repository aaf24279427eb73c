"""One answer from all policies.

The combining rule, in one place:

1. Every statement of a text is decided on its own, and the strictest answer holds for the text.
2. A ``deny`` that may apply denies. Otherwise a ``require_approval`` that may apply holds the statement.
3. Each action of the statement, on each object it is about, must be allowed by an ``allow`` policy that certainly
   applies, or put before a human by a ``require_approval`` policy that certainly applies. What is left over is denied.
4. Masks and limits that may apply become obligations; the strictest of each wins.
5. ``warn`` and ``draft`` policies are recorded and decide nothing; ``warn`` also has a message for the client.

"May apply" and "certainly applies" differ where facts are not proven: see ``gateway.policy.facts``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from gateway.domain.budget import Budget
from gateway.domain.decision import AccessRequest, Decision, Effect, Mode, Obligations, PolicyHit
from gateway.domain.masking import MaskSpec
from gateway.domain.principal import Principal
from gateway.domain.statement import StatementFacts
from gateway.policy.combine import smaller, strictest, unique
from gateway.policy.compile import CompiledPolicySet
from gateway.policy.compiled import CompiledPolicy
from gateway.policy.conditions import Bindings, CelInput, Condition
from gateway.policy.documents import BudgetDocument
from gateway.policy.facts import Coverage, StatementView
from gateway.policy.scopes import Scope

_WARNINGS: Final = {
    Effect.DENY: "a policy that is not enforced yet would refuse this statement",
    Effect.REQUIRE_APPROVAL: "a policy that is not enforced yet would hold this statement for approval",
}


def evaluate_chain(policies: CompiledPolicySet, request: AccessRequest, *, now: datetime) -> Decision:
    """The answer for the principal and everybody it acts for: what all of them may, under all of their obligations."""
    return strictest([_evaluate(policies, request, principal, now) for principal in request.principal.chain()])


def evaluate(policies: CompiledPolicySet, request: AccessRequest, *, now: datetime) -> Decision:
    """The answer for ``request.principal`` alone, whomever it acts for. ``now`` must be aware of its time zone."""
    return _evaluate(policies, request, request.principal, now)


def evaluate_session(policies: CompiledPolicySet, request: AccessRequest) -> Decision:
    """Whether the principal, and everybody it acts for, may use the resource at all. The statement is not looked at."""
    return strictest(
        [
            _decide_session(policies.scopes.of(principal, request.resource), request, principal)
            for principal in request.principal.chain()
        ]
    )


def _evaluate(policies: CompiledPolicySet, request: AccessRequest, principal: Principal, now: datetime) -> Decision:
    scope = policies.scopes.of(principal, request.resource)
    if request.analysis is None or not request.analysis.statements:
        # A text without a statement (an empty query, a comment) does nothing beyond being in the session.
        return _decide_session(scope, request, principal)
    context = _Context(policies, request, principal, now)
    return strictest([_decide(scope, request, facts, context) for facts in request.analysis.statements])


def _decide_session(scope: Scope, request: AccessRequest, principal: Principal) -> Decision:
    """Whether the principal may come in at all: something may be allowed, and nothing forbids all of it.

    Masks and budgets of cells are given as if every condition held, so that nobody's session is taken for unmasked by
    the time of day.
    """
    hits: list[PolicyHit] = []
    denied: CompiledPolicy | None = None
    allowed = False
    for policy in (*scope.restricting, *scope.allowing):
        match policy.effect:
            case Effect.DENY if policy.whole_session:
                hits.append(PolicyHit(policy.name, policy.effect, policy.mode))
                if policy.mode is Mode.ENFORCE:
                    denied = denied or policy
            case Effect.ALLOW if policy.mode is Mode.ENFORCE:
                allowed = True
            case _:
                pass
    if denied is not None:
        return Decision(Effect.DENY, f"denied by policy {denied.name}", denied.message, hits=tuple(hits))
    if not allowed:
        return Decision(Effect.DENY, f"no policy allows anything on resource {request.resource.name}", hits=tuple(hits))
    masks, inference = _collect_masks(
        [pair for pair in scope.masks(request.resource_labels) if pair[0].mode is Mode.ENFORCE]
    )
    return Decision(
        Effect.ALLOW,
        "a policy allows something on the resource",
        hits=tuple(hits),
        obligations=Obligations(
            masks=masks, inference=inference, budgets=frozenset(_cell_budgets(scope, request, principal))
        ),
    )


class _Context:
    """What is bound to the condition variables, made when the first condition asks."""

    __slots__ = ("_now", "_policies", "_request", "_shared", "principal")

    def __init__(
        self, policies: CompiledPolicySet, request: AccessRequest, principal: Principal, now: datetime
    ) -> None:
        self._policies = policies
        self._request = request
        self.principal = principal
        self._now = now
        self._shared: dict[str, CelInput] | None = None

    def bind(self, view: StatementView) -> Bindings:
        if self._shared is None:
            self._shared = _request_variables(self._request, self.principal, self._now)
        return self._policies.engine.bind(self._shared | view.variables(self._policies.variables))


class _Answers:
    """The answers of conditions for one statement: equal conditions are asked once."""

    __slots__ = ("_bindings", "_context", "_known", "_view", "cacheable")

    def __init__(self, context: _Context, view: StatementView) -> None:
        self._context = context
        self._view = view
        self._bindings: Bindings | None = None
        self._known: dict[Condition, bool | None] = {}
        self.cacheable = True

    def ask(self, policy: CompiledPolicy) -> bool | None:
        """True, False, or None where the answer cannot be known."""
        condition = policy.condition
        if condition is None:
            return True
        if policy.volatile:
            self.cacheable = False
        if condition in self._known:
            return self._known[condition]
        if self._bindings is None:
            self._bindings = self._context.bind(self._view)
        answer = condition.evaluate(self._bindings)
        self._known[condition] = answer
        return answer


def _decide(scope: Scope, request: AccessRequest, facts: StatementFacts, context: _Context) -> Decision:
    view = StatementView(facts, request)
    answers = _Answers(context, view)
    coverage = Coverage(view)
    hits: list[PolicyHit] = []
    warnings: list[str] = []
    denied: CompiledPolicy | None = None
    held: list[CompiledPolicy] = []
    row_limit: int | None = None
    timeout: float | None = None
    changes: int | None = None
    budgets = set(_cell_budgets(scope, request, context.principal))

    named = None if view.unsure else view.objects
    restricting, allowing = scope.for_statement(view.actions, named)
    for policy in restricting:
        if not view.may_match(policy) or (answer := answers.ask(policy)) is False:
            continue
        hits.append(PolicyHit(policy.name, policy.effect, policy.mode))
        if policy.mode is not Mode.ENFORCE:
            _warn(policy, warnings)
            continue
        match policy.effect:
            case Effect.DENY:
                denied = denied or policy
            case Effect.REQUIRE_APPROVAL:
                held.append(policy)
                if answer is True and view.proves(policy):
                    coverage.add(policy)
            case Effect.LIMIT if policy.limit is not None:
                row_limit = smaller(row_limit, policy.limit.rows)
                timeout = smaller(timeout, policy.limit.timeout)
                changes = smaller(changes, policy.limit.changes)
                if policy.limit.budget is not None:
                    budgets.add(_budget(policy, policy.limit.budget, context.principal))
            case _:
                # An effect that nobody here knows how to carry out.
                denied = denied or policy
    for policy in allowing:
        if not view.proves(policy) or answers.ask(policy) is not True:
            continue
        if policy.mode is Mode.ENFORCE:
            matched = coverage.add(policy)
        else:
            matched = Coverage(view).add(policy)
            if matched:
                _warn(policy, warnings)
        if matched:
            hits.append(PolicyHit(policy.name, policy.effect, policy.mode))

    masking: list[tuple[CompiledPolicy, frozenset[str]]] = []
    for policy, labels in scope.masks(request.resource_labels):
        if answers.ask(policy) is False:
            continue
        touched = not labels.isdisjoint(view.labels)
        if touched:
            hits.append(PolicyHit(policy.name, policy.effect, policy.mode))
        if policy.mode is Mode.ENFORCE:
            masking.append((policy, labels))
        elif touched:
            _warn(policy, warnings)
    masks, inference = _collect_masks(masking)

    effect, reason, message = _conclude(denied, held, coverage)
    return Decision(
        effect=effect,
        reason=reason,
        message=message,
        hits=tuple(hits),
        obligations=Obligations(
            masks=masks,
            row_limit=row_limit,
            timeout=timeout,
            inference=inference,
            approvals=frozenset(policy.approval for policy in held if policy.approval is not None),
            changes=changes,
            budgets=frozenset(budgets),
        ),
        cacheable=answers.cacheable,
        warnings=unique(warnings),
    )


def _conclude(
    denied: CompiledPolicy | None, held: list[CompiledPolicy], coverage: Coverage
) -> tuple[Effect, str, str | None]:
    if denied is not None:
        return Effect.DENY, f"denied by policy {denied.name}", denied.message
    if not coverage.complete:
        return Effect.DENY, f"no policy allows {', '.join(coverage.missing)} here", None
    if held:
        names = ", ".join(policy.name for policy in held)
        message = next((policy.message for policy in held if policy.message), None)
        return Effect.REQUIRE_APPROVAL, f"approval required by policy {names}", message
    return Effect.ALLOW, "allowed by policy", None


def _collect_masks(
    pairs: list[tuple[CompiledPolicy, frozenset[str]]],
) -> tuple[Mapping[str, frozenset[MaskSpec]], bool]:
    found: dict[str, set[MaskSpec]] = {}
    inference = True
    for policy, labels in pairs:
        if policy.mask is None:
            continue
        inference = inference and policy.inference
        for label in labels:
            found.setdefault(label, set()).add(policy.mask)
    return MappingProxyType({label: frozenset(specs) for label, specs in found.items()}), inference


def _cell_budgets(scope: Scope, request: AccessRequest, principal: Principal) -> Iterator[Budget]:
    """Budgets of cells hold whatever a statement seems to touch, as masks do."""
    for policy, labels in scope.cells(request.resource_labels):
        if policy.mode is Mode.ENFORCE and policy.limit is not None and policy.limit.budget is not None:
            budget = policy.limit.budget
            yield Budget(policy.name, principal.name, budget.per, cells=budget.cells, labels=labels)


def _budget(policy: CompiledPolicy, budget: BudgetDocument, principal: Principal) -> Budget:
    """The budget of statements and rows of a policy that may apply."""
    return Budget(policy.name, principal.name, budget.per, statements=budget.statements, rows=budget.rows)


def _warn(policy: CompiledPolicy, warnings: list[str]) -> None:
    if policy.mode is Mode.WARN:
        text = policy.message or _WARNINGS.get(policy.effect)
        if text is not None:
            warnings.append(text)


def _request_variables(request: AccessRequest, principal: Principal, now: datetime) -> dict[str, CelInput]:
    resource, session = request.resource, request.session
    return {
        "principal.name": principal.name,
        "principal.kind": principal.kind.value,
        "principal.groups": sorted(principal.groups),
        "principal.attributes": dict(principal.attributes),
        "principal.acts_for": "" if principal.acts_for is None else principal.acts_for.name,
        "resource.name": resource.name,
        "resource.protocol": resource.protocol,
        "resource.environment": resource.environment,
        "resource.database": resource.database or "",
        "resource.labels": dict(resource.labels),
        "session.client_address": session.client_address,
        "session.application": session.application,
        "session.tls": session.tls,
        "session.user": session.user,
        "session.database": session.database or "",
        "now": now.astimezone(UTC),
    }
