"""What updates write, and what they copy (MongoDB manual, "Update Operators")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.domain.statement import ColumnRef
from gateway_mongodb.abstract import WHOLE, AbstractValue, follow, sources
from gateway_mongodb.filters import read_filter
from gateway_mongodb.reach import Reach, Scope
from gateway_mongodb.stages import run_pipeline

_OF_A_FIELD: Final = frozenset(
    "$set $setOnInsert $unset $inc $mul $min $max $currentDate $push $addToSet $pop $pull $pullAll $bit".split()
)
UPDATE_OPERATORS: Final = _OF_A_FIELD | {"$rename"}
_STAGES: Final = frozenset("$addFields $set $project $unset $replaceRoot $replaceWith".split())


def read_update(update: Any, array_filters: Any, target: ColumnRef, scope: Scope) -> None:
    """Count what an update writes and looks at. ``target`` is the collection's whole document, which is current."""
    reach = scope.reach
    if isinstance(update, list | tuple):
        _pipeline(update, target, scope)
    elif not isinstance(update, Mapping):
        reach.unknown("an update is not understood")
    elif not any(str(key).startswith("$") for key in update):
        reach.columns_written.add(target)
    else:
        for name, fields in update.items():
            _operator(str(name), fields, target, scope)
    if array_filters is not None:
        _array_filters(array_filters, update, scope)


def _operator(name: str, fields: Any, target: ColumnRef, scope: Scope) -> None:
    reach = scope.reach
    if name not in UPDATE_OPERATORS or not isinstance(fields, Mapping):
        reach.unknown(f"the update operator {name[:40]} is not known")
        return
    for key, value in fields.items():
        path = _plain(str(key))
        reach.columns_written.add(_at(target, path))
        if name == "$rename":
            reach.reads(follow(scope.current, path))
            reach.columns_written.add(_at(target, str(value).split(".")))
            reach.copies = True
        elif name in ("$min", "$max", "$addToSet"):
            # Whether anything changes tells how the stored value compares.
            reach.filters(follow(scope.current, path))
        elif name == "$pull":
            element = scope.on(reach.filters(follow(scope.current, path)))
            if isinstance(value, Mapping):
                read_filter({"_": value} if str(next(iter(value), "")).startswith("$") else value, element)


def _array_filters(filters: Any, update: Any, scope: Scope) -> None:
    """Each filter speaks of the elements of some array that the update names by an identifier."""
    paths: dict[str, list[str]] = {}
    for fields in update.values() if isinstance(update, Mapping) else ():
        for key in fields if isinstance(fields, Mapping) else ():
            steps = str(key).split(".")
            for position, step in enumerate(steps):
                if step.startswith("$[") and step.endswith("]"):
                    paths[step[2:-1]] = _plain(".".join(steps[:position]))
    for condition in filters if isinstance(filters, list | tuple) else (filters,):
        if not isinstance(condition, Mapping):
            scope.reach.unknown("an array filter is not understood")
            continue
        elements: dict[str, AbstractValue] = {name: follow(scope.current, path) for name, path in paths.items()}
        named = {str(key).partition(".")[0] for key in condition if not str(key).startswith("$")}
        if named <= elements.keys():
            for name in named:
                scope.reach.filters(elements[name])
        else:
            scope.reach.filters(scope.current)


def _pipeline(stages: Any, target: ColumnRef, scope: Scope) -> None:
    reach = scope.reach
    for stage in stages:
        name = str(next(iter(stage), "")) if isinstance(stage, Mapping) else ""
        if name not in _STAGES:
            reach.unknown("a stage is not one of an update")
            return
        specification = stage[name]
        if name in ("$set", "$addFields", "$project") and isinstance(specification, Mapping):
            reach.columns_written.update(_at(target, str(key).split(".")) for key in specification)
        else:
            reach.columns_written.add(target)
    own = Reach()
    made = run_pipeline(stages, replace(scope, reach=own))
    # What expressions read ends up in what they set. What merely stays where it is was not read.
    own.copies = bool(own.columns_read) or own.everything or sources(made) is None
    reach.take(own)


def _plain(path: str) -> list[str]:
    """A path without positions: ``grades.$[].mean`` is ``grades.mean``."""
    return [step for step in path.split(".") if not step.startswith("$")] or [path]


def _at(target: ColumnRef, path: list[str]) -> ColumnRef:
    return ColumnRef(target.schema, target.table, ".".join(path) or WHOLE)
