"""Random nested queries over the canary schema in MySQL's dialect, valid or nearly so."""

from __future__ import annotations

from typing_extensions import override

from tests.gateway.sql.generator import Columns, Generator

TABLES = {
    "users": ["id", "name", "email", "ssn", "city", "score"],
    "orders": ["id", "user_id", "note", "amount"],
    "staff": ["id", "email", "city", "ssn", "boss"],
    "v_users": ["id", "n", "s"],
    "v_temp": ["id", "n", "s"],
    "v_join": ["id", "secret", "note", "n"],
    "gen": ["id", "secret", "shown", "half"],
    "shy": ["id", "shown"],
    "other.users": ["id", "ssn", "label"],
}
_NAMES = ["name", "ssn", "note", "id", "email", "x", "y", "city", "users", "orders", "q", "u"]


class MySqlGenerator(Generator):
    """Writes queries. Names are drawn from few words, so that they collide and shadow each other.

    No two common table expressions have one name: some such statements MariaDB's parser never comes back from.
    """

    @override
    def statement(self) -> str:
        self._unused = list(_NAMES)
        return super().statement()

    @override
    def with_query(self, depth: int, outer: list[tuple[str, Columns]], ctes: dict[str, Columns]) -> tuple[str, Columns]:
        if not self._unused:
            return self.select(depth, outer, ctes)
        name = self.random.choice(self._unused)
        self._unused.remove(name)
        body, columns = self.query(depth - 1, outer, ctes)
        if self.chance(0.4):
            columns = self.random.choices(_NAMES, k=len(columns))
            head = f"{name}({', '.join(columns)})"
        else:
            head = name
        text, shown = self.query(depth - 1, outer, {**ctes, name: columns})
        return f"WITH {head} AS ({body}) {text}", shown

    @override
    def relation(
        self,
        depth: int,
        outer: list[tuple[str, Columns]],
        ctes: dict[str, Columns],
        sources: list[tuple[str, Columns]],
    ) -> tuple[str, Columns, str]:
        if depth > 0 and self.chance(0.4):
            body, columns = self.query(depth - 1, outer, ctes)
            return f"({body})", columns, ""
        if ctes and self.chance(0.5):
            name = self.random.choice(sorted(ctes))
            return name, ctes[name], name
        name = self.random.choice(sorted(TABLES))
        return name, TABLES[name], name.rpartition(".")[2]

    @override
    def aliased(self, text: str, columns: Columns, name: str) -> tuple[str, Columns, str]:
        if name and self.chance(0.4):
            return text, columns, name
        alias = self.random.choice(_NAMES)
        return f"{text} {self.pick('AS ', '')}{self.cased(alias)}", columns, alias

    def cased(self, name: str) -> str:
        """A name in backticks or not."""
        return self.pick(name, name, f"`{name}`")

    @override
    def item(
        self,
        depth: int,
        outer: list[tuple[str, Columns]],
        ctes: dict[str, Columns],
        sources: list[tuple[str, Columns]],
    ) -> str:
        text, columns, name = self.relation(depth, outer, ctes, sources)
        item, columns, name = self.aliased(text, columns, name)
        sources.append((name, columns))
        if self.chance(0.25):
            text, columns, name = self.relation(depth, outer, ctes, sources)
            right, columns, name = self.aliased(text, columns, name)
            shared = sorted(set(sources[-1][1]) & set(columns))
            if shared and self.chance(0.5):
                condition = self.pick(f"USING ({self.random.choice(shared)})", "NATURAL")
                side = self.pick("", "LEFT", "RIGHT")
                item = (
                    f"{item} NATURAL {side} JOIN {right}"
                    if condition == "NATURAL"
                    else f"{item} {side} JOIN {right} {condition}"
                )
            else:
                item = f"{item} {self.pick('LEFT JOIN', 'JOIN', 'STRAIGHT_JOIN', 'CROSS JOIN')} {right} ON true"
            sources.append((name, columns))
        return item

    @override
    def output(self, depth: int, visible: list[tuple[str, Columns]], ctes: dict[str, Columns]) -> tuple[str, str]:
        inner = self.reference(visible)
        if self.chance(0.2):
            inner = inner.upper() if "." not in inner else inner
        roll = self.random.random()
        if roll < 0.45:
            text, name = inner, inner.rpartition(".")[2].lower()
        elif roll < 0.55:
            text, name = f"upper({inner})", ""
        elif roll < 0.6:
            text, name = f"concat({inner}, {self.reference(visible)})", ""
        elif roll < 0.7:
            text, name = f"CASE WHEN 1 THEN {inner} END", ""
        elif roll < 0.85 and depth > 0:
            body, _ = self.select(depth - 1, visible, ctes, width=1)
            text, name = f"({body} LIMIT 1)", ""
        elif roll < 0.9:
            text, name = f"json_array({inner})", ""
        else:
            text, name = f"coalesce({inner}, 'z')", ""
        if not name or self.chance(0.4):
            name = self.random.choice(_NAMES)
            quoted = self.pick(name, f"'{name}'", f'"{name}"', f"`{name}`")
            return f"{text} {self.pick('AS ', '')}{quoted}", name
        return text, name
