"""How a session resolves names: everything outside a text that its meaning depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NameResolution:
    """The settings of one session that decide what a name in a statement means. Hashable, so it can be a cache key.

    ``search_path`` None means unknown: then no unqualified name is resolved. Its entries are folded names; ``$user``
    stands for ``role``. ``temporary_objects`` True means that the session may own temporary tables, which come before
    every schema of the path, so an unqualified table could be one of them.
    """

    search_path: tuple[str, ...] | None = ("$user", "public")
    role: str = ""
    standard_conforming_strings: bool = True
    temporary_objects: bool = False

    def schemas(self) -> tuple[str, ...] | None:
        """The schemas in the order in which a name is looked up, or None where that is not known.

        pg_catalog comes first unless the path names it: then builtin functions can be shadowed, which is for the
        caller to notice (see ``catalog_is_first``).
        """
        if self.search_path is None:
            return None
        path = [self.role if entry == "$user" else entry for entry in self.search_path]
        return tuple(path) if "pg_catalog" in path else ("pg_catalog", *path)

    @property
    def catalog_is_first(self) -> bool:
        """Whether an unqualified name means the builtin object wherever there is one."""
        path = self.schemas()
        return path is not None and path[0] == "pg_catalog"


UNKNOWN_RESOLUTION = NameResolution(search_path=None)
"""Nothing is known about the session: only qualified names can be resolved."""
