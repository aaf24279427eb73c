"""What people, drivers and tools send every day: it must come through as it is, but for what is masked."""

# ruff: noqa: E501 - a command is a line
# fmt: off
from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from bson import Int64, ObjectId, Regex

from tests.corpora.documents.attacks import agg

Command = dict[str, Any]
DAY = datetime.datetime(2024, 1, 5, tzinfo=datetime.UTC)


def ordinary() -> list[Command]:
    """Commands on the database ``vault``, none of which changes what others read."""
    return [command for group in (_finds, _filters, _projections, _pipelines, _expressions, _groups, _joins, _tools, _labelled) for command in group()]


def writes() -> list[list[Command]]:
    """Commands that write, in order; each list begins with a fresh vault."""
    return list(_writes())


def _finds() -> Iterator[Command]:
    yield {"find": "orders"}
    yield {"find": "orders", "filter": {"_id": 101}, "limit": 1, "singleBatch": True}
    yield {"find": "orders", "filter": {}, "sort": {"qty": -1}, "limit": 3}
    yield {"find": "orders", "sort": {"at": 1, "_id": -1}, "skip": 2, "limit": 5}
    yield {"find": "orders", "batchSize": 2}
    yield {"find": "orders", "hint": "_id_"}
    yield {"find": "orders", "hint": {"_id": 1}, "min": {"_id": 103}, "max": {"_id": 106}}
    yield {"find": "orders", "collation": {"locale": "en"}}
    yield {"find": "orders", "allowDiskUse": True, "noCursorTimeout": False}
    yield {"find": "orders", "readConcern": {"level": "local"}, "maxTimeMS": 5000, "comment": "list"}
    yield {"find": "orders", "let": {"n": 5}, "filter": {"$expr": {"$gt": ["$qty", "$$n"]}}}
    yield {"find": "orders", "showRecordId": True, "limit": 1}
    yield {"find": "orders", "returnKey": True, "hint": {"_id": 1}}
    yield {"find": "products"}
    yield {"find": "products", "filter": {"_id": {"$in": ["sku-1", "sku-2"]}}}
    yield {"find": "places", "filter": {"loc": {"$nearSphere": {"$geometry": {"type": "Point", "coordinates": [0, 50]}}}}}
    yield {"find": "places", "filter": {"loc": {"$geoWithin": {"$centerSphere": [[0, 50], 0.1]}}}}
    yield {"find": "big_orders"}
    yield {"find": "big_orders", "filter": {"customer": 2}, "projection": {"qty": 1}}
    yield {"find": "nosuch"}
    yield {"count": "orders"}
    yield {"count": "orders", "query": {"qty": {"$gt": 3}}, "limit": 4}
    yield {"count": "customers", "query": {"vip": True}}
    yield {"distinct": "orders", "key": "sku"}
    yield {"distinct": "products", "key": "tags", "query": {"stock": {"$gte": 10}}}
    yield {"distinct": "customers", "key": "contact.city"}


def _filters() -> Iterator[Command]:
    for condition in (
        {"qty": 3},
        {"qty": {"$eq": 3}},
        {"qty": {"$gt": 2, "$lte": 9}},
        {"qty": {"$ne": 3}},
        {"qty": {"$nin": [1, 2]}},
        {"sku": Regex("^sku-1")},
        {"sku": {"$regex": "SKU", "$options": "i"}},
        {"sku": {"$not": Regex("1$")}},
        {"$and": [{"qty": {"$gt": 1}}, {"price": {"$lt": 20}}]},
        {"$or": [{"qty": 1}, {"sku": "sku-2"}]},
        {"$nor": [{"qty": 1}, {"qty": 2}]},
        {"at": {"$gte": DAY}},
        {"qty": {"$mod": [2, 0]}},
        {"qty": {"$type": "int"}},
        {"nothing": {"$exists": False}},
        {"nothing": None},
        {"$expr": {"$gt": ["$price", {"$multiply": ["$qty", 2]}]}},
        {"$expr": {"$eq": [{"$dayOfMonth": "$at"}, 5]}},
        {"_id": {"$in": [101, 102, 999]}},
        {"qty": {"$bitsAllSet": 1}},
        {"$comment": "why", "qty": 2},
        {"$alwaysFalse": 1},
        {"_id": ObjectId("5f5f5f5f5f5f5f5f5f5f5f5f")},
        {"price": {"$in": [2.5, 5]}},
    ):
        yield {"find": "orders", "filter": condition}
    yield {"find": "products", "filter": {"tags": {"$all": ["a", "t1"]}}}
    yield {"find": "products", "filter": {"tags": {"$elemMatch": {"$eq": "t2"}}}}
    yield {"find": "products", "filter": {"tags": {"$size": 2}}}
    yield {"find": "products", "filter": {"tags.0": "a"}}
    yield {"find": "products", "filter": {"dim.w": {"$gt": 1}}}
    yield {"find": "products", "filter": {"dim": {"w": 1, "h": 2}}}
    yield {"find": "products", "filter": {"$jsonSchema": {"required": ["stock"]}}}


