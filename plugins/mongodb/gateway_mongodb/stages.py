"""Pipeline stages, interpreted over abstract documents (MongoDB manual, "Aggregation Stages").

Every stage of the server's versions 6.0 to 8.0 is in ``_STAGES``, or in ``_OPAQUE`` where nobody can say what it shows.
A stage that is in neither makes the action of the statement unknown: it could write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.domain.statement import ColumnRef, ObjectRef
from gateway_mongodb.abstract import (
    CONSTANT,
    MAX_DEPTH,
    NOTHING,
    UNKNOWN,
    WHOLE,
    AbstractValue,
    Document,
    assign,
    computed,
    follow,
    join,
    sources,
)
from gateway_mongodb.accumulators import accumulate, window
from gateway_mongodb.expressions import evaluate
from gateway_mongodb.filters import read_filter
from gateway_mongodb.projections import add_fields, project, unset
from gateway_mongodb.reach import Scope
from gateway_mongodb.views import read_collection

Stage = Callable[[Any, Scope], AbstractValue]

_OPAQUE: Final = frozenset(
    """$search $searchMeta $vectorSearch $rankFusion $scoreFusion $score $planCacheStats $currentOp $listSessions
    $listLocalSessions $listCachedAndActiveUsers $listSampledQueries $queryStats $querySettings $listCatalog
    $operationMetrics""".split()
)
"""Stages that show what other people did, or values from places that are not known here."""


def run_pipeline(pipeline: Any, scope: Scope) -> AbstractValue:
    """What comes out of a pipeline, for the documents ``scope.current``."""
    if not isinstance(pipeline, list | tuple) or scope.depth > MAX_DEPTH:
        return scope.reach.unknown("a pipeline is not understood")
    for stage in pipeline:
        if not isinstance(stage, Mapping) or len(stage) != 1:
            return scope.reach.unknown("a stage is not understood")
        name, specification = next(iter(stage.items()))
        scope = scope.on(_run(str(name), specification, scope))
    return scope.current


def _run(name: str, specification: Any, scope: Scope) -> AbstractValue:
    handler = _STAGES.get(name)
    if handler is not None:
        return handler(specification, scope)
    if name not in _OPAQUE:
        scope.reach.unknown_stage = True
    return scope.reach.unknown(f"the stage {name[:40]} cannot be masked")


def _needs(specification: Any, scope: Scope, known: str) -> Mapping[str, Any] | None:
    """A stage's arguments; None, and the statement is opaque, where there are others than the known ones."""
    if not isinstance(specification, Mapping) or not set(map(str, specification)) <= set(known.split()):
        scope.reach.unknown("a stage has arguments that are not known")
        return None
    return specification


# --- one document in, the same out ------------------------------------------------------------------------------------


def _same(specification: Any, scope: Scope) -> AbstractValue:
    return scope.current


def _match(specification: Any, scope: Scope) -> AbstractValue:
    read_filter(specification, scope)
    return scope.current


def _sort(specification: Any, scope: Scope) -> AbstractValue:
    order_by(specification, scope)
    return scope.current


def order_by(specification: Any, scope: Scope) -> AbstractValue:
    """Count what an order looks at, and return it."""
    if specification is None:
        return CONSTANT
    if not isinstance(specification, Mapping):
        return scope.reach.unknown("an order is not understood")
    keys = [
        computed(scope.current) if isinstance(value, Mapping) else follow(scope.current, str(key).split("."))
        for key, value in specification.items()
    ]
    return computed(*(scope.reach.filters(key) for key in keys))


def _unwind(specification: Any, scope: Scope) -> AbstractValue:
    if isinstance(specification, str):
        specification = {"path": specification}
    named = _needs(specification, scope, "path includeArrayIndex preserveNullAndEmptyArrays")
    if named is None:
        return UNKNOWN
    scope.reach.reads(evaluate(named.get("path"), scope))
    index = named.get("includeArrayIndex")
    return scope.current if index is None else assign(scope.current, tuple(str(index).split(".")), CONSTANT)


def _redact(specification: Any, scope: Scope) -> AbstractValue:
    # The expression is evaluated at every level: a path in it may be a field of any document inside.
    scope.reach.filters(scope.current)
    evaluate(specification, scope)
    return scope.current


