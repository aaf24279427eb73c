"""One statement's analysis: what it has collected so far, and how it resolves names."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from gateway.domain.statement import Action, ColumnRef, ObjectRef, Predicate, SessionEffect
from gateway.sql import expressions, queries, writes
from gateway.sql.catalog import VIEW_KINDS, Catalog, Relation
from gateway.sql.functions import (
    HARMLESS_RELATIONS,
    KEEPERS,
    KEYWORD_FUNCTIONS,
    LEAKY_SYSTEM_COLUMNS,
    SET_RETURNING,
    SYSTEM_SCHEMAS,
    TRUSTED_EXTENSIONS,
    Purity,
    builtin,
)
from gateway.sql.names import name_of, output_name
from gateway.sql.rebuilt import FUNCTION_MARK, Canonical
from gateway.sql.scope import Rows, Scope, Source
from gateway.sql.state import NameResolution
from gateway.sql.values import NamedValue, Value

_IMPLIED_OPERATORS = frozenset("= <> < > <= >= ~~ !~~ ~~* !~~*".split())
"""Operators that run without being written: IN, BETWEEN, DISTINCT, LIKE, joins."""
NO_CTES: Mapping[str, Rows] = {}


class Walk:
    """Collects facts while the parsed statement is walked. Not reusable."""

    def __init__(self, state: NameResolution, catalog: Catalog | None) -> None:
        self.state = state
        self.catalog = catalog
        self.path = state.schemas()
        self.actions: set[Action] = set()
        self.objects_read: set[ObjectRef] = set()
        self.objects_written: set[ObjectRef] = set()
        self.functions: set[ObjectRef] = set()
        self.read: set[ColumnRef] = set()
        self.written: set[ColumnRef] = set()
        self.filtered: set[ColumnRef] = set()
        self.effects: set[SessionEffect] = set()
        self.settings: set[str] = set()
        """Settings that a function changes."""
        self.opaque: dict[str, None] = {}
        self.reads_everything = False
        self.copies_data = False
        self.literals_matter = False
        self.nothing_proven = False
        """Whether code of somebody's own may run anywhere in the statement."""
        self.writes = 0
        """How many data-modifying statements there are, those inside WITH included."""
        self.predicate = Predicate.NOT_APPLICABLE
        """What restricts the weakest UPDATE, DELETE or MERGE."""
        self.query_predicate = Predicate.NOT_APPLICABLE
        """What restricts the query that was walked last."""

    # --- the three walks --------------------------------------------------------------------------------------------

    def expression(self, node: exp.Expr, scope: Scope) -> Value:
        return expressions.evaluate(self, node, scope)

    def query(self, node: exp.Expr, parent: Scope | None, ctes: Mapping[str, Rows]) -> Rows:
        return queries.query(self, node, parent, ctes)

    def write(self, node: exp.Expr, parent: Scope | None, ctes: Mapping[str, Rows]) -> Rows | None:
        return writes.write(self, node, parent, ctes)

    # --- notes ------------------------------------------------------------------------------------------------------

    def unknown(self, reason: str) -> None:
        """Something could not be proven: it may reach anything."""
        self.opaque[reason] = None
        self.reads_everything = True

    def use_as_filter(self, value: Value) -> None:
        self.filtered |= value.sources
        if not value.proven:
            self.reads_everything = True

    def note_operators(self, canonical: Canonical) -> None:
        """Operators and casts are function calls too."""
        if any("." in operator for operator in canonical.operators):
            self._distrust("user-defined operator")
        if self.catalog is None:
            return
        contents = self.catalog.contents
        if contents.operators and not contents.operators.isdisjoint(canonical.operators | _IMPLIED_OPERATORS):
            self._distrust("user-defined operator")
        if not contents.cast_types.isdisjoint(canonical.types):
            self._distrust("user-defined cast")

    def _distrust(self, reason: str) -> None:
        self.unknown(reason)
        self.nothing_proven = True
        self.copies_data = True
        self.effects.add(SessionEffect.NAME_RESOLUTION)

    def note(self, value: Value) -> None:
        """A stored column's value is looked at."""
        if value.sources:
            self.read |= value.sources
        if not value.proven:
            self.unknown("column of unknown origin")

    # --- what differs by dialect ------------------------------------------------------------------------------------

    outputs_in_conditions = False
    """Whether HAVING, and expressions in GROUP BY and ORDER BY, may name output columns."""
    whole_rows = True
    """Whether a table's name may stand for its row in an expression."""
    right_joins_turn = False
    """Whether a RIGHT JOIN by equal names shows the right side's columns first."""
    keepers = KEEPERS
    set_returning = SET_RETURNING

    def output_name(self, node: exp.Expr) -> str:
        """The name the server gives to an output column, or ``UNCERTAIN``."""
        return output_name(node)

    def values_name(self, number: int) -> str:
        """The name of a column of VALUES, counted from 1."""
        return f"column{number}"

    def special_call(self, schema: str, name: str, arguments: list[exp.Expr], scope: Scope) -> Value | None:
        """The value of a function whose arguments say what it does; None for any other."""
        return expressions.special_call(self, schema, name, arguments, scope)

    def note_cte(self, name: str) -> None:
        """A common table expression has this name."""

    def column_of(self, relation: Relation, name: str) -> ColumnRef:
        """The column of that name, as the catalog spells it."""
        return relation.reference(name)

    # --- relations --------------------------------------------------------------------------------------------------

    def resolve(self, schema: str, name: str) -> Relation | None:
        """The relation that a name stands for; None where that is not certain."""
        catalog = self.catalog
        if catalog is None:
            self.unknown("no catalog")
            return None
        if schema:
            if schema.startswith("pg_temp"):
                self.unknown("temporary relation")
                return None
            relation = catalog.relation(schema, name)
        elif self.path is None:
            self.unknown("search_path is not known")
            return None
        elif self.state.temporary_objects:
            self.unknown("a temporary relation may have the name")
            return None
        else:
            relation = next(filter(None, (catalog.relation(entry, name) for entry in self.path)), None)
        if relation is None:
            self.unknown("relation not in the catalog")
        return relation

    def reference(self, schema: str, name: str, relation: Relation | None) -> ObjectRef:
        if relation is None:
            return ObjectRef(schema, name)
        return ObjectRef(relation.schema, relation.name, "view" if relation.kind in VIEW_KINDS else "table")

    def table(self, node: exp.Table) -> tuple[Relation | None, Source]:
        """The source that a table's name in FROM stands for."""
        schema, name = name_of(node.args.get("db")), name_of(node.this)
        relation = self.resolve(schema, name)
        self.objects_read.add(self.reference(schema, name, relation))
        return relation, self.source(relation, name)

    def source(self, relation: Relation | None, name: str) -> Source:
        if relation is None or self.catalog is None:
            return Source(name, (), complete=False, stored=True)
        columns = self.catalog.row(relation)
        if relation.schema in SYSTEM_SCHEMAS:
            columns = self._system_row(relation, columns)
        return Source(name, columns, stored=relation.kind not in VIEW_KINDS, key=relation.key)

    def _system_row(self, relation: Relation, columns: tuple[NamedValue, ...]) -> tuple[NamedValue, ...]:
        leaky = (
            relation.name not in HARMLESS_RELATIONS
            if relation.schema == "pg_catalog"
            else relation.name.endswith("_options")
        )
        if leaky:
            self.unknown(f"relation {relation.schema}.{relation.name}")
        return tuple(
            NamedValue(c.name, Value(c.value.sources, proven=False))
            if leaky or (relation.name, c.name) in LEAKY_SYSTEM_COLUMNS
            else c
            for c in columns
        )

    # --- functions --------------------------------------------------------------------------------------------------

    def purity(self, schema: str, name: str) -> Purity:
        """What is known of a function; notes what it could do where nothing is."""
        plain, name = name, name.removeprefix(FUNCTION_MARK)
        keyword = plain in KEYWORD_FUNCTIONS and not schema
        found, resolved, volatile = self._find_function(schema, name, keyword=keyword)
        self.functions.add(ObjectRef(resolved, name, "function"))
        if found is Purity.UNKNOWN:
            self.unknown(f"function {name}")
            self.effects.add(SessionEffect.NAME_RESOLUTION)
            if volatile:
                self.actions.add(Action.CALL)
        return found

    def _find_function(self, schema: str, name: str, *, keyword: bool) -> tuple[Purity, str, bool]:
        if keyword:
            return builtin(name), "pg_catalog", False
        if self.catalog is None:
            return (builtin(name) if schema == "pg_catalog" else Purity.UNKNOWN), schema, True
        if schema in SYSTEM_SCHEMAS:
            return builtin(name), schema, True
        theirs = [
            function
            for function in self.catalog.functions(name)
            if (function.schema == schema if schema else self.path is None or function.schema in self.path)
        ]
        foreign = [function for function in theirs if function.extension not in TRUSTED_EXTENSIONS]
        if foreign:
            volatile = any(function.volatility not in "is" for function in foreign)
            return Purity.UNKNOWN, foreign[0].schema, volatile
        if theirs:
            return Purity.PURE, theirs[0].schema, False
        if schema or not self.state.catalog_is_first:
            # Where other schemas come before pg_catalog, a function made since the catalog was read would be taken.
            return Purity.UNKNOWN, schema, True
        purity = builtin(name)
        return purity, "pg_catalog" if purity is not Purity.UNKNOWN else "", True