def _projections() -> Iterator[Command]:
    for projection in (
        {"qty": 1},
        {"qty": 1, "_id": 0},
        {"qty": 0, "at": 0},
        {"_id": 0},
        {"double": {"$multiply": ["$qty", 2]}},
        {"sku": {"$toUpper": "$sku"}, "at": {"$dateToString": {"date": "$at", "format": "%Y"}}},
        {"kind": "order", "n": {"$literal": 1}},
    ):
        yield {"find": "orders", "projection": projection}
    for inner in (
        {"tags": {"$slice": 1}},
        {"tags": {"$slice": [1, 1]}, "name": 1},
        {"tags": {"$elemMatch": {"$eq": "t1"}}},
        {"dim.w": 1},
        {"dim": {"h": 0}},
        {"dim": {"w": 1}, "name": 1},
    ):
        yield {"find": "products", "projection": inner}
    yield {"find": "products", "filter": {"tags": "t1"}, "projection": {"tags.$": 1}}


def _pipelines() -> Iterator[Command]:
    yield agg(on="orders")
    yield agg({"$match": {"qty": {"$gt": 2}}}, {"$sort": {"qty": 1}}, {"$limit": 4}, {"$skip": 1}, on="orders")
    yield agg({"$match": {"customer": 1}}, {"$count": "n"}, on="orders")
    yield agg({"$project": {"sku": 1, "total": {"$multiply": ["$qty", "$price"]}}}, {"$sort": {"total": -1}}, on="orders")
    yield agg({"$addFields": {"total": {"$multiply": ["$qty", "$price"]}}}, {"$match": {"total": {"$gt": 10}}}, on="orders")
    yield agg({"$set": {"a.b": "$qty"}}, {"$unset": ["price", "at"]}, on="orders")
    yield agg({"$unset": "dim.h"}, on="products")
    yield agg({"$unwind": "$tags"}, {"$sort": {"_id": 1, "tags": 1}}, on="products")
    yield agg({"$unwind": {"path": "$tags", "includeArrayIndex": "i", "preserveNullAndEmptyArrays": True}}, on="products")
    yield agg({"$replaceRoot": {"newRoot": "$dim"}}, on="products")
    yield agg({"$replaceRoot": {"newRoot": {"$mergeObjects": [{"n": "$name"}, "$dim"]}}}, on="products")
    yield agg({"$replaceWith": {"$setField": {"field": "x", "input": "$$ROOT", "value": 1}}}, on="products")
    yield agg({"$replaceWith": {"$unsetField": {"field": "tags", "input": "$$ROOT"}}}, on="products")
    yield agg({"$facet": {"n": [{"$count": "n"}], "page": [{"$sort": {"_id": 1}}, {"$limit": 2}]}}, on="orders")
    yield agg({"$bucket": {"groupBy": "$qty", "boundaries": [0, 5, 20], "default": "x", "output": {"n": {"$sum": 1}}}}, on="orders")
    yield agg({"$bucketAuto": {"groupBy": "$qty", "buckets": 3}}, on="orders")
    yield agg({"$sortByCount": "$sku"}, {"$sort": {"_id": 1}}, on="orders")
    yield agg({"$densify": {"field": "qty", "range": {"step": 1, "bounds": [0, 3]}}}, {"$project": {"_id": 0}}, on="orders")
    yield agg({"$fill": {"sortBy": {"_id": 1}, "output": {"nothing": {"value": 0}, "qty": {"method": "locf"}}}}, on="orders")
    yield agg({"$setWindowFields": {"partitionBy": "$customer", "sortBy": {"_id": 1}, "output": {"run": {"$sum": "$qty", "window": {"documents": ["unbounded", "current"]}}}}}, on="orders")
    yield agg({"$setWindowFields": {"sortBy": {"qty": 1}, "output": {"rank": {"$rank": {}}, "prev": {"$shift": {"output": "$qty", "by": -1}}}}}, on="orders")
    yield agg({"$geoNear": {"near": {"type": "Point", "coordinates": [0.1, 50]}, "distanceField": "d", "spherical": True}}, on="places")
    yield agg({"$redact": {"$cond": [{"$gt": ["$stock", 10]}, "$$KEEP", "$$PRUNE"]}}, on="products")
    yield agg({"$documents": [{"a": 1}, {"a": 2}]}, {"$match": {"a": 2}}, on=1)
    yield agg({"$collStats": {"count": {}}}, {"$project": {"count": 1, "ns": 1}}, on="orders")
    yield agg({"$match": {}}, on="big_orders")
    yield agg({"$sample": {"size": 100}}, {"$sort": {"_id": 1}}, on="orders")
    yield {"aggregate": "orders", "pipeline": [{"$match": {"qty": 2}}], "cursor": {"batchSize": 1}, "allowDiskUse": True, "let": {"x": 1}, "hint": "_id_"}


