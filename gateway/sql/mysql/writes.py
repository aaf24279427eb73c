"""INSERT, REPLACE, UPDATE and DELETE, in all their forms.

An INSERT is rebuilt as PostgreSQL's ``INSERT … ON CONFLICT``. UPDATE and DELETE name their tables as a join, so they
are parsed as the query over that join, and what is assigned as its select list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlglot import exp

from gateway.domain.statement import Action, Predicate
from gateway.sql import predicates, queries, sources
from gateway.sql.catalog import Relation
from gateway.sql.dialect import Found
from gateway.sql.facts import collect, parse_rebuilt, texts_of, unknown, walked
from gateway.sql.lexer import Kind, Token
from gateway.sql.mysql.queries import rebuild
from gateway.sql.mysql.walk import MySqlWalk
from gateway.sql.names import name_of
from gateway.sql.rebuilt import Unsupported, quote
from gateway.sql.scope import Item, Rows, Scope, Source
from gateway.sql.splitting import without_like_rows
from gateway.sql.values import NO_COLUMNS, NamedValue, Value, union
from gateway.sql.walk import NO_CTES

WRITE_WORDS: Final = frozenset({"insert", "replace", "update", "delete"})
_PRIORITY: Final = frozenset({"low_priority", "delayed", "high_priority", "ignore", "quick"})
_TAIL: Final = ("where", "order", "limit", "returning")


def write_facts(walk: MySqlWalk, tokens: Sequence[Token]) -> Found:
    """The facts of a statement that writes, and whether its literals matter. ``WITH`` may stand before it."""
    cursor = _Cursor(tokens)
    prefix = cursor.prefix()
    kind = cursor.take()
    try:
        match kind:
            case "insert" | "replace":
                if prefix:
                    raise Unsupported("WITH before INSERT")
                return _insert(walk, cursor, kind)
            case "update":
                return _update(walk, cursor, prefix)
            case "delete":
                return _delete(walk, cursor, prefix)
            case _:
                raise Unsupported("syntax not understood")
    except Unsupported as error:
        return unknown(str(error), kind), True


@dataclass(slots=True)
class _Cursor:
    """A position in a statement's tokens."""

    tokens: Sequence[Token]
    at: int = 0

    def word(self) -> str:
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        return token.value if token is not None and token.kind is Kind.WORD else ""

    def take(self) -> str:
        word = self.word()
        self.at += 1
        return word

    def skip(self, words: frozenset[str]) -> None:
        while self.word() in words:
            self.at += 1

    def prefix(self) -> Sequence[Token]:
        """The WITH clause that stands first."""
        if self.word() != "with":
            return ()
        self.at = self.find(*WRITE_WORDS)
        return self.tokens[: self.at]

    def find(self, *words: str, start: int = -1) -> int:
        """The index of the first of ``words`` outside parentheses from here on; the number of tokens if none is."""
        depth = 0
        for index in range(self.at if start < 0 else start, len(self.tokens)):
            kind, value, _ = self.tokens[index]
            if kind is Kind.PUNCTUATION:
                depth += {"(": 1, ")": -1}.get(value, 0)
            elif kind is Kind.WORD and not depth and value in words:
                if index and self.tokens[index - 1].value == ".":
                    continue
                return index
        return len(self.tokens)

    def until(self, *words: str) -> Sequence[Token]:
        """What stands before the first of ``words``."""
        end = self.find(*words)
        part = self.tokens[self.at : end]
        self.at = end
        return part

    def name(self) -> list[str]:
        """A name with dots in it."""
        parts: list[str] = []
        while self.at < len(self.tokens) and self.tokens[self.at].kind in (Kind.WORD, Kind.QUOTED):
            parts.append(self.tokens[self.at].value)
            self.at += 1
            if self.at >= len(self.tokens) or self.tokens[self.at].value != ".":
                break
            self.at += 1
        if not 1 <= len(parts) <= 2:
            raise Unsupported("syntax not understood")
        return parts

    def group(self) -> Sequence[Token]:
        """The tokens inside the parentheses here."""
        start, depth = self.at + 1, 0
        while self.at < len(self.tokens):
            kind, value, _ = self.tokens[self.at]
            self.at += 1
            if kind is Kind.PUNCTUATION:
                depth += {"(": 1, ")": -1}.get(value, 0)
                if not depth:
                    return self.tokens[start : self.at - 1]
        raise Unsupported("unbalanced parentheses")


