"""Change streams: what their events hold (MongoDB manual, "Change Events")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.statement import ObjectRef
from gateway_mongodb.abstract import (
    CONSTANT,
    UNKNOWN,
    AbstractValue,
    Document,
    Dotted,
    collection,
    computed,
    get,
)
from gateway_mongodb.catalog import SYSTEM_DATABASES, MongoCatalog
from gateway_mongodb.reach import Reach

_KNOWN: Final = frozenset(
    """fullDocument fullDocumentBeforeChange resumeAfter startAfter startAtOperationTime allChangesForCluster
    showExpandedEvents""".split()
)
_PLAIN: Final = (
    "operationType",
    "clusterTime",
    "wallTime",
    "ns",
    "nsType",
    "to",
    "lsid",
    "txnNumber",
    "collectionUUID",
    "operationDescription",
    "splitEvent",
)
"""Fields without a stored value."""


@dataclass(frozen=True, slots=True)
class ChangeEvents:
    """What comes out of ``$changeStream``, and what the resume tokens between them show."""

    document: AbstractValue
    token: AbstractValue


def change_events(
    specification: Any, database: str, name: Any, catalog: MongoCatalog | None, reach: Reach
) -> ChangeEvents:
    """The events of a collection's stream. Those of a database or the cluster may hold any document."""
    if not isinstance(specification, Mapping) or not set(map(str, specification)) <= _KNOWN:
        reach.unknown("a change stream has arguments that are not known")
    if not isinstance(name, str):
        reach.objects_read.add(ObjectRef(database, "*", "database"))
        reach.everything = True
        return ChangeEvents(UNKNOWN, UNKNOWN)
    reach.objects_read.add(ObjectRef(database, name))
    if database in SYSTEM_DATABASES or name.startswith("system."):
        value = reach.unknown("the server's own collections hold documents of all others")
        return ChangeEvents(value, value)
    stored = collection(database, name)
    # A token holds the document's key: the _id and, in a sharded collection, the shard key.
    token = computed(stored if catalog is None or catalog.sharded else get(stored, "_id"))
    update = Document(
        {
            "updatedFields": Dotted(stored),
            "removedFields": CONSTANT,
            "truncatedArrays": CONSTANT,
            "disambiguatedPaths": CONSTANT,
        }
    )
    fields: dict[str, AbstractValue] = dict.fromkeys(_PLAIN, CONSTANT)
    fields |= {
        "_id": token,
        "documentKey": Document({}, stored),
        "fullDocument": stored,
        "fullDocumentBeforeChange": stored,
        "updateDescription": update,
        "stateBeforeChange": CONSTANT,
    }
    return ChangeEvents(Document(fields), token)