def _expressions() -> Iterator[Command]:
    for expression in (
        {"$add": ["$qty", 1]}, {"$subtract": ["$price", 1]}, {"$divide": ["$price", 2]}, {"$mod": ["$qty", 2]},
        {"$round": ["$price", 0]}, {"$abs": "$qty"}, {"$concat": ["$sku", "!"]}, {"$substrCP": ["$sku", 0, 3]},
        {"$split": ["$sku", "-"]}, {"$toInt": {"$arrayElemAt": [{"$split": ["$sku", "-"]}, 1]}},
        {"$cond": [{"$gt": ["$qty", 3]}, "many", "few"]}, {"$ifNull": ["$nothing", "none"]},
        {"$switch": {"branches": [{"case": {"$lt": ["$qty", 3]}, "then": "s"}], "default": "l"}},
        {"$dateAdd": {"startDate": "$at", "unit": "day", "amount": 1}}, {"$dateTrunc": {"date": "$at", "unit": "month"}},
        {"$dateDiff": {"startDate": "$at", "endDate": DAY, "unit": "day"}}, {"$year": "$at"}, {"$dayOfWeek": "$at"},
        {"$let": {"vars": {"t": {"$multiply": ["$qty", "$price"]}}, "in": {"$add": ["$$t", 1]}}},
        {"$map": {"input": {"$range": [0, 3]}, "as": "i", "in": {"$add": ["$$i", "$qty"]}}},
        {"$filter": {"input": [1, 2, 3], "as": "i", "cond": {"$gt": ["$$i", "$qty"]}}},
        {"$reduce": {"input": [1, 2], "initialValue": 0, "in": {"$add": ["$$value", "$$this"]}}},
        {"$arrayToObject": [[{"k": "a", "v": "$qty"}]]}, {"$objectToArray": {"a": "$qty"}}, {"$mergeObjects": [{"a": 1}, {"b": "$qty"}]},
        {"$in": ["$qty", [1, 2]]}, {"$size": [[1, 2]]}, {"$concatArrays": [[1], ["$qty"]]}, {"$setUnion": [[1], [2]]},
        {"$zip": {"inputs": [[1, 2], ["a", "b"]]}}, {"$type": "$qty"}, {"$toString": "$qty"}, {"$literal": "$qty"},
        {"$regexMatch": {"input": "$sku", "regex": "1"}}, {"$sortArray": {"input": [3, 1, 2], "sortBy": 1}}, {"$max": ["$qty", 4]},
        {"$getField": "qty"}, {"a": {"b": "$qty"}}, ["$qty", "$sku"], "$$ROOT.qty",
    ):
        yield agg({"$project": {"x": expression}}, on="orders")


