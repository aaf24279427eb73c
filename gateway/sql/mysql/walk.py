"""How a walk resolves names in MySQL."""

from __future__ import annotations

from typing import Final

from sqlglot import exp
from typing_extensions import override

from gateway.domain.statement import Action, ColumnRef, ObjectRef, SessionEffect
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.functions import Purity
from gateway.sql.mysql.functions import KEEPERS, builtin
from gateway.sql.mysql.system import HARMLESS, LEAKY_COLUMNS, SYSTEM_SCHEMAS
from gateway.sql.mysql.writer import ASSIGN
from gateway.sql.names import UNCERTAIN, name_of
from gateway.sql.rebuilt import Canonical
from gateway.sql.scope import Scope, Source
from gateway.sql.state import UNKNOWN_RESOLUTION, MySqlResolution
from gateway.sql.values import CONSTANT, UNPROVEN, NamedValue, Value, union
from gateway.sql.walk import Walk

_VARIABLE: Final = "@"
_SYSTEM_VARIABLE: Final = "@@"


class MySqlWalk(Walk):
    """Collects facts while a statement of MySQL's is walked."""

    outputs_in_conditions = True
    whole_rows = False
    right_joins_turn = True
    keepers = KEEPERS
    set_returning = frozenset[str]()

    def __init__(self, session: MySqlResolution, catalog: Catalog | None, *, definition: bool = False) -> None:
        super().__init__(UNKNOWN_RESOLUTION, catalog)
        self.session = session
        self._definition = definition
        """Whether it is a view's, in which every table's name is qualified."""
        self._cte_names: set[str] = set()

    @override
    def note_operators(self, canonical: Canonical) -> None:
        """Operators are the server's own."""

    # --- relations --------------------------------------------------------------------------------------------------

    @override
    def resolve(self, schema: str, name: str) -> Relation | None:
        """The relation that a name stands for; a temporary table hides a stored one even where it is qualified."""
        catalog = self.catalog
        if catalog is None:
            self.unknown("no catalog")
            return None
        schema = schema or self.default_schema
        if not schema:
            self.unknown("no database is selected")
            return None
        if self.session.temporary_objects and schema not in SYSTEM_SCHEMAS:
            self.unknown("a temporary table may have the name")
            return None
        relation = catalog.relation(schema, name)
        if relation is None:
            self.unknown("relation not in the catalog")
        return relation

    @property
    def default_schema(self) -> str:
        """The database that is in use; "" where there is none, or nobody knows."""
        database = self.session.database
        return database.lower() if database and self.session.known else ""

    @override
    def reference(self, schema: str, name: str, relation: Relation | None) -> ObjectRef:
        if relation is None:
            return ObjectRef(schema or self.default_schema, name)
        return super().reference(schema, name, relation)

    @override
    def source(self, relation: Relation | None, name: str) -> Source:
        if relation is None or self.catalog is None:
            return Source(name, (), complete=False)
        columns = self.catalog.row(relation)
        if relation.schema.lower() in SYSTEM_SCHEMAS:
            columns = self._system_columns(relation, columns)
        key = (self.catalog.fold(relation.schema), self.catalog.fold(relation.name))
        hidden = [named for column, named in zip(relation.columns, columns, strict=True) if column.hidden]
        if not hidden:
            return Source(name, columns, key=key)
        shown = [named for column, named in zip(relation.columns, columns, strict=True) if not column.hidden]
        return Source(name, shown, key=key, hidden=hidden)

    def _system_columns(self, relation: Relation, columns: tuple[NamedValue, ...]) -> tuple[NamedValue, ...]:
        name = relation.name.lower()
        leaky = (relation.schema.lower(), name) not in HARMLESS
        if leaky:
            self.unknown(f"relation {relation.schema}.{relation.name}")
        return tuple(
            NamedValue(c.name, Value(c.value.sources, proven=False)) if leaky or (name, c.name) in LEAKY_COLUMNS else c
            for c in columns
        )

    @override
    def column_of(self, relation: Relation, name: str) -> ColumnRef:
        spelled = next((column.name for column in relation.columns if column.name.lower() == name), name)
        return relation.reference(spelled)

    @override
    def note_cte(self, name: str) -> None:
        """MariaDB looks names of common table expressions up in another order than it says where one is used twice."""
        default = self.default_schema
        taken = not self._definition and (
            not default
            or self.session.temporary_objects
            or (self.catalog is not None and self.catalog.relation(default, name) is not None)
        )
        if taken or name in self._cte_names:
            self.unknown("a common table expression with a name that may mean something else")
            self.nothing_proven = True
        self._cte_names.add(name)

    # --- expressions ------------------------------------------------------------------------------------------------

    @override
    def output_name(self, node: exp.Expr) -> str:
        match node:
            case exp.Alias():
                return name_of(node.args.get("alias"))
            case exp.Column():
                return name_of(node.this)
            case _:
                return UNCERTAIN

    @override
    def values_name(self, number: int) -> str:
        return UNCERTAIN

    @override
    def special_call(self, schema: str, name: str, arguments: list[exp.Expr], scope: Scope) -> Value | None:
        """Variables. A user variable may hold anything that any statement, trigger or message put there."""
        if schema:
            return None
        if name == _SYSTEM_VARIABLE:
            return CONSTANT
        if name == _VARIABLE:
            self.reads_everything = True
            return UNPROVEN
        if name == ASSIGN:
            value = union([self.expression(argument, scope) for argument in arguments])
            if value.sources:
                self.copies_data = True
            return value if value.sources or value.proven else UNPROVEN
        return None

    @override
    def purity(self, schema: str, name: str) -> Purity:
        """A builtin function's name means it wherever it is not qualified, but for a space before the parenthesis."""
        theirs = self.catalog is None or bool(self.catalog.functions(name))
        found = Purity.UNKNOWN if schema or theirs else builtin(name)
        if found is Purity.UNKNOWN:
            self.functions.add(ObjectRef(schema or (self.default_schema if theirs else ""), name, "function"))
            self.unknown(f"function {name}")
            self.effects |= frozenset(SessionEffect)
            self.actions.add(Action.CALL)
        else:
            self.functions.add(ObjectRef("", name, "function"))
        return found
