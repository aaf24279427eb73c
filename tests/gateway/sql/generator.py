"""Random nested queries over the canary schema, valid or nearly so."""

from __future__ import annotations

from random import Random

_TABLES = {
    "users": ["id", "name", "email", "ssn", "city", "score"],
    "orders": ["id", "user_id", "note", "amount"],
    "staff": ["id", "email", "city", "ssn", "boss"],
    "v_users": ["id", "n", "s"],
    "v_join": ["id", "secret", "note", "n"],
    "gen": ["id", "secret", "shown"],
    "parent": ["id", "secret"],
    "other.users": ["id", "ssn", "label"],
}
_NAMES = ["name", "ssn", "note", "id", "email", "x", "y", "city", "users", "orders", "q", "u"]
Columns = list[str]


class Generator:
    """Writes queries. Names are drawn from few words, so that they collide and shadow each other."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def statement(self) -> str:
        text, _ = self.query(3, [], {})
        return text

    def pick(self, *options: str) -> str:
        return self.random.choice(options)

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def query(self, depth: int, outer: list[tuple[str, Columns]], ctes: dict[str, Columns]) -> tuple[str, Columns]:
        if depth > 0 and self.chance(0.2):
            return self.with_query(depth, outer, ctes)
        if depth > 0 and self.chance(0.2):
            left, columns = self.select(depth - 1, outer, ctes)
            right, _ = self.select(depth - 1, outer, ctes, width=len(columns))
            operation = self.pick("UNION ALL", "UNION", "EXCEPT", "INTERSECT")
            return f"({left}) {operation} ({right})", columns
        return self.select(depth, outer, ctes)

    def with_query(self, depth: int, outer: list[tuple[str, Columns]], ctes: dict[str, Columns]) -> tuple[str, Columns]:
        inside = dict(ctes)
        parts = []
        for name in self.random.sample(_NAMES, self.random.randint(1, 2)):
            body, columns = self.query(depth - 1, outer, inside)
            if self.chance(0.4):
                columns = self.random.choices(_NAMES, k=len(columns))
                parts.append(f"{name}({', '.join(columns)}) AS ({body})")
            else:
                parts.append(f"{name} AS ({body})")
            inside[name] = columns
        text, columns = self.query(depth - 1, outer, inside)
        return f"WITH {', '.join(parts)} {text}", columns

    def select(
        self, depth: int, outer: list[tuple[str, Columns]], ctes: dict[str, Columns], width: int | None = None
    ) -> tuple[str, Columns]:
        sources: list[tuple[str, Columns]] = []
        items = []
        for _ in range(self.random.choice([1, 1, 1, 2])):
            items.append(self.item(depth, outer, ctes, sources))
        visible = [*sources, *outer] if self.chance(0.3) else sources
        if width is None and self.chance(0.15):
            columns = [column for _, listed in sources for column in listed]
            shown = "*"
        else:
            count = width or self.random.randint(1, 3)
            listed = [self.output(depth, visible, ctes) for _ in range(count)]
            columns = [name for _, name in listed]
            shown = ", ".join(text for text, _ in listed)
        where = f" WHERE {self.reference(visible)} IS NOT NULL" if self.chance(0.3) else ""
        return f"SELECT {shown} FROM {', '.join(items)}{where}", columns

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
                if condition == "NATURAL":
                    item = f"{item} NATURAL JOIN {right}"
                else:
                    item = f"{item} {self.pick('', 'LEFT', 'FULL')} JOIN {right} {condition}"
            else:
                item = f"{item} {self.pick('LEFT', 'INNER')} JOIN {right} ON true"
            sources.append((name, columns))
        return item

    def relation(
        self,
        depth: int,
        outer: list[tuple[str, Columns]],
        ctes: dict[str, Columns],
        sources: list[tuple[str, Columns]],
    ) -> tuple[str, Columns, str]:
        if depth > 0 and self.chance(0.4):
            if sources and self.chance(0.4):
                body, columns = self.query(depth - 1, [*sources, *outer], ctes)
                return f"LATERAL ({body})", columns, ""
            body, columns = self.query(depth - 1, outer, ctes)
            return f"({body})", columns, ""
        if ctes and self.chance(0.5):
            name = self.random.choice(sorted(ctes))
            return name, ctes[name], name
        name = self.random.choice(sorted(_TABLES))
        return name, _TABLES[name], name.rpartition(".")[2]

    def aliased(self, text: str, columns: Columns, name: str) -> tuple[str, Columns, str]:
        if name and self.chance(0.4):
            return text, columns, name
        alias = self.random.choice(_NAMES)
        if self.chance(0.3):
            count = self.random.randint(1, len(columns)) if columns else 0
            renamed = [*self.random.choices(_NAMES, k=count), *columns[count:]]
            return f"{text} AS {alias}({', '.join(renamed[:count])})" if count else f"{text} AS {alias}", renamed, alias
        return f"{text} AS {alias}", columns, alias

    def reference(self, visible: list[tuple[str, Columns]]) -> str:
        if not visible:
            return "1"
        name, columns = self.random.choice(visible)
        if not columns or self.chance(0.05):
            return name
        column = self.random.choice(columns)
        return column if self.chance(0.5) else f"{name}.{column}"

    def output(self, depth: int, visible: list[tuple[str, Columns]], ctes: dict[str, Columns]) -> tuple[str, str]:
        inner = self.reference(visible)
        roll = self.random.random()
        if roll < 0.4:
            text, name = inner, inner.rpartition(".")[2]
        elif roll < 0.5:
            text, name = f"upper({inner}::text)", "upper"
        elif roll < 0.6:
            text, name = f"{inner}::text || {self.reference(visible)}::text", "?column?"
        elif roll < 0.7:
            text, name = f"CASE WHEN true THEN {inner}::text END", "case"
        elif roll < 0.8 and depth > 0:
            body, columns = self.select(depth - 1, visible, ctes, width=1)
            text, name = f"({body} LIMIT 1)", columns[0]
        elif roll < 0.85 and depth > 0:
            body, _ = self.select(depth - 1, visible, ctes, width=1)
            text, name = f"array({body})", "array"
        elif roll < 0.9:
            text, name = f"to_jsonb({inner})", "to_jsonb"
        else:
            text, name = f"coalesce({inner}::text, 'z')", "coalesce"
        if self.chance(0.4):
            alias = self.random.choice(_NAMES)
            return f"{text} AS {alias}", alias
        return text, name if name != "?column?" else '"?column?"'