def _densify(specification: Any, scope: Scope) -> AbstractValue:
    named = _needs(specification, scope, "field partitionByFields range")
    if named is None:
        return UNKNOWN
    for path in (named.get("field"), *(named.get("partitionByFields") or ())):
        scope.reach.filters(follow(scope.current, str(path).split(".")))
    steps = tuple(str(named.get("field")).split("."))
    # Values that the client chose stand beside stored ones: what can be told of the latter must not be told.
    return assign(scope.current, steps, computed(follow(scope.current, steps)))


def _fill(specification: Any, scope: Scope) -> AbstractValue:
    named = _needs(specification, scope, "partitionBy partitionByFields sortBy output")
    if named is None or not isinstance(named.get("output"), Mapping):
        return UNKNOWN
    depends = [order_by(named.get("sortBy"), scope)]
    if "partitionBy" in named:
        depends.append(scope.reach.filters(evaluate(named["partitionBy"], scope)))
    for path in named.get("partitionByFields") or ():
        depends.append(scope.reach.filters(follow(scope.current, str(path).split("."))))
    result = scope.current
    for path, how in named["output"].items():
        steps = tuple(str(path).split("."))
        own = scope.reach.reads(follow(scope.current, steps))
        if not isinstance(how, Mapping) or not set(how) <= {"value", "method"}:
            return scope.reach.unknown("a stage has arguments that are not known")
        filled = evaluate(how["value"], scope) if "value" in how else own
        result = assign(result, steps, computed(own, filled, *depends))
    return result


# --- another document -------------------------------------------------------------------------------------------------


def _project(specification: Any, scope: Scope) -> AbstractValue:
    return project(specification, scope)


def _add_fields(specification: Any, scope: Scope) -> AbstractValue:
    return add_fields(specification, scope)


def _unset(specification: Any, scope: Scope) -> AbstractValue:
    return unset(specification, scope)


def _replace_root(specification: Any, scope: Scope) -> AbstractValue:
    named = _needs(specification, scope, "newRoot")
    return UNKNOWN if named is None else evaluate(named.get("newRoot"), scope)


def _replace_with(specification: Any, scope: Scope) -> AbstractValue:
    return evaluate(specification, scope)


def _group(specification: Any, scope: Scope) -> AbstractValue:
    if not isinstance(specification, Mapping) or "_id" not in specification:
        return scope.reach.unknown("a stage is not understood")
    fields: dict[str, AbstractValue] = {}
    for name, value in specification.items():
        if name == "_id":
            fields["_id"] = scope.reach.filters(evaluate(value, scope))
        elif name != "$doingMerge":
            fields[str(name)] = accumulate(value, scope)
    return Document(fields)


def _sort_by_count(specification: Any, scope: Scope) -> AbstractValue:
    return Document({"_id": scope.reach.filters(evaluate(specification, scope)), "count": CONSTANT})


def _bucket(specification: Any, scope: Scope) -> AbstractValue:
    named = _needs(specification, scope, "groupBy boundaries default output")
    if named is None:
        return UNKNOWN
    scope.reach.filters(evaluate(named.get("groupBy"), scope))
    return _buckets(CONSTANT, named.get("output"), scope)


def _bucket_auto(specification: Any, scope: Scope) -> AbstractValue:
    named = _needs(specification, scope, "groupBy buckets granularity output")
    if named is None:
        return UNKNOWN
    group = computed(scope.reach.filters(evaluate(named.get("groupBy"), scope)))
    return _buckets(Document({"min": group, "max": group}), named.get("output"), scope)


def _buckets(group: AbstractValue, output: Any, scope: Scope) -> AbstractValue:
    if output is None:
        return Document({"_id": group, "count": CONSTANT})
    if not isinstance(output, Mapping):
        return scope.reach.unknown("a stage is not understood")
    return Document({"_id": group, **{str(name): accumulate(value, scope) for name, value in output.items()}})


def _count(specification: Any, scope: Scope) -> AbstractValue:
    return Document({str(specification): CONSTANT})


