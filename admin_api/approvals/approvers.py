"""Who approvers are, when they decide and when their word is relied on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from admin_api.admins.models import AdminRow
from admin_api.admins.repository import AdminRepository
from admin_api.db import Database
from admin_api.security import Identity, Role
from gateway.approvals.errors import StandingUnknown
from gateway.control.port import DataPlane
from gateway.domain.approval import Approver, IdentitySource, Verdict


class ApproverDirectory:
    """Knows approvers by the store's accounts, the principals in force, and what issuers have said.

    An issuer cannot be asked again: groups that its token brought count as long as it is configured.
    """

    def __init__(self, database: Database, plane: DataPlane, issuers: frozenset[str]) -> None:
        self._database = database
        self._plane = plane
        self._issuers = issuers

    def of_caller(self, who: Identity) -> Approver:
        """A caller of the API: with the groups of account or token, and of the principal of the same name."""
        source = IdentitySource(who.id, who.issuer, who.groups if who.issuer else frozenset())
        groups = who.groups | self._plane.groups_of(who.name)
        return Approver(who.name, groups, self._plane.acts_for(who.name), source)

    async def named(self, principal: str) -> Approver:
        """Somebody whom a webhook's receiver vouches for: with the principal's groups, if no account is locked out."""
        async with self._database.transaction() as session:
            account = await AdminRepository(session).find(principal)
        locked_out = account is not None and account.disabled
        groups = frozenset[str]() if locked_out else self._plane.groups_of(principal)
        return Approver(principal, groups, self._plane.acts_for(principal))

    async def standing(self, verdicts: Sequence[Verdict]) -> Sequence[frozenset[str]]:
        """Implements ``gateway.approvals.standing.Standing``."""
        try:
            async with self._database.transaction() as session:
                admins = AdminRepository(session)
                return [await self._groups(admins, verdict) for verdict in verdicts]
        except (SQLAlchemyError, OSError) as error:
            raise StandingUnknown(f"who has approved cannot be looked up: {type(error).__name__}") from None

    async def _groups(self, admins: AdminRepository, verdict: Verdict) -> frozenset[str]:
        source, own = verdict.source, self._plane.groups_of(verdict.approver)
        if source.issuer:
            return own | source.groups if source.issuer in self._issuers else frozenset()
        if source.account:
            account = await admins.find_id(source.account)
            if account is None or not _may(account, verdict):
                return frozenset()
        else:
            # The account is not how they were known; but whoever is locked out here is so in every way.
            account = await admins.find(verdict.approver)
            if account is not None and account.disabled:
                return frozenset()
        return own if account is None else own | frozenset(account.groups)


def _may(account: AdminRow, verdict: Verdict) -> bool:
    """Whether the account may decide: to break the glass for oneself takes no role."""
    who = Identity(account.name, frozenset(map(Role, account.roles)))
    return not account.disabled and (verdict.break_glass or who.may(Role.APPROVER))