def _groups() -> Iterator[Command]:
    yield agg({"$group": {"_id": "$customer", "n": {"$sum": 1}, "sum": {"$sum": "$qty"}, "avg": {"$avg": "$price"}}}, {"$sort": {"_id": 1}}, on="orders")
    yield agg({"$group": {"_id": {"c": "$customer", "s": "$sku"}, "max": {"$max": "$qty"}, "min": {"$min": "$qty"}}}, {"$sort": {"_id": 1}}, on="orders")
    yield agg({"$sort": {"_id": 1}}, {"$group": {"_id": None, "all": {"$push": "$_id"}, "first": {"$first": "$sku"}, "last": {"$last": "$sku"}}}, on="orders")
    yield agg({"$group": {"_id": None, "top": {"$topN": {"n": 2, "sortBy": {"qty": -1}, "output": ["$sku", "$qty"]}}, "n": {"$count": {}}}}, on="orders")
    yield agg({"$group": {"_id": {"$year": "$at"}, "docs": {"$push": "$$ROOT"}}}, on="orders")
    yield agg({"$group": {"_id": "$vip", "n": {"$sum": 1}, "level": {"$avg": "$level"}}}, {"$sort": {"_id": 1}})
    yield agg({"$group": {"_id": "$contact.city", "names": {"$push": "$name"}}}, {"$sort": {"_id": 1}})


def _joins() -> Iterator[Command]:
    yield agg({"$lookup": {"from": "products", "localField": "sku", "foreignField": "_id", "as": "p"}}, {"$unwind": "$p"}, {"$sort": {"_id": 1}}, on="orders")
    yield agg({"$lookup": {"from": "orders", "let": {"s": "$_id"}, "pipeline": [{"$match": {"$expr": {"$eq": ["$sku", "$$s"]}}}, {"$sort": {"_id": 1}}, {"$project": {"qty": 1}}], "as": "o"}}, on="products")
    yield agg({"$graphLookup": {"from": "products", "startWith": "$sku", "connectFromField": "nothing", "connectToField": "_id", "as": "g", "depthField": "d"}}, on="orders")
    yield agg({"$unionWith": "products"}, {"$count": "n"}, on="orders")
    yield agg({"$unionWith": {"coll": "products", "pipeline": [{"$project": {"name": 1}}]}}, {"$sort": {"_id": 1}}, on="orders")
    yield agg({"$lookup": {"from": "customers", "localField": "customer", "foreignField": "_id", "pipeline": [{"$project": {"name": 1, "level": 1}}], "as": "c"}}, {"$sort": {"_id": 1}}, on="orders")
    yield agg({"$lookup": {"from": "customers", "localField": "customer", "foreignField": "_id", "as": "c"}}, {"$project": {"sku": 1, "who": "$c.name"}}, {"$sort": {"_id": 1}}, on="orders")


def _tools() -> Iterator[Command]:
    for name in ("ping", "buildInfo", "hello", "connectionStatus", "listCommands", "whatsmyuri"):
        yield {name: 1}
    yield {"listCollections": 1, "nameOnly": True, "authorizedCollections": True}
    yield {"listCollections": 1, "filter": {"name": "orders"}}
    yield {"listIndexes": "orders"}
    yield {"collStats": "orders", "scale": 1024}
    yield {"dbStats": 1}
    yield {"explain": {"find": "orders", "filter": {"qty": 2}}, "verbosity": "queryPlanner"}
    yield {"explain": {"aggregate": "orders", "pipeline": [{"$match": {"qty": 1}}], "cursor": {}}, "verbosity": "executionStats"}
    yield agg({"$match": {"qty": 2}}, on="orders", explain=True)
    yield agg({"$indexStats": {}}, {"$project": {"name": 1}}, on="orders")
    yield agg({"$match": {}}, {"$group": {"_id": 1, "n": {"$sum": 1}}}, on="orders")  # countDocuments of the drivers
    yield agg({"$sample": {"size": 1000}}, {"$sort": {"_id": 1}}, {"$project": {"_id": 1}}, on="products")  # a schema analyser
    yield {"find": "orders", "filter": {}, "limit": 21, "batchSize": 21}  # a shell
    yield {"killCursors": "orders", "cursors": [Int64(77)]}


