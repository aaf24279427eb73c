"""Which resource a client means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """The user's own name, the resource, and the upstream's database (None: the client named none)."""

    user: str
    resource: str
    database: str | None


def route(user: str, database: str | None, *, fixed: str | None) -> Route:
    """Where a login leads.

    The database is ``resource`` or ``resource/database``; or the user is ``user#resource``, and the database the
    upstream's. On a resource's own listener (``fixed``) the database is the upstream's, whatever it is.
    """
    name, mark, suffix = user.rpartition("#")
    if not mark:
        name, suffix = user, ""
    if fixed is not None:
        return Route(name, fixed, database)
    if suffix:
        if database is None or database == suffix:
            return Route(name, suffix, None)
        return Route(name, suffix, database.removeprefix(suffix + "/"))
    resource, _, rest = (database or "").partition("/")
    return Route(name, resource, rest or None)