def _facet(specification: Any, scope: Scope) -> AbstractValue:
    if not isinstance(specification, Mapping):
        return scope.reach.unknown("a stage is not understood")
    inner = scope.deeper()
    return Document({str(name): run_pipeline(pipeline, inner) for name, pipeline in specification.items()})


def _set_window_fields(specification: Any, scope: Scope) -> AbstractValue:
    named = _needs(specification, scope, "partitionBy sortBy output")
    if named is None or not isinstance(named.get("output"), Mapping):
        return UNKNOWN
    order = order_by(named.get("sortBy"), scope)
    if "partitionBy" in named:
        scope.reach.filters(evaluate(named["partitionBy"], scope))
    result = scope.current
    for path, value in named["output"].items():
        result = assign(result, tuple(str(path).split(".")), window(value, order, scope))
    return result


def _geo_near(specification: Any, scope: Scope) -> AbstractValue:
    named = _needs(
        specification,
        scope,
        "near distanceField spherical maxDistance minDistance query distanceMultiplier includeLocs uniqueDocs key",
    )
    if named is None:
        return UNKNOWN
    evaluate(named.get("near"), scope)
    if "query" in named:
        read_filter(named["query"], scope)
    key = named.get("key")
    place = follow(scope.current, str(key).split(".")) if isinstance(key, str) else scope.current
    distance = computed(scope.reach.filters(place))
    result = scope.current
    for name in ("distanceField", "includeLocs"):
        if isinstance(named.get(name), str):
            result = assign(result, tuple(named[name].split(".")), distance)
    return result


def _documents(specification: Any, scope: Scope) -> AbstractValue:
    return evaluate(specification, scope)


def _statistics(specification: Any, scope: Scope) -> AbstractValue:
    """Counts, sizes and definitions: nothing that is stored in documents."""
    return CONSTANT


# --- other collections ------------------------------------------------------------------------------------------------


def _lookup(specification: Any, scope: Scope) -> AbstractValue:
    named = _needs(specification, scope, "from localField foreignField as let pipeline")
    if named is None or not isinstance(named.get("as"), str):
        return UNKNOWN
    if "from" in named:
        foreign = _other(named["from"], scope)
    else:
        foreign = CONSTANT  # a pipeline that begins with $documents
        if not _begins_with_documents(named.get("pipeline")):
            foreign = scope.reach.unknown("a collection is not named")
    if "localField" in named or "foreignField" in named:
        scope.reach.filters(follow(scope.current, str(named.get("localField")).split(".")))
        scope.reach.filters(follow(foreign, str(named.get("foreignField")).split(".")))
    if "pipeline" in named:
        let = named.get("let") or {}
        if not isinstance(let, Mapping) or "CURRENT" in let:
            return scope.reach.unknown("a stage is not understood")
        inner = scope.with_variables({str(name): evaluate(value, scope) for name, value in let.items()}).on(foreign)
        foreign = run_pipeline(named["pipeline"], inner)
    return assign(scope.current, tuple(named["as"].split(".")), scope.reach.reads(foreign))


def _graph_lookup(specification: Any, scope: Scope) -> AbstractValue:
    named = _needs(
        specification,
        scope,
        "from startWith connectFromField connectToField as maxDepth depthField restrictSearchWithMatch",
    )
    if named is None or not isinstance(named.get("as"), str):
        return UNKNOWN
    foreign = _other(named.get("from"), scope)
    scope.reach.filters(evaluate(named.get("startWith"), scope))
    for name in ("connectFromField", "connectToField"):
        scope.reach.filters(follow(foreign, str(named.get(name)).split(".")))
    if "restrictSearchWithMatch" in named:
        read_filter(named["restrictSearchWithMatch"], scope.on(foreign))
    if isinstance(named.get("depthField"), str):
        foreign = assign(foreign, tuple(named["depthField"].split(".")), CONSTANT)
    return assign(scope.current, tuple(named["as"].split(".")), scope.reach.reads(foreign))