def _labelled() -> Iterator[Command]:
    """Commands about collections with labelled paths that do not touch these, and some that do."""
    yield {"find": "customers", "projection": {"name": 1, "level": 1}}
    yield {"find": "customers", "projection": {"contact.city": 1, "tags": 1}}
    yield {"find": "customers", "filter": {"vip": True}}
    yield {"find": "customers", "filter": {"name": Regex("2$")}, "projection": {"nested.open": 1}}
    yield {"find": "customers"}
    yield {"find": "customers", "projection": {"tax": 0}}
    yield {"find": "mails"}
    yield {"find": "staff"}
    yield agg({"$project": {"name": 1, "where": "$contact.city", "kinds": "$cards.kind"}})
    yield agg({"$addFields": {"next": {"$add": ["$level", 1]}}})
    yield agg({"$unset": ["tax", "contact.email"]})
    yield agg({"$sort": {"name": -1}}, {"$limit": 2})
    yield agg({"$unwind": "$cards"}, {"$project": {"cards.kind": 1}})
    yield agg({"$project": {"phones": {"$map": {"input": "$contact.phones", "as": "p", "in": "$$p.kind"}}}})
    yield agg({"$project": {"home": {"$filter": {"input": "$contact.phones", "as": "p", "cond": {"$eq": ["$$p.kind", "home"]}}}}})
    yield agg({"$replaceWith": {"$mergeObjects": [{"x": 1}, {"name": "$name"}]}})
    yield agg({"$group": {"_id": "$vip", "all": {"$push": "$$ROOT"}}}, {"$sort": {"_id": 1}})
    yield agg({"$facet": {"a": [{"$match": {"vip": True}}], "b": [{"$count": "n"}]}})
    yield agg({"$set": {"contact.city": {"$toUpper": "$contact.city"}}})
    yield agg({"$lookup": {"from": "orders", "localField": "_id", "foreignField": "customer", "as": "orders"}})


def _writes() -> Iterator[list[Command]]:
    yield [{"insert": "scratch", "documents": [{"_id": 2, "n": 2}, {"_id": 3}]}, {"find": "scratch", "sort": {"_id": 1}}]
    yield [{"insert": "customers", "documents": [{"_id": 8, "name": "New", "tax": "T"}], "ordered": True}, {"find": "customers", "filter": {"_id": 8}, "projection": {"name": 1}}]
    for update in (
        {"$set": {"name": "X"}}, {"$inc": {"level": 1}}, {"$push": {"tags": "z"}}, {"$pull": {"tags": "new"}}, {"$unset": {"vip": ""}},
        {"$mul": {"level": 2}}, {"$addToSet": {"tags": {"$each": ["a", "b"]}}}, {"$set": {"tax": "other"}}, {"$currentDate": {"seen": True}},
        [{"$set": {"name": {"$concat": ["$name", "!"]}}}], [{"$unset": "vip"}], {"$set": {"contact.phones.$[p].kind": "new"}},
    ):
        item: Command = {"q": {"_id": 1}, "u": update}
        if "contact.phones" in str(update):
            item["arrayFilters"] = [{"p.kind": "home"}]
        yield [{"update": "customers", "updates": [item]}, {"find": "customers", "filter": {"_id": 1}, "projection": {"name": 1, "level": 1, "tags": 1, "vip": 1, "contact.phones.kind": 1}}]
    yield [{"update": "scratch", "updates": [{"q": {"_id": 5}, "u": {"$set": {"n": 1}}, "upsert": True}]}, {"find": "scratch", "sort": {"_id": 1}}]
    yield [{"update": "scratch", "updates": [{"q": {"_id": 1}, "u": {"n": 9}}]}, {"find": "scratch"}]
    yield [{"delete": "scratch", "deletes": [{"q": {"_id": 1}, "limit": 1}]}, {"count": "scratch"}]
    yield [{"findAndModify": "scratch", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}, "new": True}]
    yield [{"findAndModify": "scratch", "query": {"_id": 1}, "remove": True}]
    yield [{"findAndModify": "customers", "query": {"_id": 2}, "update": {"$set": {"level": 5}}, "new": True, "fields": {"name": 1, "level": 1}}]
    yield [agg({"$match": {"qty": {"$gt": 3}}}, {"$out": "copy"}, on="orders"), {"count": "copy"}]
    yield [agg({"$group": {"_id": "$sku", "n": {"$sum": 1}}}, {"$merge": {"into": "counts"}}, on="orders"), {"find": "counts", "sort": {"_id": 1}}]
    yield [{"create": "capped", "capped": True, "size": 4096}, {"insert": "capped", "documents": [{"_id": 1}]}, {"find": "capped"}]
    yield [{"create": "cheap", "viewOn": "products", "pipeline": [{"$match": {"stock": {"$lt": 20}}}]}, {"find": "cheap"}]
    yield [{"createIndexes": "orders", "indexes": [{"key": {"sku": 1}, "name": "sku_1"}]}, {"find": "orders", "filter": {"sku": "sku-1"}, "hint": "sku_1"}, {"dropIndexes": "orders", "index": "sku_1"}]
    yield [{"drop": "scratch"}]
