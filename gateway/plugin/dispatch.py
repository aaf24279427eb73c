"""Calling decision hooks: one implementation after the other, each under a deadline, every failure a refusal.

pluggy is synchronous and would hand back un-awaited coroutines, so the chains are driven here over the implementations
that pluggy found and checked. How answers combine is stated with each hook in ``gateway.hookspecs``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pluggy

from gateway.domain.decision import AccessRequest, Decision, Effect, SessionContext
from gateway.domain.identity import Login, PasswordCredentials, Proof
from gateway.domain.masking import ColumnMask, MaskingFunction, MaskingPlan, MaskSpec, PathMask, ResultColumn
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource, UpstreamCredentials
from gateway.domain.statement import ColumnRef
from gateway.errors import AuthenticationError, GatewayError, MaskingError, PolicyEvaluationError
from gateway.policy.combine import strictest

DEADLINE = 5.0
"""Seconds that one implementation of one hook may take."""

_OPINIONS = frozenset({Effect.ALLOW, Effect.DENY, Effect.REQUIRE_APPROVAL})
"""What decides; a mask or a limit alone allows nothing."""


_Kind = type[Any] | tuple[type[Any], ...]


@dataclass(frozen=True, slots=True)
class _Implementation:
    plugin: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]


class Dispatcher:
    """The decision hooks of all plugins, in configured order."""

    def __init__(
        self,
        manager: pluggy.PluginManager,
        masking_function: Callable[[MaskSpec], MaskingFunction],
        *,
        deadline: float = DEADLINE,
    ) -> None:
        self._manager = manager
        self._masking_function = masking_function
        self._deadline = deadline
        self._chains: dict[str, tuple[_Implementation, ...]] = {}

    # --- identity -----------------------------------------------------------------------------------------------

    async def find_login(self, session: SessionContext) -> Login | None:
        """The first answer, or None if nobody knows the user."""
        answer: Login | None = await self._first("find_login", Login, session=session)
        return answer

    async def authenticate(self, session: SessionContext, credentials: PasswordCredentials) -> Proof:
        """Who it is; raises ``AuthenticationError`` if nobody recognises the credentials."""
        answer: Principal | Proof | None = await self._first(
            "authenticate", (Principal, Proof), session=session, credentials=credentials
        )
        if answer is None:
            raise AuthenticationError("no identity provider recognises the credentials")
        return Proof(answer) if isinstance(answer, Principal) else answer

    async def provide_upstream_credentials(self, resource: Resource, principal: Principal) -> UpstreamCredentials:
        """The first answer; raises ``PolicyEvaluationError`` if there is none."""
        answer: UpstreamCredentials | None = await self._first(
            "provide_upstream_credentials", UpstreamCredentials, resource=resource, principal=principal
        )
        if answer is None:
            raise PolicyEvaluationError(f"no credentials provider knows resource {resource.name}")
        return answer

    # --- guardrails ---------------------------------------------------------------------------------------------

    async def authorize_session(self, request: AccessRequest) -> Decision:
        """All answers for the principal and whom it acts for, combined."""
        return await self._decide("authorize_session", request)

    async def authorize_statement(self, request: AccessRequest) -> Decision:
        """All answers for the principal and whom it acts for, combined."""
        return await self._decide("authorize_statement", request)

    async def _decide(self, hook: str, request: AccessRequest) -> Decision:
        decisions: list[Decision] = []
        for principal in request.principal.chain():
            asked = replace(request, principal=principal)
            answers = [
                answer
                for implementation in self._chain(hook)
                if (answer := await self._call(hook, implementation, Decision, request=asked)) is not None
            ]
            if not any(answer.effect in _OPINIONS for answer in answers):
                answers.append(Decision(Effect.DENY, f"nothing allows it to {principal.name}"))
            # Masks and limits are obligations: they come with whatever the others decide.
            decisions += [a if a.effect in _OPINIONS else replace(a, effect=Effect.ALLOW) for a in answers]
        return strictest(decisions)

    # --- masking ------------------------------------------------------------------------------------------------

    async def classify_columns(
        self, resource: Resource, columns: Sequence[ColumnRef]
    ) -> Mapping[ColumnRef, frozenset[str]]:
        """The union of all answers."""
        labels: dict[ColumnRef, frozenset[str]] = {}
        for implementation in self._chain("classify_columns"):
            answer = await self._call("classify_columns", implementation, Mapping, resource=resource, columns=columns)
            for column, found in (answer or {}).items():
                labels[column] = labels.get(column, frozenset()) | found
        return labels

    async def plan_masking(
        self, request: AccessRequest, columns: Sequence[ResultColumn], masks: Mapping[str, frozenset[MaskSpec]]
    ) -> MaskingPlan:
        """All plans, the strictest mask of each column; raises ``MaskingError`` if there is no plan."""
        plans: list[MaskingPlan] = []
        for implementation in self._chain("plan_masking"):
            plan = await self._call(
                "plan_masking", implementation, MaskingPlan, request=request, columns=columns, masks=masks
            )
            if plan is None:
                continue
            if len(plan.columns) != len(columns) or (plan.below and len(plan.below) != len(columns)):
                raise MaskingError(f"plugin {implementation.plugin} planned another number of columns")
            plans.append(plan)
        if not plans:
            raise MaskingError("no plugin planned the masking of the result")
        return MaskingPlan(
            tuple(self._strictest_mask(masks) for masks in zip(*(p.columns for p in plans), strict=True)),
            _joined([plan.below for plan in plans if plan.below]),
        )

    def _strictest_mask(self, masks: Sequence[ColumnMask | None]) -> ColumnMask | None:
        wanted = [mask for mask in masks if mask is not None]
        if not wanted:
            return None
        chosen = max(wanted, key=lambda mask: self._masking_function(mask.spec).strictness)
        return ColumnMask(chosen.spec, frozenset[str]().union(*(mask.labels for mask in wanted)))

    # --- calling ------------------------------------------------------------------------------------------------

    def _chain(self, hook: str) -> tuple[_Implementation, ...]:
        chain = self._chains.get(hook)
        if chain is None:
            # pluggy keeps the last registered first in its calls; configured order is the order of registration.
            implementations = getattr(self._manager.hook, hook).get_hookimpls()
            chain = tuple(_Implementation(i.plugin_name, i.function, tuple(i.argnames)) for i in implementations)
            self._chains[hook] = chain
        return chain

    async def _first(self, hook: str, kind: _Kind, **arguments: object) -> Any:
        for implementation in self._chain(hook):
            answer = await self._call(hook, implementation, kind, **arguments)
            if answer is not None:
                return answer
        return None

    async def _call(self, hook: str, implementation: _Implementation, kind: _Kind, **arguments: object) -> Any:
        """One implementation's answer; anything but an answer of the right kind, None or a GatewayError refuses."""
        try:
            answer = implementation.function(*(arguments[name] for name in implementation.arguments))
            if inspect.isawaitable(answer):
                async with asyncio.timeout(self._deadline):
                    answer = await answer
        except GatewayError:
            raise
        except TimeoutError as error:
            raise PolicyEvaluationError(f"plugin {implementation.plugin}: {hook} took too long") from error
        except Exception as error:
            raise PolicyEvaluationError(
                f"plugin {implementation.plugin}: {hook} raised {type(error).__name__}"
            ) from error
        if answer is not None and not isinstance(answer, kind):
            raise PolicyEvaluationError(f"plugin {implementation.plugin}: {hook} answered {type(answer).__name__}")
        return answer


def _joined(plans: Sequence[tuple[tuple[PathMask, ...], ...]]) -> tuple[tuple[PathMask, ...], ...]:
    """All masks inside documents; where several meet, whoever applies them takes the strictest."""
    return tuple(tuple(unique for unique in dict.fromkeys(chain(*masks))) for masks in zip(*plans, strict=True))