def _union_with(specification: Any, scope: Scope) -> AbstractValue:
    if isinstance(specification, str):
        specification = {"coll": specification}
    named = _needs(specification, scope, "coll pipeline")
    if named is None:
        return UNKNOWN
    pipeline = named.get("pipeline") or ()
    if "coll" in named:
        other = _other(named["coll"], scope)
    elif _begins_with_documents(pipeline):
        other = CONSTANT
    else:
        other = scope.reach.unknown("a collection is not named")
    return join(scope.current, scope.reach.reads(run_pipeline(pipeline, scope.deeper().on(other))))


def _begins_with_documents(pipeline: Any) -> bool:
    return bool(pipeline) and isinstance(pipeline[0], Mapping) and "$documents" in pipeline[0]


def _other(name: Any, scope: Scope) -> AbstractValue:
    database: Any = scope.database
    collection = name
    if isinstance(name, Mapping) and set(name) <= {"db", "coll"}:
        database, collection = name.get("db", database), name.get("coll")
    if not isinstance(database, str) or not isinstance(collection, str):
        return scope.reach.unknown("a collection is not named")
    return read_collection(database, collection, scope, run_pipeline)


# --- writing ----------------------------------------------------------------------------------------------------------


def _out(specification: Any, scope: Scope) -> AbstractValue:
    if not isinstance(specification, Mapping):
        return _written(scope.database, specification, scope)
    named = _needs(specification, scope, "db coll timeseries")
    return UNKNOWN if named is None else _written(named.get("db"), named.get("coll"), scope)


def _merge(specification: Any, scope: Scope) -> AbstractValue:
    if isinstance(specification, str):
        specification = {"into": specification}
    named = _needs(
        specification, scope, "into on let whenMatched whenNotMatched targetCollation allowMergeOnNullishValues"
    )
    if named is None:
        return UNKNOWN
    into = named.get("into")
    database: Any = scope.database
    collection: Any = into
    if isinstance(into, Mapping):
        database, collection = into.get("db", database), into.get("coll")
    matched = named.get("whenMatched")
    if isinstance(matched, list | tuple):
        let = named.get("let") or {"new": "$$ROOT"}
        variables = {str(key): evaluate(value, scope) for key, value in let.items()} if isinstance(let, Mapping) else {}
        variables.setdefault("new", scope.current)
        if isinstance(database, str) and isinstance(collection, str):
            target = read_collection(database, collection, scope, run_pipeline)
            scope.reach.reads(run_pipeline(matched, scope.with_variables(variables).on(target)))
    return _written(database, collection, scope)


def _written(database: Any, collection: Any, scope: Scope) -> AbstractValue:
    scope.reach.reads(scope.current)
    scope.reach.copies = scope.reach.copies or sources(scope.current) != frozenset()
    if not isinstance(database, str) or not isinstance(collection, str):
        return scope.reach.unknown("a collection is not named")
    scope.reach.objects_written.add(ObjectRef(database, collection))
    scope.reach.columns_written.add(ColumnRef(database, collection, WHOLE))
    return NOTHING


_STAGES: Final[Mapping[str, Stage]] = {
    "$match": _match,
    "$sort": _sort,
    "$limit": _same,
    "$skip": _same,
    "$sample": _same,
    "$unwind": _unwind,
    "$redact": _redact,
    "$densify": _densify,
    "$fill": _fill,
    "$project": _project,
    "$addFields": _add_fields,
    "$set": _add_fields,
    "$unset": _unset,
    "$replaceRoot": _replace_root,
    "$replaceWith": _replace_with,
    "$group": _group,
    "$sortByCount": _sort_by_count,
    "$bucket": _bucket,
    "$bucketAuto": _bucket_auto,
    "$count": _count,
    "$facet": _facet,
    "$setWindowFields": _set_window_fields,
    "$geoNear": _geo_near,
    "$documents": _documents,
    "$collStats": _statistics,
    "$indexStats": _statistics,
    "$shardedDataDistribution": _statistics,
    "$listSearchIndexes": _statistics,
    "$listClusterCatalog": _statistics,
    "$lookup": _lookup,
    "$graphLookup": _graph_lookup,
    "$unionWith": _union_with,
    "$out": _out,
    "$merge": _merge,
    "$changeStreamSplitLargeEvent": _same,
}

STAGES: Final = frozenset(_STAGES) | _OPAQUE | {"$changeStream"}
"""Every stage that is understood, or known to show what cannot be masked."""
