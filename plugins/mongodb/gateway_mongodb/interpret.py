"""One command, interpreted (MongoDB manual, "Database Commands").

A command is what OP_MSG carries: a document whose first key is its name. Those on documents have a function each below;
the rest is looked up in ``gateway_mongodb.commands``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.statement import Action, ColumnRef, ObjectRef, Predicate, SessionEffect, StatementFacts
from gateway_mongodb.abstract import (
    CONSTANT,
    WHOLE,
    AbstractValue,
    assign,
    collection,
    computed,
    follow,
    get,
)
from gateway_mongodb.catalog import MongoCatalog
from gateway_mongodb.changes import change_events
from gateway_mongodb.commands import COMMANDS, REFUSED, Plain, Target
from gateway_mongodb.expressions import evaluate
from gateway_mongodb.filters import read_filter, weakest
from gateway_mongodb.projections import project
from gateway_mongodb.reach import Reach, Scope
from gateway_mongodb.shapes import Place, Shape, outputs
from gateway_mongodb.stages import order_by, run_pipeline
from gateway_mongodb.updates import read_update
from gateway_mongodb.views import read_collection

Command = Mapping[str, Any]
"""A command with its document sequences (OP_MSG kind 1) put in as arrays; the first key is its name. Values are what
``bson`` decodes to; nested documents may be ``RawBSONDocument``."""

ENVELOPE: Final = frozenset(
    """$db lsid txnNumber autocommit startTransaction $clusterTime $readPreference readConcern writeConcern maxTimeMS
    comment apiVersion apiStrict apiDeprecationErrors $queryOptions""".split()
)
"""Fields that any command may have and that say nothing of what it does."""
_NO_VALUES: Final = Shape(Place.NONE, CONSTANT)


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What a command does and what its replies hold."""

    facts: StatementFacts
    shape: Shape


class Work:
    """One command and what has been found out about it."""

    __slots__ = ("actions", "catalog", "command", "database", "detail", "effects", "name", "predicate", "reach")

    def __init__(self, command: Command, database: str, catalog: MongoCatalog | None) -> None:
        self.command = command
        self.database = database
        self.catalog = catalog
        self.name = str(next(iter(command), ""))
        self.reach = Reach()
        self.actions: set[Action] = set()
        self.effects: set[SessionEffect] = set()
        self.predicate = Predicate.NOT_APPLICABLE
        self.detail = ""

    def fields(self, known: str) -> None:
        """Doubt the command if it has fields that are not known."""
        for key in self.command:
            if key not in ENVELOPE and key != self.name and key not in known.split():
                self.reach.unknown(f"the field {str(key)[:40]} of the command is not known")

    def target(self) -> str:
        """The collection that the first field names; "" where it names none, which is then doubted."""
        value = self.command[self.name]
        if isinstance(value, str) and value:
            return value
        self.reach.unknown("the command names no collection")
        return ""

    def scope(self, document: AbstractValue, variables: Any = None) -> Scope:
        scope = Scope(self.reach, self.catalog, self.database, document, document)
        if variables is None:
            return scope
        if not isinstance(variables, Mapping):
            self.reach.unknown("variables are not understood")
            return scope
        return scope.with_variables({str(name): evaluate(value, scope) for name, value in variables.items()})

    def read(self, name: str) -> AbstractValue:
        """The documents of a collection that the command reads."""
        return read_collection(self.database, name, self.scope(CONSTANT), run_pipeline)

    def writes(self, name: str) -> AbstractValue:
        """The documents of a collection that the command writes. Views cannot be written."""
        self.reach.objects_written.add(ObjectRef(self.database, name))
        if self.catalog is not None and self.catalog.find(self.database, name) is None:
            # It is made by being written to.
            self.effects.add(SessionEffect.CATALOG)
        if name.startswith("system."):
            return self.reach.unknown("the server's own collections hold documents of all others")
        return collection(self.database, name)

    def whole(self, name: str) -> ColumnRef:
        return ColumnRef(self.database, name, WHOLE)

    def conclude(self, shape: Shape) -> Interpretation:
        reach = self.reach
        if reach.unknown_stage:
            self.actions.add(Action.UNKNOWN)
        if shape.place is not Place.NONE:
            reach.reads(shape.value)
        facts = StatementFacts(
            kind=self.name[:64],
            actions=frozenset(self.actions),
            objects_read=frozenset(reach.objects_read),
            objects_written=frozenset(reach.objects_written),
            functions=frozenset(reach.functions),
            columns_read=frozenset(reach.columns_read),
            columns_written=frozenset(reach.columns_written),
            columns_filtered=frozenset(reach.columns_filtered),
            predicate=self.predicate,
            outputs=outputs(shape),
            reads_everything=reach.everything,
            copies_data=reach.copies,
            opaque=tuple(reach.opaque),
            session_effects=frozenset(self.effects),
            detail=self.detail,
        )
        return Interpretation(facts, shape)


