"""Reading a collection or a view: the documents that come out of it.

Views are expanded, so that labels on what is behind them hold for what they show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from gateway.domain.statement import ObjectRef
from gateway_mongodb.abstract import UNKNOWN, AbstractValue, collection
from gateway_mongodb.catalog import SYSTEM_DATABASES
from gateway_mongodb.reach import Scope

_MAX_VIEWS: Final = 20
"""The server's own limit for views over views."""
Run = Callable[[Any, Scope], AbstractValue]


def read_collection(database: str, name: str, scope: Scope, run: Run) -> AbstractValue:
    """The documents of a collection or view. ``run`` interprets a pipeline.

    A collection that the catalog does not have may be a view that is new: anything may come out of it.
    """
    reach = scope.reach
    reach.objects_read.add(ObjectRef(database, name))
    if name.startswith("system.") or database in SYSTEM_DATABASES:
        # Profiles, oplogs, bucket collections, stored transactions: other collections' documents under another name.
        return reach.unknown("the server's own collections hold documents of all others")
    if scope.catalog is None:
        return reach.unknown("the catalog could not be read")
    found = scope.catalog.find(database, name)
    if found is None:
        reach.everything = True
        return UNKNOWN
    if found.view is None:
        return collection(database, name)
    if (database, name) in scope.views or len(scope.views) >= _MAX_VIEWS:
        return reach.unknown("a view is defined by itself")
    inner = replace(scope, database=database, variables={}, views=(*scope.views, (database, name)))
    base = read_collection(database, found.view.on, inner, run)
    return run(found.view.pipeline, inner.on(base))
