"""Which approvals are good for what: looked up for every statement that a policy holds, so by dictionary."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from gateway.domain.approval import ApprovalRequest, ApprovalRule, ApprovalState, GrantScope, RequestKind


@dataclass(frozen=True, slots=True)
class Demand:
    """A statement that is about to run and needs an approval. ``names`` is the principal and whom it acts for.

    ``instance`` is the run of a linked gateway that has the session; empty for the gateway that has the desk.
    """

    names: tuple[str, ...]
    resource: str
    database: str
    session_id: str
    binding: str
    shape: str
    rules: tuple[ApprovalRule, ...]
    instance: str = ""


class Grants:
    """The approvals that can still be used. ``find`` does not use one up; whoever does tells ``drop``."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, dict[str, ApprovalRequest]] = {}

    def add(self, request: ApprovalRequest) -> None:
        """An approved statement request."""
        self._by_key.setdefault(_key(request), {})[request.id] = request

    def drop(self, request: ApprovalRequest) -> None:
        """Used up, expired, or void."""
        key = _key(request)
        found = self._by_key.get(key)
        if found is not None and found.pop(request.id, None) is not None and not found:
            del self._by_key[key]

    def find(self, demand: Demand, now: float) -> ApprovalRequest | None:
        """An approval that lets the statement run: given under all the rules that hold it now, and still good."""
        for request in self._candidates(demand):
            good = request.valid_until is not None and now < request.valid_until
            if good and frozenset(demand.rules) <= frozenset(request.rules):
                return request
        return None

    def of_session(self, session_id: str, instance: str = "") -> list[ApprovalRequest]:
        """What was granted for a session."""
        return list(self._by_key.get((GrantScope.SESSION, instance, session_id), {}).values())

    def _candidates(self, demand: Demand) -> Iterator[ApprovalRequest]:
        # The widest first, so that a single-use approval is not spent where another one serves.
        shape = (demand.names, demand.resource, demand.database, demand.shape)
        for key in (
            (GrantScope.SESSION, demand.instance, demand.session_id),
            (GrantScope.WINDOW, shape),
            (GrantScope.ONCE, demand.binding),
        ):
            yield from self._by_key.get(key, {}).values()


def is_grant(request: ApprovalRequest) -> bool:
    """Whether a request is an approval of statements that can still be used."""
    return request.kind is RequestKind.STATEMENT and request.state is ApprovalState.APPROVED


def _key(request: ApprovalRequest) -> Hashable:
    subject = request.subject
    match request.scope:
        case GrantScope.SESSION:
            return GrantScope.SESSION, request.instance, subject.session_id
        case GrantScope.WINDOW:
            names = (subject.principal, *subject.acts_for)
            return GrantScope.WINDOW, (names, request.resource, request.database, request.shape)
        case GrantScope.ONCE:
            return GrantScope.ONCE, request.binding
