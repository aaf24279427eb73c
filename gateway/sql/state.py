"""How a session resolves names: everything outside a text that its meaning depends on."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.statement import StatementFacts


@dataclass(frozen=True, slots=True)
class NameResolution:
    """The settings of one session that decide what a name in a statement means. Hashable, so it can be a cache key.

    ``search_path`` None means unknown: then no unqualified name is resolved. Its entries are folded names; ``$user``
    stands for ``role``. ``temporary_objects`` True means that the session may own temporary tables, which come before
    every schema of the path, so an unqualified table could be one of them. ``cursors`` are the names that FETCH may
    mean with the facts of their DECLARE, None where it is something else; a name may be there several times.
    """

    search_path: tuple[str, ...] | None = ("$user", "public")
    role: str = ""
    standard_conforming_strings: bool = True
    temporary_objects: bool = False
    cursors: tuple[tuple[str, StatementFacts | None], ...] = ()

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


@dataclass(frozen=True, slots=True)
class MySqlResolution:
    """The same for a session of MySQL or MariaDB. Hashable, so it can be a cache key.

    The flags are those of ``sql_mode`` (MySQL manual, chapter "Server SQL Modes") that change how a text is read.
    ``oracle`` is MariaDB's mode of that name, which is another language: then nothing is known of any statement.
    ``charset`` is character_set_client. ``version`` decides which executable comments run. ``known`` False means
    that nobody knows them: a text whose reading depends on one is not analysed, and no unqualified name is resolved.
    """

    database: str | None = None
    ansi_quotes: bool = False
    no_backslash_escapes: bool = False
    pipes_as_concat: bool = False
    ignore_space: bool = False
    high_not_precedence: bool = False
    oracle: bool = False
    charset: str = "utf8mb4"
    lower_case_table_names: int = 0
    mariadb: bool = True
    version: tuple[int, int, int] = (10, 11, 0)
    known: bool = True
    temporary_objects: bool = False


UNKNOWN_MYSQL_RESOLUTION = MySqlResolution(known=False)
"""Nothing is known about the session."""

SessionState = NameResolution | MySqlResolution
"""What a text's meaning depends on, in any dialect."""