def interpret(command: Command, database: str, catalog: MongoCatalog | None) -> Interpretation:
    """The command's facts and shape. May raise for a command of a form that no server takes."""
    work = Work(command, database, catalog)
    handler = _HANDLERS.get(work.name)
    return work.conclude(handler(work) if handler is not None else _plain(work))


# --- reading ----------------------------------------------------------------------------------------------------------


def _find(work: Work) -> Shape:
    work.fields(
        """filter sort projection hint skip limit batchSize singleBatch max min returnKey showRecordId tailable
        oplogReplay noCursorTimeout awaitData allowPartialResults collation allowDiskUse let"""
    )
    work.actions.add(Action.READ)
    command = work.command
    scope = work.scope(work.read(work.target()), command.get("let"))
    work.predicate = read_filter(command.get("filter"), scope)
    order_by(command.get("sort"), scope)
    for bounds in ("min", "max"):
        order_by(command.get(bounds), scope)
    _hint(command.get("hint"), scope)
    if command.get("returnKey"):
        # Keys of any index, under names of its own.
        return Shape(Place.CURSOR, computed(scope.current))
    value = scope.current
    if projection := command.get("projection"):
        value = project(projection, scope, find=True)
    if command.get("showRecordId"):
        # In a clustered collection it is made of the _id.
        value = assign(value, ("$recordId",), computed(get(scope.current, "_id")))
    return Shape(Place.CURSOR, value)


def _aggregate(work: Work) -> Shape:
    work.fields("pipeline cursor explain allowDiskUse bypassDocumentValidation collation hint let")
    work.actions.add(Action.READ)
    command = work.command
    pipeline = list(command["pipeline"])
    first = pipeline[0] if pipeline else {}
    name = command[work.name]
    token: AbstractValue = CONSTANT
    if "$changeStream" in first:
        events = change_events(first["$changeStream"], work.database, name, work.catalog, work.reach)
        document, token, pipeline = events.document, events.token, pipeline[1:]
    elif isinstance(name, str):
        document = work.read(name)
    else:
        document = CONSTANT  # $documents, or a stage about the server
    scope = work.scope(document, command.get("let"))
    work.predicate = Predicate.PRESENT if "$changeStream" in first else Predicate.ABSENT
    if "$match" in first:
        work.predicate = read_filter(first["$match"], work.scope(document, command.get("let")))
    _hint(command.get("hint"), scope)
    value = run_pipeline(pipeline, scope)
    last = pipeline[-1] if pipeline else {}
    if "$out" in last:
        work.actions |= {Action.INSERT, Action.TRUNCATE}
        work.effects.add(SessionEffect.CATALOG)
    elif "$merge" in last:
        work.actions.add(Action.MERGE)
        if work.catalog is None or any(work.catalog.find(o.schema, o.name) is None for o in work.reach.objects_written):
            work.effects.add(SessionEffect.CATALOG)
    elif work.reach.objects_written:
        work.reach.unknown("a stage that writes is not the last one")
    if command.get("explain"):
        work.actions.add(Action.EXPLAIN)
        work.reach.reads(value)
        return _NO_VALUES
    return Shape(Place.CURSOR, value, token)


def _hint(hint: Any, scope: Scope) -> None:
    """An index that is asked for gives its order, though nobody asked for that."""
    if isinstance(hint, Mapping):
        for key in hint:
            if key != "$natural":
                scope.reach.filters(follow(scope.current, str(key).split(".")))
    elif hint is not None and hint != "_id_":
        scope.reach.filters(scope.current)


def _count(work: Work) -> Shape:
    work.fields("query limit skip hint collation fields")
    work.actions.add(Action.READ)
    scope = work.scope(work.read(work.target()))
    work.predicate = read_filter(work.command.get("query"), scope)
    return _NO_VALUES


