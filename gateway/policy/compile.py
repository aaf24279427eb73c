"""Policy documents made ready for evaluation.

``compile_policies`` checks everything that can be checked without a request and gives a ``CompiledPolicySet``: an
immutable value with a version that depends on nothing but the documents.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.domain.approval import ApprovalRule
from gateway.domain.decision import Effect
from gateway.domain.masking import MaskSpec
from gateway.domain.statement import ACTION_GROUPS, Action
from gateway.policy.checks import check_document
from gateway.policy.compiled import CompiledPolicy
from gateway.policy.conditions import CelEngine, Condition, ConditionEngine, ConditionError
from gateway.policy.documents import Approval, Match, PolicyDocument
from gateway.policy.globs import Globs, ObjectGlobs
from gateway.policy.problems import PolicyProblems, Problem
from gateway.policy.scopes import ScopeCache

T = TypeVar("T")
_ALL_ACTIONS: Final = frozenset(Action)
_DEFAULT_ALLOWED: Final = ACTION_GROUPS["*"]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPolicySet:
    """All policies of a snapshot, in the order in which they are written.

    ``version`` is a digest of the documents. ``uses_text`` True means that a condition reads ``statement.text``, so an
    answer must not be shared between statements that differ in a literal. ``session_variables`` are the ``session.*``
    variables that conditions read: an answer may be shared between sessions that agree in these.
    """

    documents: tuple[PolicyDocument, ...]
    policies: tuple[CompiledPolicy, ...]
    engine: ConditionEngine
    version: str
    variables: frozenset[str]
    """Everything that conditions read."""
    uses_text: bool
    session_variables: frozenset[str]
    by_name: Mapping[str, CompiledPolicy]
    scopes: ScopeCache = field(repr=False)

    @property
    def holds(self) -> bool:
        """Whether a statement could have to wait for an approval."""
        return any(policy.approval is not None for policy in self.policies)


def compile_policies(
    documents: Sequence[PolicyDocument], *, engine: ConditionEngine | None = None
) -> CompiledPolicySet:
    """Check and compile. Raises ``PolicyProblems`` with everything that is wrong."""
    used_engine = CelEngine() if engine is None else engine
    problems: list[Problem] = []
    policies: list[CompiledPolicy] = []
    names: set[str] = set()
    for index, document in enumerate(documents):
        found = list(check_document(document))
        condition: Condition | None = None
        if document.match.when is not None:
            try:
                condition = used_engine.compile(document.match.when)
            except ConditionError as error:
                found.append(Problem(("match", "when"), str(error)))
        if document.effect is Effect.MASK and condition is not None:
            found.extend(_check_mask_condition(condition))
        if document.name in names:
            found.append(Problem(("name",), f'another policy is called "{document.name}" too'))
        names.add(document.name)
        if found:
            problems.extend(Problem((index, *problem.location), problem.message) for problem in found)
        else:
            policies.append(_compile(document, condition))
    if problems:
        raise PolicyProblems(problems)
    read = frozenset[str]().union(*(p.condition.reads for p in policies if p.condition is not None))
    return CompiledPolicySet(
        documents=tuple(documents),
        policies=tuple(policies),
        engine=used_engine,
        version=digest(document.model_dump(mode="json", exclude={"samples", "description"}) for document in documents),
        variables=read,
        uses_text="statement.text" in read,
        session_variables=frozenset(name for name in read if name.startswith("session.")),
        by_name={policy.name: policy for policy in policies},
        scopes=ScopeCache(policies),
    )


def digest(parts: Iterable[object]) -> str:
    """Sixteen hex digits of SHA-256 over the parts' canonical JSON, in order."""
    text = json.dumps(list(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def _check_mask_condition(condition: Condition) -> Iterable[Problem]:
    if statement := sorted(name for name in condition.reads if name.startswith("statement.")):
        message = f"a mask holds for every statement; its condition cannot read {', '.join(statement)}"
        yield Problem(("match", "when"), message)


def _compile(document: PolicyDocument, condition: Condition | None) -> CompiledPolicy:
    match = document.match
    # What restricts is matched whatever the case of a name, what allows exactly: a difference never opens a door.
    ignore_case = document.effect is not Effect.ALLOW
    return CompiledPolicy(
        name=document.name,
        effect=document.effect,
        mode=document.mode,
        message=document.message,
        principals=_set(match.principals),
        except_principals=frozenset(match.except_principals or ()),
        kinds=_set(match.kinds),
        groups=_set(match.groups),
        except_groups=frozenset(match.except_groups or ()),
        resources=_set(match.resources),
        environments=_set(match.environments),
        resource_labels=_optional(
            match.resource_labels, lambda wanted: {key: frozenset(values) for key, values in wanted.items()}
        ),
        protocols=_set(match.protocols),
        actions=_actions(match, document.effect),
        objects=_optional(match.objects, lambda patterns: ObjectGlobs(patterns, ignore_case=ignore_case)),
        functions=_optional(match.functions, lambda patterns: ObjectGlobs(patterns, ignore_case=ignore_case)),
        labels=_optional(match.labels, lambda patterns: Globs(patterns, ignore_case=ignore_case)),
        settings=_optional(match.settings, lambda patterns: Globs(patterns, ignore_case=True)),
        condition=condition,
        whole_session=condition is None
        and all(part is None for part in (match.actions, match.objects, match.functions, match.labels, match.settings)),
        mask=_optional(
            document.mask,
            lambda mask: MaskSpec(mask.function, tuple(sorted((mask.__pydantic_extra__ or {}).items()))),
        ),
        limit=document.limit,
        approval=_optional(document.approval, lambda approval: _approval_rule(document.name, approval)),
        inference=document.inference != "deny",
    )


def _approval_rule(policy: str, approval: Approval) -> ApprovalRule:
    return ApprovalRule(
        policy=policy,
        approvers=frozenset(approval.approvers),
        count=approval.count,
        timeout=approval.timeout,
        valid_for=approval.valid_for,
        hold=approval.hold,
        reason=approval.reason,
        scopes=frozenset(approval.scopes),
        max_window=approval.max_window,
        break_glass=frozenset(approval.break_glass or ()),
    )


def _actions(match: Match, effect: Effect) -> frozenset[Action]:
    if match.settings is not None:
        return frozenset({Action.SET})
    if match.actions is None:
        return _DEFAULT_ALLOWED if effect is Effect.ALLOW else _ALL_ACTIONS
    chosen: set[Action] = set()
    for name in match.actions:
        if name == "*" and effect is not Effect.ALLOW:
            chosen |= _ALL_ACTIONS
        elif name in ACTION_GROUPS:
            chosen |= ACTION_GROUPS[name]
        else:
            chosen.add(Action(name))
    return frozenset(chosen)


def _set(values: Sequence[T] | None) -> frozenset[T] | None:
    return None if values is None else frozenset(values)


A = TypeVar("A")


def _optional(value: A | None, make: Callable[[A], T]) -> T | None:
    return None if value is None else make(value)
