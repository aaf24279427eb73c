"""Policy documents: the YAML that people write, checked for shape. What they mean is ``compile``'s business.

Shape errors are pydantic's; errors of sense (a mask without labels, an unknown name in a condition) come from
``gateway.policy.checks`` and ``gateway.policy.compile``, with the same locations.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
)

from gateway.domain.approval import GrantScope
from gateway.domain.decision import Effect, Mode
from gateway.domain.principal import PrincipalKind
from gateway.domain.statement import ACTION_GROUPS, Action, Predicate
from gateway.policy.fields import Duration
from gateway.policy.globs import has_wildcard, split_object_pattern
from gateway.policy.problems import suggestion


class Document(BaseModel):
    """Base of everything that is read from YAML: unknown keys are errors, values do not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _exact(name: str) -> str:
    # A pattern that is taken literally matches nobody: harmless in an allow, an open door in a deny.
    if has_wildcard(name):
        raise ValueError("names are exact here, wildcards mean nothing; leave the key out to match everything")
    return name


def _action(name: str) -> str:
    if name not in ACTION_GROUPS and name not in {action.value for action in Action}:
        known = [*ACTION_GROUPS, *(action.value for action in Action)]
        raise ValueError(f'unknown action "{name}"' + (suggestion(name, known) or f"; known are {', '.join(known)}"))
    return name


def _object_pattern(pattern: str) -> str:
    split_object_pattern(pattern)
    return pattern


Text = Annotated[StrictStr, Field(min_length=1, max_length=10_000)]


ExactNames = Annotated[
    tuple[Annotated[Text, AfterValidator(_exact)], ...], BeforeValidator(_as_list), Field(min_length=1)
]
"""A list of names, or one name. An empty list is refused: it would match nothing, which nobody means."""

Patterns = Annotated[tuple[Text, ...], BeforeValidator(_as_list), Field(min_length=1)]
"""A list of names in which ``*`` and ``?`` are wildcards."""

ObjectPatterns = Annotated[
    tuple[Annotated[Text, AfterValidator(_object_pattern)], ...], BeforeValidator(_as_list), Field(min_length=1)
]
"""A list of ``schema.name`` with wildcards; ``*`` alone means every object."""

ActionNames = Annotated[
    tuple[Annotated[Text, AfterValidator(_action)], ...], BeforeValidator(_as_list), Field(min_length=1)
]

Kinds = Annotated[tuple[PrincipalKind, ...], BeforeValidator(_as_list), Field(min_length=1)]


class Match(Document):
    """To what a policy applies. Keys are joined by "and", the entries of a list by "or"; a key left out matches all."""

    principals: ExactNames | None = None
    except_principals: ExactNames | None = None
    kinds: Kinds | None = None
    groups: ExactNames | None = None
    except_groups: ExactNames | None = None
    resources: ExactNames | None = None
    environments: ExactNames | None = None
    resource_labels: dict[Text, ExactNames] | None = None
    protocols: ExactNames | None = None
    actions: ActionNames | None = None
    objects: ObjectPatterns | None = None
    functions: ObjectPatterns | None = None
    labels: Patterns | None = None
    settings: Patterns | None = None
    when: Annotated[StrictStr, Field(min_length=1, max_length=10_000)] | None = None


class Mask(Document):
    """A masking function by name; every other key is an argument of the function."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)
    __pydantic_extra__: dict[str, StrictBool | StrictInt | StrictStr]

    function: Text


class BudgetDocument(Document):
    """What a principal may have in any span of ``per`` (seconds), over all its sessions and those of its agents.

    ``cells`` are unmasked values of columns with the labels that the policy matches.
    """

    statements: Annotated[StrictInt, Field(ge=0)] | None = None
    rows: Annotated[StrictInt, Field(ge=0)] | None = None
    cells: Annotated[StrictInt, Field(ge=0)] | None = None
    per: Duration


class Limit(Document):
    """``rows`` that a statement may return, ``timeout`` (seconds) that it may run, ``changes``: rows that it may
    insert, change or delete, and a ``budget`` for a span of time."""

    rows: Annotated[StrictInt, Field(ge=0)] | None = None
    timeout: Duration | None = None
    changes: Annotated[StrictInt, Field(ge=0)] | None = None
    budget: BudgetDocument | None = None


class Approval(Document):
    """Who may approve, and how far an approval goes; ``gateway.domain.approval.ApprovalRule`` says what each key means.

    Durations are in seconds. ``scopes`` are what an approver may choose from.
    """

    approvers: ExactNames
    timeout: Duration = 600.0
    count: Annotated[StrictInt, Field(ge=1, le=10)] = 1
    reason: StrictBool = False
    hold: StrictBool = True
    valid_for: Duration = 3600.0
    scopes: Annotated[tuple[GrantScope, ...], BeforeValidator(_as_list), Field(min_length=1)] = (GrantScope.ONCE,)
    max_window: Duration = 3600.0
    break_glass: ExactNames | None = None


class SamplePrincipal(Document):
    """Who asks in a sample."""

    name: Text = "sample@example.com"
    kind: PrincipalKind = PrincipalKind.HUMAN
    groups: tuple[Text, ...] = ()
    attributes: dict[Text, StrictStr] = Field(default_factory=dict)


class SampleResource(Document):
    """What is asked in a sample."""

    name: Text = "sample"
    protocol: Text = "postgres"
    environment: StrictStr = ""
    labels: dict[Text, StrictStr] = Field(default_factory=dict)


class SampleSession(Document):
    """From where a sample comes."""

    client_address: Text = "192.0.2.10"
    application: StrictStr = ""
    tls: StrictBool = True
    user: StrictStr = "sample"
    database: StrictStr = "sample"


class SampleStatement(Document):
    """Statement facts in short. Objects and functions are ``schema.name``; a name without a schema is unresolved."""

    actions: Annotated[tuple[Action, ...], BeforeValidator(_as_list), Field(min_length=1)]
    kind: StrictStr = ""
    reads: tuple[Text, ...] = ()
    writes: tuple[Text, ...] = ()
    functions: tuple[Text, ...] = ()
    labels: tuple[Text, ...] = ()
    """Labels of the columns that it touches."""
    predicate: Predicate = Predicate.NOT_APPLICABLE
    detail: StrictStr = ""
    """The setting of a SET; ``stdin``, ``stdout``, ``file`` or ``program`` of a COPY."""
    opaque: StrictBool = False


class Sample(Document):
    """One request. ``sql`` is analysed where an analyser is at hand; ``statement`` gives the facts directly.

    Where both are there, both are tried and must agree with the sample's verdict.
    """

    description: StrictStr = ""
    principal: SamplePrincipal = SamplePrincipal()
    resource: SampleResource = SampleResource()
    session: SampleSession = SampleSession()
    statement: SampleStatement | None = None
    sql: Text | None = None
    labels: tuple[Text, ...] = ()
    """All labels of the resource."""
    now: datetime | None = None


class Samples(Document):
    """Requests that the policy must leave alone (or, for ``allow``, permit) and those that it must act on."""

    allowed: tuple[Sample, ...] = ()
    refused: tuple[Sample, ...] = ()


class PolicyDocument(Document):
    """One policy as it is written down."""

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    description: StrictStr = ""
    effect: Effect
    mode: Mode = Mode.ENFORCE
    match: Match
    mask: Mask | None = None
    inference: Literal["allow", "deny"] | None = None
    limit: Limit | None = None
    approval: Approval | None = None
    message: Annotated[StrictStr, Field(min_length=1, max_length=500)] | None = None
    samples: Samples = Samples()