def _distinct(work: Work) -> Shape:
    work.fields("key query collation hint")
    work.actions.add(Action.READ)
    scope = work.scope(work.read(work.target()))
    work.predicate = read_filter(work.command.get("query"), scope)
    return Shape(Place.VALUES, work.reach.filters(follow(scope.current, str(work.command["key"]).split("."))))


def _get_more(work: Work) -> Shape:
    work.fields("collection batchSize term lastKnownCommittedOpTime")
    work.actions.add(Action.READ)
    name = work.command.get("collection")
    if isinstance(name, str) and not name.startswith("$cmd."):
        work.reach.objects_read.add(ObjectRef(work.database, name))
    # What comes is known by the command that opened the cursor.
    return Shape()


def _explain(work: Work) -> Shape:
    work.fields("verbosity")
    inner = work.command[work.name]
    if not isinstance(inner, Mapping) or str(next(iter(inner), "")) not in _EXPLAINED:
        work.actions |= {Action.EXPLAIN, Action.UNKNOWN}
        work.reach.unknown("what is explained is not known")
        return Shape()
    explained = Work(inner, str(inner.get("$db", work.database)), work.catalog)
    shape = _HANDLERS[explained.name](explained)
    if shape.place is not Place.NONE:
        explained.reach.reads(shape.value)
    # Nothing is written by explaining it; whether it may be looked at is a matter of reading.
    explained.reach.objects_read |= explained.reach.objects_written
    explained.reach.objects_written.clear()
    explained.reach.columns_written.clear()
    explained.reach.copies = False
    work.reach.take(explained.reach)
    work.actions |= {Action.EXPLAIN, Action.READ}
    work.predicate = explained.predicate
    return _NO_VALUES


def _map_reduce(work: Work) -> Shape:
    work.actions.add(Action.READ)
    work.reach.reads(work.read(work.target()))
    work.reach.runs_code("mapReduce")
    out = work.command.get("out")
    if not (isinstance(out, Mapping) and "inline" in out):
        work.actions |= {Action.INSERT, Action.TRUNCATE}
        work.effects.add(SessionEffect.CATALOG)
        work.reach.copies = True
        database, name = work.database, out
        if isinstance(out, Mapping):
            database = str(out.get("db", database))
            name = next((out[key] for key in ("replace", "merge", "reduce") if key in out), None)
        work.reach.objects_written.add(ObjectRef(database, name) if isinstance(name, str) else ObjectRef("", ""))
    return Shape()


# --- writing ----------------------------------------------------------------------------------------------------------


def _insert(work: Work) -> Shape:
    work.fields("documents ordered bypassDocumentValidation")
    work.actions.add(Action.INSERT)
    name = work.target()
    work.writes(name)
    work.reach.columns_written.add(work.whole(name))
    return _NO_VALUES


def _update(work: Work) -> Shape:
    work.fields("updates ordered bypassDocumentValidation let")
    work.actions.add(Action.UPDATE)
    name = work.target()
    scope = work.scope(work.writes(name), work.command.get("let"))
    predicates = []
    for item in work.command["updates"]:
        _known(item, "q u c upsert multi collation arrayFilters hint upsertSupplied sort", work)
        inner = scope
        if isinstance(item.get("c"), Mapping):
            inner = scope.with_variables({str(key): evaluate(value, scope) for key, value in item["c"].items()})
        predicates.append(_restricted(read_filter(item.get("q"), inner), many=bool(item.get("multi"))))
        order_by(item.get("sort"), inner)
        read_update(item.get("u"), item.get("arrayFilters"), work.whole(name), inner)
        if item.get("upsert"):
            work.actions.add(Action.INSERT)
    work.predicate = weakest(predicates)
    return _NO_VALUES


def _delete(work: Work) -> Shape:
    work.fields("deletes ordered let")
    work.actions.add(Action.DELETE)
    name = work.target()
    scope = work.scope(work.writes(name), work.command.get("let"))
    predicates = []
    for item in work.command["deletes"]:
        _known(item, "q limit collation hint", work)
        predicates.append(_restricted(read_filter(item.get("q"), scope), many=item.get("limit") != 1))
    work.predicate = weakest(predicates)
    return _NO_VALUES