def comma_separated(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """The parts between commas that stand outside parentheses."""
    parts: list[Sequence[Token]] = []
    depth = start = 0
    for index, (kind, value, _) in enumerate(tokens):
        if kind is Kind.PUNCTUATION:
            depth += {"(": 1, ")": -1}.get(value, 0)
            if value == "," and not depth:
                parts.append(tokens[start:index])
                start = index + 1
    parts.append(tokens[start:])
    return parts


# --- INSERT, REPLACE --------------------------------------------------------------------------------------------------


def _insert(walk: MySqlWalk, cursor: _Cursor, kind: str) -> Found:
    cursor.skip(_PRIORITY)
    if cursor.word() == "into":
        cursor.at += 1
    target = ".".join(map(quote, cursor.name()))
    if cursor.word() == "partition":
        cursor.at += 1
        cursor.group()
    columns: Sequence[Token] = ()
    token = cursor.tokens[cursor.at] if cursor.at < len(cursor.tokens) else None
    if token is not None and token.value == "(" and not _begins_query(cursor.tokens, cursor.at):
        columns = cursor.group()
    end = _duplicate_at(cursor)
    returning = cursor.find("returning")
    body, names, alias = _body(list(cursor.tokens[cursor.at : min(end, returning)]))
    if names is not None:
        columns = names
    parts = [f"insert into {target}"]
    listed = [t.value for t in columns if t.kind in (Kind.WORD, Kind.QUOTED)]
    if columns:
        parts.append("(" + ", ".join(map(quote, _last_names(columns) if listed else [])) + ")")
    canonical = rebuild(walk, without_like_rows(body))
    parts.append(canonical.text if body else "default values")
    if end < len(cursor.tokens):
        changes = list(cursor.tokens[end + 4 : returning if returning > end else len(cursor.tokens)])
        if alias:
            changes = [_renamed(t, changes, i, alias) for i, t in enumerate(changes)]
        changed = rebuild(walk, changes, duplicate=True)
        canonical.named_by_literal |= changed.named_by_literal
        parts.append("on conflict do update set " + changed.text)
    if returning < len(cursor.tokens):
        shown = rebuild(walk, cursor.tokens[returning:])
        canonical.named_by_literal |= shown.named_by_literal
        parts.append(shown.text)
    canonical.text = " ".join(parts)
    found, matter = walked(walk, parse_rebuilt(canonical), kind, canonical)
    if kind == "replace":
        found = replace(found, actions=found.actions | {Action.DELETE})
    return found, matter


def _last_names(tokens: Sequence[Token]) -> list[str]:
    """The columns of a list, without their tables."""
    names = []
    for part in comma_separated(tokens):
        if not part or part[-1].kind not in (Kind.WORD, Kind.QUOTED):
            raise Unsupported("syntax not understood")
        names.append(part[-1].value)
    return names


def _begins_query(tokens: Sequence[Token], at: int) -> bool:
    while at < len(tokens) and tokens[at].value == "(":
        at += 1
    return (
        at < len(tokens) and tokens[at].kind is Kind.WORD and tokens[at].value in ("select", "with", "values", "table")
    )


def _duplicate_at(cursor: _Cursor) -> int:
    """Where ON DUPLICATE KEY UPDATE begins."""
    at = cursor.find("duplicate")
    words = [t.value for t in cursor.tokens[at - 1 : at + 3]]
    return at - 1 if words == ["on", "duplicate", "key", "update"] else len(cursor.tokens)


def _body(tokens: list[Token]) -> tuple[list[Token], Sequence[Token] | None, str]:
    """The rows as a query; the columns where SET names them; the name of the new row where it has one."""
    alias = ""
    if len(tokens) > 2 and tokens[-2].value == "as" and tokens[-2].kind is Kind.WORD and _starts(tokens, "values"):
        alias = tokens[-1].value
        tokens = tokens[:-2]
    if _starts(tokens, "value"):
        tokens[0] = Token(Kind.WORD, "values", tokens[0].start)
    if _starts(tokens, "values") and [t.value for t in tokens[1:]] == ["(", ")"]:
        return [], None, alias
    if not _starts(tokens, "set"):
        return tokens, None, alias
    names: list[Token] = []
    cells: list[Token] = [Token(Kind.WORD, "values", 0), Token(Kind.PUNCTUATION, "(", 0)]
    for part in comma_separated(tokens[1:]):
        at = next((i for i, t in enumerate(part) if t.kind is Kind.OPERATOR), 0)
        if not at or part[at].value not in ("=", ":="):
            raise Unsupported("syntax not understood")
        if names:
            names.append(Token(Kind.PUNCTUATION, ",", 0))
            cells.append(Token(Kind.PUNCTUATION, ",", 0))
        names.append(part[at - 1])
        cells += part[at + 1 :]
    cells.append(Token(Kind.PUNCTUATION, ")", 0))
    return cells, names, alias


def _starts(tokens: Sequence[Token], word: str) -> bool:
    return bool(tokens) and tokens[0].kind is Kind.WORD and tokens[0].value == word


def _renamed(token: Token, tokens: Sequence[Token], index: int, alias: str) -> Token:
    follows = index + 1 < len(tokens) and tokens[index + 1].value == "."
    return Token(Kind.QUOTED, "excluded", token.start) if follows and token.value == alias else token


# --- UPDATE, DELETE ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Join:
    """The tables that an UPDATE or DELETE works on, as a query over them."""

    walk: MySqlWalk
    tree: exp.Select
    scope: Scope
    named_by_literal: bool
    relations: dict[str, Relation | None] = field(default_factory=dict)
    """By the name that the statement gives them."""

    @classmethod
    def parse(
        cls,
        walk: MySqlWalk,
        prefix: Sequence[Token],
        shown: Sequence[Token],
        tables: Sequence[Token],
        tail: Sequence[Token],
    ) -> _Join:
        words = [*prefix, Token(Kind.WORD, "select", 0), *(shown or [Token(Kind.NUMBER, "1", 0)])]
        canonical = rebuild(walk, [*words, Token(Kind.WORD, "from", 0), *tables, *tail])
        tree = parse_rebuilt(canonical)
        if not isinstance(tree, exp.Select) or canonical.locks:
            raise Unsupported("syntax not understood")
        scope = Scope(None, queries.with_ctes(walk, tree, None, NO_CTES))
        sources.from_clause(walk, tree.args.get("from_"), tree.args.get("joins"), scope)
        join = cls(walk, tree, scope, canonical.named_by_literal)
        for table in tree.find_all(exp.Table):
            alias = table.args.get("alias")
            name = name_of(alias.this) if alias is not None and alias.this is not None else name_of(table.this)
            if scope.find(name) is not None and name not in join.relations and isinstance(table.this, exp.Identifier):
                schema = name_of(table.args.get("db")) or walk.default_schema
                join.relations[name] = walk.catalog.relation(schema, name_of(table.this)) if walk.catalog else None
        return join

    def restrict(self, target: Source | None) -> Predicate:
        """What restricts the target's rows: WHERE, or the condition of an inner join."""
        found = [Predicate.ABSENT]
        where = self.tree.args.get("where")
        if where is not None:
            found.append(predicates.restriction(self.walk, where.this, self.scope, target))
        for join in self.tree.args.get("joins") or ():
            if join.args.get("on") is not None and not join.args.get("side"):
                found.append(predicates.restriction(self.walk, join.args["on"], self.scope, target))
            elif join.args.get("using"):
                found.append(Predicate.PRESENT)
        return max(found, key=predicates.strength)

    def tail(self, rows: Rows) -> None:
        """ORDER BY and LIMIT."""
        queries.order_and_limit(self.walk, self.tree, rows, self.scope)

    def target(self, name: Sequence[str]) -> tuple[str, Source, Relation | None]:
        """The table that a name in a list of targets means."""
        alias = name[-1]
        source = self.scope.find(alias)
        if source is None:
            raise Unsupported("target not found")
        return alias, source, self.relations.get(alias)

    def note_written(self, alias: str, relation: Relation | None) -> None:
        reference = self.walk.reference("", alias, relation)
        self.walk.objects_written.add(reference)


def _update(walk: MySqlWalk, cursor: _Cursor, prefix: Sequence[Token]) -> Found:
    cursor.skip(_PRIORITY)
    tables = cursor.until("set")
    cursor.at += 1
    assignments = comma_separated(cursor.until(*_TAIL))
    names: list[list[str]] = []
    shown: list[Token] = []
    for part in assignments:
        at = next((i for i, t in enumerate(part) if t.kind is Kind.OPERATOR), 0)
        if not at or part[at].value not in ("=", ":="):
            raise Unsupported("syntax not understood")
        names.append([t.value for t in part[:at] if t.kind in (Kind.WORD, Kind.QUOTED)])
        shown += [*([Token(Kind.PUNCTUATION, ",", 0)] if shown else []), *_parenthesised(part[at + 1 :])]
    tail = cursor.until("returning")
    returning = cursor.tokens[cursor.at + 1 :]
    join = _Join.parse(walk, prefix, shown, tables, tail)
    if len(join.tree.expressions) != len(names):
        raise Unsupported("syntax not understood")
    walk.actions.add(Action.UPDATE)
    values = [walk.expression(item.unalias(), join.scope) for item in join.tree.expressions]
    written: dict[str, Source] = {}
    assigned: list[Value] = []
    for name, value in zip(names, values, strict=True):
        alias, source, relation = _assigned_table(join, name)
        if alias not in written:
            written[alias] = source
            join.note_written(alias, relation)
        own = source.by_name.get(name[-1])
        if own is None:
            walk.unknown("column not found")
        if relation is not None:
            walk.written.add(walk.column_of(relation, name[-1]))
        if value.sources - (own[0].sources if own else NO_COLUMNS) or not value.proven:
            walk.copies_data = True
            assigned.append(value)
    predicate = min((join.restrict(source) for source in written.values()), key=predicates.strength)
    join.tail(Rows((), complete=True))
    rows = _returning(walk, join, returning, assigned) if returning else None
    return _finish(walk, "update", rows, predicate, join)


def _parenthesised(tokens: Sequence[Token]) -> list[Token]:
    return [Token(Kind.PUNCTUATION, "(", 0), *tokens, Token(Kind.PUNCTUATION, ")", 0)]


def _assigned_table(join: _Join, name: Sequence[str]) -> tuple[str, Source, Relation | None]:
    if not name:
        raise Unsupported("syntax not understood")
    if len(name) > 1:
        return join.target(name[:-1])
    found = [source for source in join.scope.sources() if name[-1] in source.by_name] or join.scope.sources()
    if len(found) != 1:
        raise Unsupported("target not found")
    return found[0].alias, found[0], join.relations.get(found[0].alias)


def _delete(walk: MySqlWalk, cursor: _Cursor, prefix: Sequence[Token]) -> Found:
    cursor.skip(_PRIORITY)
    targets: list[list[str]] = []
    if cursor.word() != "from":
        # DELETE a, b FROM …
        targets = _target_names(cursor.until("from"))
        cursor.at += 1
        tables = cursor.until(*_TAIL)
    else:
        cursor.at += 1
        tables = cursor.until("using", *_TAIL)
        if cursor.word() == "using":
            targets = _target_names(tables)
            cursor.at += 1
            tables = cursor.until(*_TAIL)
    tail = cursor.until("returning")
    returning = cursor.tokens[cursor.at + 1 :]
    join = _Join.parse(walk, prefix, (), tables, tail)
    walk.actions.add(Action.DELETE)
    if not targets:
        (only,) = join.scope.sources() if len(join.scope.sources()) == 1 else (None,)
        if only is None:
            raise Unsupported("syntax not understood")
        targets = [[only.alias]]
    found = [join.target(name) for name in targets]
    for alias, _, relation in found:
        join.note_written(alias, relation)
    predicate = min((join.restrict(source) for _, source, _ in found), key=predicates.strength)
    join.tail(Rows((), complete=True))
    rows = _returning(walk, join, returning, []) if returning else None
    return _finish(walk, "delete", rows, predicate, join)


def _target_names(tokens: Sequence[Token]) -> list[list[str]]:
    names = []
    for part in comma_separated(tokens):
        name = [t.value for t in part if t.kind in (Kind.WORD, Kind.QUOTED)]
        if not name:
            raise Unsupported("syntax not understood")
        names.append(name)
    return names


def _returning(walk: MySqlWalk, join: _Join, tokens: Sequence[Token], assigned: Sequence[Value]) -> Rows:
    """What RETURNING shows; anything that was assigned may show through."""
    canonical = rebuild(walk, [Token(Kind.WORD, "select", 0), *tokens])
    join.named_by_literal = join.named_by_literal or canonical.named_by_literal
    tree = parse_rebuilt(canonical)
    if not isinstance(tree, exp.Select) or tree.args.get("from_") is not None:
        raise Unsupported("syntax not understood")
    arrived = union(assigned)
    seen = Scope(None, join.scope.ctes)
    for source in join.scope.sources():
        columns = [
            NamedValue(c.name, union((c.value, arrived)) if arrived.sources or not arrived.proven else c.value)
            for c in source.columns
        ]
        seen.items.append(Item([Source(source.alias, columns, complete=source.complete, key=source.key)]))
    return queries.projection(walk, tree.expressions, seen)


def _finish(walk: MySqlWalk, kind: str, rows: Rows | None, predicate: Predicate, join: _Join) -> Found:
    if len(join.relations) == 1:
        walk.objects_read -= walk.objects_written
    if walk.objects_read:
        walk.actions.add(Action.READ)
    facts = replace(collect(walk, kind, rows, predicate), texts=texts_of(join.tree))
    return facts, walk.literals_matter or join.named_by_literal or bool(walk.opaque)