def _find_and_modify(work: Work) -> Shape:
    work.fields(
        """query sort remove update new fields projection upsert bypassDocumentValidation collation arrayFilters hint
        let"""
    )
    command = work.command
    name = work.target()
    work.writes(name)
    document = work.read(name)
    scope = work.scope(document, command.get("let"))
    work.predicate = _restricted(read_filter(command.get("query"), scope), many=False)
    order_by(command.get("sort"), scope)
    work.actions |= {Action.READ, Action.DELETE if command.get("remove") else Action.UPDATE}
    if not command.get("remove"):
        read_update(command.get("update"), command.get("arrayFilters"), work.whole(name), scope)
        if command.get("upsert"):
            work.actions.add(Action.INSERT)
    projection = command.get("fields") or command.get("projection")
    return Shape(Place.VALUE, project(projection, scope, find=True) if projection else document)


def _bulk_write(work: Work) -> Shape:
    work.fields("ops nsInfo ordered bypassDocumentValidation let errorsOnly cursor")
    command = work.command
    names = []
    for item in command["nsInfo"]:
        _known(item, "ns encryptionInformation", work)
        database, _, name = str(item["ns"]).partition(".")
        names.append((database, name))
    predicates = []
    for item in command["ops"]:
        kind = str(next(iter(item)))
        database, name = names[int(item[kind])]
        one = Work(work.command, database, work.catalog)
        one.reach, one.effects = work.reach, work.effects
        scope = one.scope(one.writes(name), command.get("let"))
        if kind == "insert":
            _known(item, "insert document", work)
            work.actions.add(Action.INSERT)
            work.reach.columns_written.add(one.whole(name))
        elif kind == "update":
            _known(item, "update filter updateMods multi upsert arrayFilters collation hint constants sort", work)
            work.actions |= {Action.UPDATE, Action.INSERT} if item.get("upsert") else {Action.UPDATE}
            if isinstance(item.get("constants"), Mapping):
                scope = scope.with_variables({str(k): evaluate(v, scope) for k, v in item["constants"].items()})
            predicates.append(_restricted(read_filter(item.get("filter"), scope), many=bool(item.get("multi"))))
            order_by(item.get("sort"), scope)
            read_update(item.get("updateMods"), item.get("arrayFilters"), one.whole(name), scope)
        elif kind == "delete":
            _known(item, "delete filter multi collation hint", work)
            work.actions.add(Action.DELETE)
            predicates.append(_restricted(read_filter(item.get("filter"), scope), many=bool(item.get("multi"))))
        else:
            work.actions.add(Action.UNKNOWN)
            work.reach.unknown("an operation of bulkWrite is not known")
    work.predicate = weakest(predicates)
    return _NO_VALUES


def _known(item: Mapping[str, Any], known: str, work: Work) -> None:
    if not set(map(str, item)) <= set(known.split()):
        work.reach.unknown("a field of a write is not known")


def _restricted(predicate: Predicate, *, many: bool) -> Predicate:
    """What restricts a write: one that changes a single document, whichever, needs no filter to be bounded."""
    return predicate if many or predicate is Predicate.PRESENT else Predicate.NOT_APPLICABLE


# --- definitions ------------------------------------------------------------------------------------------------------


def _create(work: Work) -> Shape:
    work.actions.add(Action.CREATE)
    work.effects.add(SessionEffect.CATALOG)
    name = work.target()
    kind = "view" if "viewOn" in work.command else "table"
    work.reach.objects_written.add(ObjectRef(work.database, name, kind))
    work.detail = kind
    _definition(work)
    return _NO_VALUES


def _coll_mod(work: Work) -> Shape:
    work.actions.add(Action.ALTER)
    work.effects.add(SessionEffect.CATALOG)
    name = work.target()
    work.reach.objects_written.add(ObjectRef(work.database, name))
    _definition(work)
    if isinstance(index := work.command.get("index"), Mapping) and "unique" not in index:
        work.detail = "index"
    return _NO_VALUES


def _definition(work: Work) -> None:
    """What a view shows and what a validator looks at."""
    command = work.command
    if isinstance(source := command.get("viewOn"), str) and source:
        base = work.read(source)
        work.reach.reads(run_pipeline(command.get("pipeline") or (), work.scope(base)))
        work.reach.copies = True
    if isinstance(command.get("validator"), Mapping):
        checked = Reach()
        # It speaks of the collection that it is for, and only says yes or no to what is written there.
        read_filter(command["validator"], Scope(checked, work.catalog, work.database, CONSTANT, CONSTANT))
        work.reach.take(checked)


def _create_indexes(work: Work) -> Shape:
    work.actions.add(Action.CREATE)
    work.detail = "index"
    name = work.target()
    work.reach.objects_written.add(ObjectRef(work.database, name, "index"))
    stored = collection(work.database, name)
    for index in work.command["indexes"]:
        if isinstance(condition := index.get("partialFilterExpression"), Mapping):
            read_filter(condition, work.scope(stored))
    return _NO_VALUES


def _rename(work: Work) -> Shape:
    work.fields("to dropTarget stayTemp")
    work.actions.add(Action.ALTER)
    if work.command.get("dropTarget"):
        work.actions.add(Action.DROP)
    work.effects.add(SessionEffect.CATALOG)
    for text in (work.command[work.name], work.command["to"]):
        database, _, name = str(text).partition(".")
        work.reach.objects_written.add(ObjectRef(database, name))
        work.reach.columns_written.add(ColumnRef(database, name, WHOLE))
    # What is there now carries the labels of its new name only.
    work.reach.copies = True
    return _NO_VALUES


def _clone_capped(work: Work) -> Shape:
    work.fields("toCollection size temp")
    work.actions |= {Action.READ, Action.CREATE, Action.INSERT}
    work.effects.add(SessionEffect.CATALOG)
    work.reach.reads(work.read(work.target()))
    work.reach.copies = True
    work.reach.objects_written.add(ObjectRef(work.database, str(work.command["toCollection"])))
    return _NO_VALUES


# --- all others -------------------------------------------------------------------------------------------------------


def _plain(work: Work) -> Shape:
    known = COMMANDS.get(work.name.lower())
    if known is None:
        refused = work.name.lower() in REFUSED
        work.actions.add(Action.UNKNOWN)
        work.reach.unknown("the command is not for clients" if refused else "the command is not known")
        return Shape()
    work.actions |= known.actions
    work.effects |= known.effects
    if known.doubt:
        work.reach.unknown(known.doubt)
    if known.setting:
        work.detail = _setting(work)
    _name_target(work, known)
    if work.name.lower() == "profile" and work.command[work.name] == -1:
        work.actions.clear()
        work.actions.add(Action.SHOW)
    return Shape() if known.doubt else _NO_VALUES


def _setting(work: Work) -> str:
    """The setting that is set, or the command's own name."""
    if work.name in ("setParameter", "setClusterParameter"):
        found = [str(key) for key in work.command if key != work.name and key not in ENVELOPE]
        value = work.command[work.name]
        if isinstance(value, Mapping):
            found = [*map(str, value), *found]
        return found[0] if len(found) == 1 else work.name
    return work.name


def _name_target(work: Work, known: Plain) -> None:
    value = work.command[work.name]
    reads = known.actions <= {Action.READ, Action.SHOW}
    objects = work.reach.objects_read if reads else work.reach.objects_written
    match known.target:
        case Target.NOTHING:
            pass
        case Target.COLLECTION:
            objects.add(ObjectRef(work.database, work.target()))
        case Target.INDEX:
            work.detail = "index"
            objects.add(ObjectRef(work.database, work.target(), "index"))
        case Target.ROLE:
            work.detail = "role"
            objects.add(ObjectRef(work.database, str(value), "role"))
        case Target.NAMESPACE:
            database, _, name = str(value).partition(".")
            objects.add(ObjectRef(database, name))
        case Target.DATABASE:
            work.detail = "database"
            database = value if isinstance(value, str) else work.database
            objects.add(ObjectRef(database, WHOLE, "database"))
            if work.catalog is not None:
                objects.update(ObjectRef(database, name) for name in work.catalog.names(database))


_Handler = Callable[[Work], Shape]
_HANDLERS: Final[Mapping[str, _Handler]] = {
    "find": _find,
    "aggregate": _aggregate,
    "count": _count,
    "distinct": _distinct,
    "getMore": _get_more,
    "explain": _explain,
    "mapReduce": _map_reduce,
    "mapreduce": _map_reduce,
    "insert": _insert,
    "update": _update,
    "delete": _delete,
    "findAndModify": _find_and_modify,
    "findandmodify": _find_and_modify,
    "bulkWrite": _bulk_write,
    "create": _create,
    "collMod": _coll_mod,
    "createIndexes": _create_indexes,
    "renameCollection": _rename,
    "cloneCollectionAsCapped": _clone_capped,
}
_EXPLAINED: Final = frozenset(
    "find aggregate count distinct update delete findAndModify findandmodify mapReduce mapreduce".split()
)
HANDLED: Final = frozenset(_HANDLERS)
"""Commands that are interpreted field by field."""
