# ruff: noqa: E501 - a command is a line
# fmt: off
"""Commands that try to get a labelled value out. Each is one case; steps of a case are taken in order.

What a case must not do is let a canary through, in any form; being refused is as good as being masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson import SON, Code, Int64

Command = dict[str, Any]
MAIL = "$contact.email"
CODE_POINTS = "abcdefghijklmnopqrstuvwxyz@.-"


@dataclass(frozen=True, slots=True)
class Attack:
    """``database`` is where the commands are sent."""

    name: str
    steps: tuple[Command, ...]
    database: str = "vault"


def agg(*stages: Any, on: Any = "customers", **more: Any) -> Command:
    return {"aggregate": on, "pipeline": list(stages), "cursor": {}, **more}


def project(**fields: Any) -> Command:
    return agg({"$project": fields})


def replace(expression: Any) -> Command:
    return agg({"$replaceWith": expression})


def attacks() -> list[Attack]:
    """All of them."""
    found: list[Attack] = []
    for group in (_reading, _expressions, _groups, _roots, _joins, _windows, _writing, _definitions, _server, _oracles, _newer):
        for number, item in enumerate(group()):
            steps = item if isinstance(item, tuple) else (item,)
            found.append(Attack(f"{group.__name__[1:]}:{number}", steps))
    for number, (database, command) in enumerate(_elsewhere()):
        found.append(Attack(f"elsewhere:{number}", (command,), database))
    return found


def _reading() -> Iterator[Any]:
    yield {"find": "customers"}
    yield {"find": "customers", "projection": {"contact": 1}}
    yield {"find": "customers", "projection": {"contact.email": 1, "_id": 0}}
    yield {"find": "customers", "projection": {"contact": {"email": 1}}}
    yield {"find": "customers", "projection": {"x": MAIL}}
    yield {"find": "customers", "projection": {"x": {"$concat": ["a", MAIL]}}}
    yield {"find": "customers", "projection": {"name": 0, "_id": 0}}
    yield {"find": "customers", "projection": {"contact.phones": {"$slice": 1}}}
    yield {"find": "customers", "projection": {"contact.phones": {"$slice": [0, 1]}}}
    yield {"find": "customers", "projection": {"contact.phones": {"$elemMatch": {"kind": "home"}}}}
    yield {"find": "customers", "filter": {"contact.phones.kind": "home"}, "projection": {"contact.phones.$": 1}}
    yield {"find": "customers", "filter": {"cards.kind": "visa"}, "projection": {"cards.$": 1}}
    yield {"find": "customers", "projection": {"tax": {"$meta": "indexKey"}}, "hint": {"tax": 1}}
    yield {"find": "customers", "returnKey": True, "hint": {"tax": 1}}
    yield {"find": "customers", "returnKey": True, "hint": {"contact.email": 1}, "filter": {"contact.email": {"$gt": ""}}}
    yield {"find": "customers", "showRecordId": True}
    yield {"find": "customers", "sort": {"tax": 1}, "limit": 1}
    yield {"find": "customers", "filter": {"$text": {"$search": "quvoxik"}}, "projection": {"s": {"$meta": "textScore"}}}
    yield {"find": "customers", "batchSize": 1}
    yield {"find": "customers", "collation": {"locale": "en", "strength": 1}}
    yield {"find": "customers", "let": {"x": 1}, "projection": {"y": "$$ROOT"}}
    yield {"find": "customers", "projection": {"y": "$$CURRENT.contact"}}
    yield {"find": "customers", "projection": {"nested.deep.er": 1}}
    yield {"find": "customers", "projection": {"map": {"$objectToArray": "$map"}}}
    yield {"find": "customers", "projection": {"map.x": 1}}
    yield {"find": "customers", "singleBatch": True, "awaitData": False}
    yield {"find": "mails"}
    yield {"find": "mails_again"}
    yield {"find": "mails", "projection": {"q": "$mail"}}
    yield agg({"$project": {"z": "$address"}}, on="mails_again")
    yield {"distinct": "customers", "key": "contact.email"}
    yield {"distinct": "customers", "key": "contact"}
    yield {"distinct": "customers", "key": "contact.phones.number"}
    yield {"distinct": "customers", "key": "contact.phones.0.number"}
    yield {"distinct": "customers", "key": "cards"}
    yield {"distinct": "customers", "key": "map.x.pin"}
    yield {"distinct": "customers", "key": "nested"}
    yield {"distinct": "customers", "key": "credit"}
    yield {"distinct": "customers", "key": "ref"}
    yield {"distinct": "mails", "key": "mail"}
    yield {"distinct": "keyed", "key": "_id"}
    yield {"find": "keyed"}
    yield {"find": "staff"}
    yield {"findAndModify": "customers", "query": {"_id": 1}, "update": {"$set": {"level": 11}}, "new": True}
    yield {"findAndModify": "customers", "query": {"_id": 2}, "update": {"$set": {"level": 21}}, "fields": {"tax": 1}}
    yield {"findAndModify": "customers", "query": {"_id": 2}, "update": {"$inc": {"level": 1}}, "projection": {"m": MAIL}}
    yield {"findAndModify": "staff", "query": {"_id": 1}, "update": [{"$set": {"name": "$home_email"}}], "new": True}


def _expressions() -> Iterator[Any]:
    pure: list[Any] = [
        {"$toUpper": MAIL},
        {"$toLower": MAIL},
        {"$substrCP": [MAIL, 0, 8]},
        {"$split": [MAIL, "@"]},
        {"$arrayElemAt": [{"$split": [MAIL, "@"]}, 0]},
        {"$reduce": {"input": {"$range": [0, 30]}, "initialValue": "", "in": {"$concat": [{"$substrCP": [MAIL, "$$this", 1]}, "$$value"]}}},
        {"$map": {"input": {"$range": [0, 30]}, "in": {"$substrCP": [MAIL, "$$this", 1]}}},
        {"$map": {"input": {"$range": [0, {"$strLenCP": MAIL}]}, "in": 1}},
        {"$map": {"input": {"$range": [0, 12]}, "in": {"$indexOfCP": [CODE_POINTS, {"$substrCP": [MAIL, "$$this", 1]}]}}},
        {"$map": {"input": {"$range": [0, {"$indexOfCP": [CODE_POINTS, {"$substrCP": [MAIL, 0, 1]}]}]}, "in": {"a": 1}}},
        {"$filter": {"input": {"$literal": ["quvoxik.zelbru@mail-one.example", "x"]}, "cond": {"$eq": ["$$this", MAIL]}}},
        {"$filter": {"input": "$cards", "cond": True}},
        {"$zip": {"inputs": [["$tax"], [MAIL]]}},
        {"$objectToArray": "$contact"},
        {"$objectToArray": "$$ROOT"},
        {"$arrayToObject": [[["k", MAIL]]]},
        {"$arrayToObject": [[[MAIL, 1]]]},
        {"$arrayToObject": {"$map": {"input": ["a"], "in": {"k": MAIL, "v": "$tax"}}}},
        {"$mergeObjects": ["$contact", {"n": 1}]},
        {"$mergeObjects": [{"a": 1}, "$$ROOT"]},
        {"$setField": {"field": "mail", "input": "$$ROOT", "value": MAIL}},
        {"$setField": {"field": {"$literal": "a.b"}, "input": {}, "value": MAIL}},
        {"$setField": {"field": {"$literal": "$x"}, "input": "$$ROOT", "value": "$tax"}},
        {"$unsetField": {"field": "name", "input": "$$ROOT"}},
        {"$getField": {"field": "email", "input": "$contact"}},
        {"$getField": {"field": {"$concat": ["ta", "x"]}, "input": "$$ROOT"}},
        {"$getField": "tax"},
        {"$getField": {"$literal": "tax"}},
        {"$getField": {"field": "email", "input": {"$getField": "contact"}}},
        {"$let": {"vars": {"e": MAIL}, "in": {"$concat": ["$$e", "!"]}}},
        {"$let": {"vars": {"CURRENT": "$contact"}, "in": "$email"}},
        {"$let": {"vars": {"CURRENT": "$contact"}, "in": {"x": "$email"}}},
        {"$let": {"vars": {"a": "$$ROOT"}, "in": "$$a.contact.email"}},
        {"$cond": [{"$eq": ["$_id", 1]}, MAIL, "-"]},
        {"$cond": {"if": True, "then": "$tax", "else": 0}},
        {"$switch": {"branches": [{"case": {"$gt": ["$_id", 0]}, "then": "$tax"}], "default": 1}},
        {"$ifNull": [MAIL, "x"]},
        {"$ifNull": ["$nosuch", "$tax"]},
        {"$concatArrays": [["$tax"], [MAIL]]},
        {"$setUnion": [["$tax"], ["a"]]},
        {"$reverseArray": "$cards"},
        {"$slice": ["$cards", 1]},
        {"$first": "$cards"},
        {"$last": "$cards.number"},
        {"$firstN": {"n": 1, "input": "$cards.number"}},
        {"$sortArray": {"input": "$cards", "sortBy": {"number": 1}}},
        {"$sortArray": {"input": "$cards.number", "sortBy": 1}},
        {"$maxN": {"n": 1, "input": "$cards.number"}},
        {"$max": ["$income", 1]},
        {"$min": "$cards.number"},
        {"$add": ["$income", 1]},
        {"$multiply": ["$income", 2]},
        {"$divide": ["$income", 2]},
        {"$toString": "$credit"},
        {"$toString": "$key"},
        {"$toString": "$born"},
        {"$toLong": "$born"},
        {"$toDouble": "$credit"},
        {"$convert": {"input": "$score", "to": "string"}},
        {"$toString": "$balance"},
        {"$dateToString": {"date": "$born", "format": "%Y-%m-%d"}},
        {"$dateToParts": {"date": "$born"}},
        {"$dateAdd": {"startDate": "$born", "unit": "day", "amount": 1}},
        {"$dateTrunc": {"date": "$born", "unit": "day"}},
        {"$regexFind": {"input": MAIL, "regex": ".*"}},
        {"$regexFindAll": {"input": MAIL, "regex": "."}},
        {"$replaceAll": {"input": MAIL, "find": "@", "replacement": "#"}},
        {"$trim": {"input": MAIL, "chars": "q"}},
        {"$strLenCP": MAIL},
        {"$toHashedIndexKey": MAIL},
        {"$type": MAIL},
        {"$bsonSize": "$$ROOT"},
        {"$binarySize": "$secret"},
        {"$literal": MAIL},
        {"$cmp": [MAIL, "q"]},
        [MAIL, "$tax"],
        {"a": {"b": {"c": MAIL}}},
        {"$toObjectId": {"$toString": "$key"}},
        {"$tsSecond": "$nosuch"},
        {"$allElementsTrue": [["$tax"]]},
        {"$function": {"body": "function(x){return x}", "args": [MAIL], "lang": "js"}},
        {"$meta": "recordId"},
        {"$unknownOperator": MAIL},
        {"$_internalFindAllValuesAtPath": "contact.email"},
    ]
    for expression in pure:
        yield project(x=expression)
    yield project(**{"contact.email": 1})
    yield project(**{"contact.mail": MAIL})
    yield project(name="$tax")
    yield agg({"$addFields": {"name": MAIL}})
    yield agg({"$addFields": {"contact": {"city": MAIL}}})
    yield agg({"$addFields": {"tags": {"$concatArrays": ["$tags", [MAIL]]}}})
    yield agg({"$set": {"a": "$contact"}}, {"$set": {"b": "$a.email"}}, {"$project": {"b": 1}})
    yield agg({"$project": {"a": "$contact"}}, {"$project": {"b": "$a"}}, {"$project": {"c": {"$toUpper": "$b.email"}}})
    yield agg({"$unset": "contact"}, {"$project": {"t": "$tax"}})
    yield agg({"$set": {"contact": {"$mergeObjects": ["$contact", {"email": "x", "old": MAIL}]}}})
    yield agg({"$set": {"k": "tax"}}, {"$project": {"x": {"$getField": {"field": "$k", "input": "$$ROOT"}}}})


def _groups() -> Iterator[Any]:
    for accumulator in (
        {"$push": MAIL},
        {"$push": "$$ROOT"},
        {"$addToSet": MAIL},
        {"$addToSet": {"m": MAIL, "t": "$tax"}},
        {"$first": MAIL},
        {"$last": "$contact"},
        {"$max": MAIL},
        {"$min": "$credit"},
        {"$avg": "$credit"},
        {"$sum": "$income"},
        {"$stdDevPop": "$income"},
        {"$mergeObjects": "$contact"},
        {"$top": {"sortBy": {"_id": 1}, "output": MAIL}},
        {"$topN": {"sortBy": {"_id": 1}, "output": ["$tax", MAIL], "n": 3}},
        {"$bottom": {"sortBy": {"tax": 1}, "output": "$$ROOT"}},
        {"$firstN": {"input": MAIL, "n": 2}},
        {"$lastN": {"input": "$contact", "n": 2}},
        {"$maxN": {"input": "$credit", "n": 2}},
        {
            "$accumulator": {
                "init": Code("function(){return ''}"),
                "accumulate": Code("function(s,x){return s+x}"),
                "accumulateArgs": [MAIL],
                "merge": Code("function(a,b){return a+b}"),
                "lang": "js",
            }
        },
    ):
        yield agg({"$group": {"_id": None, "x": accumulator}})
    yield agg({"$group": {"_id": MAIL}})
    yield agg({"$group": {"_id": {"m": MAIL}}})
    yield agg({"$group": {"_id": "$contact"}})
    yield agg({"$group": {"_id": {"$substrCP": [MAIL, 0, 6]}}})
    yield agg({"$sortByCount": MAIL})
    yield agg({"$sortByCount": "$cards"})
    yield agg({"$bucket": {"groupBy": "$income", "boundaries": [0, 2000000, 9000000], "output": {"x": {"$push": "$income"}}}})
    yield agg({"$bucketAuto": {"groupBy": "$income", "buckets": 3}})
    yield agg({"$bucketAuto": {"groupBy": MAIL, "buckets": 3, "output": {"m": {"$push": "$tax"}}}})
    yield agg({"$facet": {"a": [{"$project": {"m": MAIL}}], "b": [{"$group": {"_id": "$tax"}}], "c": []}})
    yield agg({"$group": {"_id": 1, "a": {"$push": "$$ROOT"}}}, {"$unwind": "$a"}, {"$replaceRoot": {"newRoot": "$a.contact"}})
    yield agg({"$group": {"_id": 1, "a": {"$push": MAIL}}}, {"$project": {"s": {"$reduce": {"input": "$a", "initialValue": "", "in": {"$concat": ["$$value", "$$this"]}}}}})


def _roots() -> Iterator[Any]:
    yield replace("$contact")
    yield replace({"m": MAIL})
    yield replace({"$mergeObjects": ["$$ROOT", "$contact"]})
    yield replace({"$arrayToObject": [[[MAIL, "$tax"]]]})
    yield replace({"$arrayToObject": [[{"k": {"$concat": ["a", MAIL]}, "v": 1}]]})
    yield replace({"$mergeObjects": [{"$arrayToObject": [[[MAIL, 1]]]}, {"a": 1}]})
    yield replace({"a": {"$arrayToObject": [[[MAIL, 1]]]}})
    yield replace({"$setField": {"field": "a", "input": {"$arrayToObject": [[["$tax", 1]]]}, "value": 2}})
    yield replace({"$cond": [True, {"x": "$tax"}, {"y": 1}]})
    yield replace({"$first": "$cards"})
    yield agg({"$replaceRoot": {"newRoot": {"$arrayElemAt": ["$contact.phones", 0]}}})
    yield agg({"$unwind": "$cards"}, {"$replaceWith": "$cards"})
    yield agg({"$unwind": {"path": "$contact.phones", "includeArrayIndex": "i"}}, {"$project": {"p": "$contact.phones.number"}})
    yield agg({"$project": {"a": {"$objectToArray": "$contact"}}}, {"$unwind": "$a"}, {"$project": {"v": "$a.v"}})
    yield agg({"$project": {"a": {"$objectToArray": "$map"}}}, {"$unwind": "$a"}, {"$project": {"v": "$a.v.pin"}})
    yield agg({"$project": {"a": {"$objectToArray": "$$ROOT"}}}, {"$unwind": "$a"}, {"$match": {"a.k": "tax"}})
    yield agg({"$redact": "$$DESCEND"})
    yield agg({"$redact": {"$cond": [{"$eq": ["$level", 10]}, "$$KEEP", "$$PRUNE"]}}, {"$project": {"tax": 1}})
    yield agg({"$documents": [{"a": 1}]}, {"$lookup": {"from": "customers", "pipeline": [], "as": "c"}}, on=1)
    yield agg({"$sample": {"size": 2}})
    yield agg({"$sort": {"contact.email": 1}}, {"$limit": 1}, {"$project": {"contact": 1}})
    yield agg({"$densify": {"field": "income", "range": {"step": 900000, "bounds": "full"}}}, {"$project": {"income": 1}})
    yield agg({"$fill": {"sortBy": {"_id": 1}, "output": {"level": {"value": "$income"}}}})
    yield agg({"$fill": {"sortBy": {"_id": 1}, "output": {"income": {"method": "locf"}}}})


def _joins() -> Iterator[Any]:
    yield agg({"$lookup": {"from": "customers", "localField": "customer", "foreignField": "_id", "as": "c"}}, on="orders")
    yield agg({"$lookup": {"from": "customers", "pipeline": [], "as": "c"}}, on="products")
    yield agg({"$lookup": {"from": "customers", "pipeline": [{"$project": {"x": MAIL}}], "as": "c"}}, on="products")
    yield agg({"$lookup": {"from": "customers", "let": {"q": "$_id"}, "pipeline": [{"$project": {"x": {"$concat": [MAIL, "$$q"]}}}], "as": "c"}}, on="products")
    yield agg({"$lookup": {"from": "staff", "let": {"m": MAIL}, "pipeline": [{"$project": {"x": "$$m"}}], "as": "s"}}, {"$project": {"s": 1}})
    yield agg({"$lookup": {"from": "products", "let": {"m": MAIL}, "pipeline": [{"$set": {"name": "$$m"}}], "as": "name"}}, {"$project": {"name": 1}})
    yield agg({"$lookup": {"from": "customers", "localField": "customer", "foreignField": "_id", "as": "c"}}, {"$unwind": "$c"}, {"$replaceWith": "$c.contact"}, on="orders")
    yield agg({"$lookup": {"from": "mails", "localField": "customer", "foreignField": "_id", "as": "c"}}, on="orders")
    yield agg({"$lookup": {"from": "customers", "localField": "customer", "foreignField": "_id", "pipeline": [{"$group": {"_id": "$tax"}}], "as": "c"}}, on="orders")
    yield agg({"$graphLookup": {"from": "customers", "startWith": "$customer", "connectFromField": "level", "connectToField": "_id", "as": "g"}}, on="orders")
    yield agg({"$graphLookup": {"from": "staff", "startWith": 1, "connectFromField": "salary", "connectToField": "_id", "as": "g", "depthField": "d"}}, on="orders")
    yield agg({"$graphLookup": {"from": "mails", "startWith": 1, "connectFromField": "x", "connectToField": "_id", "as": "g", "restrictSearchWithMatch": {"name": {"$exists": True}}}}, on="orders")
    yield agg({"$unionWith": "customers"}, on="products")
    yield agg({"$unionWith": {"coll": "customers", "pipeline": [{"$project": {"name": MAIL}}]}}, on="products")
    yield agg({"$unionWith": {"coll": "staff", "pipeline": [{"$replaceWith": {"a": "$home_email"}}]}}, on="products")
    yield agg({"$unionWith": "mails_again"}, {"$project": {"address": 1}}, on="orders")
    yield agg({"$unionWith": {"coll": "customers"}}, {"$group": {"_id": None, "x": {"$push": "$$ROOT"}}}, on="orders")
    yield agg({"$facet": {"a": [{"$unionWith": "customers"}]}}, on="orders")
    yield agg({"$facet": {"a": [{"$lookup": {"from": "customers", "pipeline": [{"$project": {"x": "$$ROOT"}}], "as": "l"}}]}}, on="orders")
    yield agg({"$lookup": {"from": {"db": "vault", "coll": "customers"}, "pipeline": [], "as": "c"}}, on="products")
    yield agg({"$lookup": {"from": "system.profile", "pipeline": [], "as": "c"}}, on="products")
    yield agg({"$lookup": {"from": "nosuch", "pipeline": [{"$unionWith": "customers"}], "as": "c"}}, on="products")
    yield agg({"$geoNear": {"near": {"type": "Point", "coordinates": [0, 50]}, "distanceField": "d", "includeLocs": "l"}}, {"$unionWith": "customers"}, on="places")


def _windows() -> Iterator[Any]:
    for operator in (
        {"$push": MAIL},
        {"$addToSet": "$tax"},
        {"$first": "$contact"},
        {"$last": "$tax"},
        {"$shift": {"output": MAIL, "by": 1, "default": "-"}},
        {"$max": "$credit"},
        {"$sum": "$income"},
        {"$avg": "$income", "window": {"documents": [-1, 1]}},
        {"$locf": "$tax"},
        {"$linearFill": "$income"},
        {"$expMovingAvg": {"input": "$income", "N": 2}},
        {"$derivative": {"input": "$income"}, "window": {"documents": [-1, 0]}},
        {"$topN": {"n": 2, "sortBy": {"tax": 1}, "output": "$tax"}},
        {"$minN": {"n": 2, "input": "$credit"}},
    ):
        yield agg({"$setWindowFields": {"sortBy": {"_id": 1}, "output": {"w": operator}}}, {"$project": {"w": 1}})
    yield agg({"$setWindowFields": {"partitionBy": MAIL, "sortBy": {"tax": 1}, "output": {"r": {"$rank": {}}}}}, {"$project": {"r": 1, "tax": 1}})


def _writing() -> Iterator[Any]:
    yield (agg({"$project": {"m": MAIL}}, {"$out": "stolen"}), {"find": "stolen"})
    yield (agg({"$out": {"db": "other", "coll": "stolen"}}),)
    yield (agg({"$project": {"m": MAIL}}, {"$merge": {"into": "stolen"}}), {"find": "stolen"})
    yield (agg({"$match": {}}, {"$merge": {"into": "scratch", "on": "_id", "whenMatched": "replace"}}), {"find": "scratch"})
    yield (
        agg({"$project": {"_id": 1}}, {"$merge": {"into": "customers", "whenMatched": [{"$set": {"name": "$tax"}}]}}),
        {"find": "customers", "projection": {"name": 1}},
    )
    yield (
        agg({"$merge": {"into": "scratch", "let": {"a": "$tax"}, "whenMatched": [{"$set": {"n": "$$a"}}]}}),
        {"find": "scratch"},
    )
    for update in (
        [{"$set": {"name": MAIL}}],
        [{"$set": {"name": {"$toUpper": "$tax"}}}],
        [{"$replaceWith": {"_id": "$_id", "x": "$contact"}}],
        [{"$project": {"name": "$tax"}}],
        [{"$addFields": {"tags": ["$tax"]}}],
        [{"$unset": "name"}, {"$set": {"name": {"$getField": "tax"}}}],
        {"$rename": {"tax": "open_tax"}},
        {"$rename": {"contact.email": "mail"}},
        {"$rename": {"contact": "kontakt"}},
    ):
        yield (
            {"update": "customers", "updates": [{"q": {"_id": 1}, "u": update}]},
            {"find": "customers", "projection": {"name": 1, "x": 1, "tags": 1, "open_tax": 1, "mail": 1, "kontakt": 1}},
        )
    yield ({"findAndModify": "customers", "query": {}, "update": [{"$set": {"name": "$tax"}}], "new": True},)
    yield ({"findAndModify": "customers", "query": {}, "update": {"$rename": {"tax": "free"}}, "new": True},)
    yield ({"renameCollection": "vault.customers", "to": "vault.open"}, {"find": "open"})
    yield ({"cloneCollectionAsCapped": "customers", "toCollection": "capped", "size": 100000}, {"find": "capped"})
    yield ({"insert": "customers", "documents": [{"_id": 9, "tax": "KZ83-VQXJ-17PX"}]}, {"delete": "customers", "deletes": [{"q": {"_id": 9}, "limit": 1}]})
    yield {"insert": "customers", "documents": [{"_id": 1}]}
    yield {"update": "customers", "updates": [{"q": {"_id": 2}, "u": {"$set": {"_id": 7}}}]}
    yield {"update": "customers", "updates": [{"q": {"_id": 2}, "u": [{"$set": {"tax": {"$literal": "x"}, "_id": 8}}]}]}
    yield {"update": "customers", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"tax": 1}}}]}
    yield {"update": "customers", "updates": [{"q": {"_id": 1}, "u": {"$mul": {"contact.email": 2}}}]}
    yield {"update": "customers", "updates": [{"q": {"_id": 1}, "u": {"$push": {"tax": 2}}}]}
    yield {"update": "customers", "updates": [{"q": {"_id": 2}, "u": {"$pull": {"tax": "a"}}}]}
    yield {"update": "customers", "updates": [{"q": {"_id": 2}, "u": {"$bit": {"credit": {"and": 1}}}}]}
    yield {"mapReduce": "customers", "map": Code("function(){emit(this.tax,1)}"), "reduce": Code("function(k,v){return 1}"), "out": {"inline": 1}}


def _definitions() -> Iterator[Any]:
    yield ({"create": "peek", "viewOn": "customers", "pipeline": [{"$project": {"m": MAIL}}]}, {"find": "peek"})
    yield ({"create": "peek", "viewOn": "mails", "pipeline": []}, {"find": "peek"})
    yield ({"create": "peek", "viewOn": "products", "pipeline": [{"$unionWith": "customers"}]}, {"find": "peek"})
    yield ({"collMod": "big_orders", "viewOn": "customers", "pipeline": []}, {"find": "big_orders"})
    yield {"collMod": "customers", "validator": {"tax": {"$gt": "K"}}}
    yield {"create": "checked", "validator": {"$where": "this.x"}}
    yield {"createIndexes": "customers", "indexes": [{"key": {"level": 1}, "name": "p", "partialFilterExpression": {"tax": {"$gt": "K"}}}]}
    yield {"createIndexes": "staff", "indexes": [{"key": {"home_email": 1}, "name": "u", "unique": True}]}
    yield {"listIndexes": "customers"}
    yield {"listCollections": 1}


def _server() -> Iterator[Any]:
    for inner in (
        {"find": "customers", "filter": {"tax": {"$gt": "K"}}},
        agg({"$group": {"_id": MAIL}}),
        {"distinct": "customers", "key": "tax"},
        {"update": "customers", "updates": [{"q": {"tax": "x"}, "u": {"$set": {"a": 1}}}]},
    ):
        yield {"explain": inner, "verbosity": "allPlansExecution"}
    yield agg({"$match": {"tax": {"$gt": "K"}}}, explain=True)
    yield agg({"$planCacheStats": {}})
    yield agg({"$collStats": {"storageStats": {}, "count": {}}})
    yield agg({"$indexStats": {}})
    yield {"collStats": "customers"}
    yield {"validate": "customers", "full": True}
    yield {"dbHash": 1}
    yield {"planCacheListFilters": "customers"}
    yield {"dataSize": "vault.customers", "keyPattern": {"tax": 1}, "min": {"tax": "A"}, "max": {"tax": "Z"}}
    yield {"splitVector": "vault.customers", "keyPattern": {"tax": 1}, "maxChunkSizeBytes": 1, "force": True}
    yield {"find": "system.profile"}
    yield {"find": "system.views"}
    yield agg({"$_internalInhibitOptimization": {}})
    yield agg({"$unknownStage": {}})
    yield agg({"$search": {"text": {"query": "x", "path": "tax"}}})
    yield {"getMore": Int64(12345), "collection": "customers"}
    yield {"find": "customers", "$_internalReadAtClusterTime": 1}
    yield {"find": "customers", "rawData": True}
    yield {"aggregate": "customers", "pipeline": [], "cursor": {}, "exchange": {"policy": "roundrobin", "consumers": 1}}
    yield SON([("applyOps", [{"op": "c", "ns": "vault.$cmd", "o": {"create": "q"}}])])
    yield {"nosuchcommand": 1}


def _oracles() -> Iterator[Any]:
    for expression in (
        {"$toInt": MAIL},
        {"$toDate": "$tax"},
        {"$toObjectId": "$tax"},
        {"$dateFromString": {"dateString": "$tax"}},
        {"$add": ["$tax", 1]},
        {"$concat": [MAIL, "$income"]},
        {"$arrayToObject": MAIL},
        {"$divide": [1, {"$subtract": ["$income", "$income"]}]},
        {"$getField": {"field": "a", "input": "$tax"}},
        {"$split": ["$income", "a"]},
        {"$switch": {"branches": [{"case": {"$eq": ["$tax", "x"]}, "then": 1}]}},
        {"$dateToString": {"date": "$born", "format": MAIL}},
        {"$regexMatch": {"input": "x", "regex": {"$concat": ["(", MAIL]}}},
    ):
        yield project(x=expression)
        yield {"find": "customers", "filter": {"$expr": expression}}
    yield {"find": "customers", "filter": {"$where": "throw this.tax"}}
    yield {"find": "customers", "filter": {"$where": Code("function(){throw this.contact.email}")}}
    yield {"find": "customers", "filter": {"$expr": {"$function": {"body": "function(x){throw x}", "args": ["$tax"], "lang": "js"}}}}
    yield {"count": "customers", "query": {"$where": "throw this.tax"}}
    yield agg({"$match": {"$expr": {"$eq": [1, {"$toInt": "$tax"}]}}})
    yield agg({"$sort": {"a": 1}}, {"$group": {"_id": {"$toLong": MAIL}}})
    yield agg({"$bucket": {"groupBy": "$tax", "boundaries": [0, 1]}})
    yield agg({"$lookup": {"from": "products", "let": {"x": {"$toInt": MAIL}}, "pipeline": [], "as": "z"}})
    yield {"distinct": "customers", "key": "tax", "query": {"$expr": {"$toInt": "$tax"}}}
    yield {"update": "customers", "updates": [{"q": {"$expr": {"$toInt": "$tax"}}, "u": {"$set": {"level": 1}}}]}
    yield {"delete": "customers", "deletes": [{"q": {"$expr": {"$toInt": "$tax"}}, "limit": 0}]}


def _newer() -> Iterator[Any]:
    """Stages, operators and fields of MongoDB 7 and 8, and quieter ways of older ones."""
    stages: list[Command] = [
        {"$rankFusion": {"input": {"pipelines": {"a": [{"$sort": {"tax": 1}}]}}}},
        {"$scoreFusion": {"input": {"pipelines": {"a": [{"$score": {"score": "$income"}}]}, "normalization": "none"}}},
        {"$score": {"score": "$income", "normalization": "none"}},
        {"$vectorSearch": {"index": "v", "path": "tax", "queryVector": [1.0], "numCandidates": 1, "limit": 1}},
        {"$searchMeta": {"facet": {"facets": {"f": {"type": "string", "path": "tax"}}}}},
        {"$queryStats": {}},
        {"$querySettings": {}},
        {"$listSampledQueries": {}},
        {"$listClusterCatalog": {}},
        {"$sqlSettings": {}},
        {"$operationMetrics": {}},
        {"$lookup": {"from": "customers", "as": "x", "pipeline": [{"$search": {}}]}},
        {"$facet": {"a": [{"$queryStats": {}}]}},
        {"$unionWith": {"coll": "products", "pipeline": [{"$vectorSearch": {}}]}},
    ]
    yield from map(agg, stages)
    for expression in (
        {"$toHashedIndexKey": "$tax"},
        {"$percentile": {"input": ["$income"], "p": [0.5], "method": "approximate"}},
        {"$median": {"input": ["$income"], "method": "approximate"}},
        {"$bitAnd": ["$income", -1]},
        {"$bitXor": ["$credit", {"$toLong": 0}]},
        {"$toUUID": "$ref"},
        {"$createObjectId": {"x": "$tax"}},
        {"$serializeEJSON": {"input": "$$ROOT"}},
        {"$deserializeEJSON": {"input": "$secret"}},
        {"$convert": {"input": "$tax", "to": "binData", "format": "utf8"}},
        {"$convert": {"input": "$tax", "to": "int", "onError": "$tax"}},
        {"$convert": {"input": "$missing", "to": "int", "onNull": MAIL}},
        {"$hash": {"input": "$tax", "algorithm": "md5"}},
        {"$encStrContains": {"input": "$tax", "substring": "K"}},
        {"$subtype": "$key"},
        {"$similarityCosine": {"vectors": [["$income"], [1]]}},
        {"$sortArray": {"input": ["$tax", MAIL], "sortBy": 1}},
        {"$setField": {"field": "f", "input": {}, "value": "$tax"}},
        {"$unsetField": {"field": "name", "input": "$$ROOT"}},
        {"$zip": {"inputs": [["$tax"], [MAIL]], "useLongestLength": True, "defaults": ["$tax", "$tax"]}},
        {"$reduce": {"input": [1], "initialValue": MAIL, "in": "$$value"}},
        {"$let": {"vars": {"tax": "$tax", "x": MAIL}, "in": ["$$tax", "$$x"]}},
        {"$meta": "textScore"},
        {"$meta": "sortKey"},
        {"$bottomN": {"input": ["$tax"], "n": 1}},
        {"$binarySize": "$tax", "$toString": "$tax"},
    ):
        yield project(x=expression)
        yield {"find": "customers", "projection": {"x": expression}}
    yield {"find": "customers", "projection": {"_id": 1, "k": {"$meta": "sortKey"}}, "sort": {"tax": 1}}
    yield {"find": "customers", "projection": {"_id": 1, "k": {"$meta": "indexKey"}}, "hint": {"tax": 1}}
    yield {"find": "customers", "projection": {"_id": 1}, "hint": {"tax": 1}, "returnKey": True}
    yield {"find": "customers", "min": {"tax": "A"}, "max": {"tax": "Z"}, "hint": {"tax": 1}, "returnKey": True}
    yield {"find": "customers", "showRecordId": True, "projection": {"tax": {"$slice": 1}, "contact": {"$slice": 1}}}
    yield {"find": "customers", "let": {"a": "$tax"}, "filter": {"$expr": {"$eq": ["$$a", "x"]}}, "projection": {"x": "$$a"}}
    yield {"find": "customers", "let": {"a": 1}, "projection": {"x": {"$concat": ["$tax", {"$toString": "$$a"}]}}}
    yield {"find": "customers", "collation": {"locale": "en", "strength": 1}, "projection": {"x": {"$toLower": MAIL}}}
    yield {"find": "customers", "comment": {"x": MAIL}, "projection": {"x": MAIL}}
    yield agg({"$setWindowFields": {"sortBy": {"_id": 1}, "output": {"w": {"$percentile": {"input": "$income", "p": [0, 1], "method": "approximate"}}}}})
    yield agg({"$setWindowFields": {"sortBy": {"_id": 1}, "output": {"w": {"$minMaxScaler": {"input": "$income", "min": 0, "max": 10**9}}}}})
    yield agg({"$group": {"_id": None, "m": {"$median": {"input": "$income", "method": "approximate"}}, "p": {"$percentile": {"input": "$credit", "p": [1], "method": "approximate"}}}})
    yield agg({"$group": {"_id": None, "m": {"$concatArrays": ["$tax"]}, "s": {"$setUnion": ["$tax"]}}})
    yield agg({"$fill": {"sortBy": {"_id": 1}, "output": {"name": {"value": "$tax"}, "x": {"method": "locf"}}}})
    yield agg({"$fill": {"partitionBy": {"p": "$tax"}, "sortBy": {"_id": 1}, "output": {"y": {"value": MAIL}}}})
    yield agg({"$fill": {"partitionByFields": ["tax"], "output": {"y": {"value": {"$toUpper": "$tax"}}}}})
    yield agg({"$densify": {"field": "income", "range": {"step": 500_000, "bounds": "full"}}}, {"$project": {"income": 1}})
    yield agg({"$densify": {"field": "n", "partitionByFields": ["tax"], "range": {"step": 1, "bounds": [0, 2]}}})
    yield agg({"$documents": [{"a": 1}]}, {"$lookup": {"from": "customers", "pipeline": [{"$project": {"q": MAIL}}], "as": "b"}}, on=1)
    yield agg({"$lookup": {"from": "customers", "localField": "_id", "foreignField": "_id", "let": {"t": "$tax"}, "pipeline": [{"$replaceWith": {"z": "$$t"}}], "as": "b"}})
    yield agg({"$replaceWith": {"$mergeObjects": [{"$arrayToObject": [[{"k": "$tax", "v": 1}]]}, "$contact"]}})
    yield agg({"$project": {"x": {"$map": {"input": {"$objectToArray": "$$ROOT"}, "as": "e", "in": "$$e.v"}}}})
    yield agg({"$unset": "nothing"}, {"$project": {"x": {"$getField": {"field": {"$literal": "tax"}, "input": "$$ROOT"}}}})
    yield agg({"$collStats": {"queryExecStats": {}, "latencyStats": {"histograms": True}}})
    yield agg({"$changeStream": {"fullDocument": "required", "showExpandedEvents": True}}, {"$project": {"x": "$fullDocument.tax"}})
    yield agg({"$match": {"$jsonSchema": {"properties": {"tax": {"pattern": "("}}}}})
    yield {"find": "customers", "filter": {"tax": {"$regex": "("}}}
    yield {"find": "customers", "filter": {"$expr": {"$regexMatch": {"input": MAIL, "regex": "$tax"}}}}
    yield {"count": "customers", "query": {"$expr": {"$toDecimal": MAIL}}, "hint": {"tax": 1}}
    yield {"explain": {"find": "customers", "hint": {"tax": 1}, "min": {"tax": "A"}, "max": {"tax": "Z"}}, "verbosity": "executionStats"}
    yield {"bulkWrite": 1, "ops": [{"update": 0, "filter": {"$expr": {"$toInt": "$tax"}}, "updateMods": {"$set": {"a": 1}}}], "nsInfo": [{"ns": "vault.customers"}]}
    yield {"bulkWrite": 1, "ops": [{"update": 0, "filter": {}, "updateMods": [{"$set": {"name": "$tax"}}], "return": "pre"}], "nsInfo": [{"ns": "vault.customers"}]}
    yield {"insert": "customers", "documents": [{"_id": 1}], "bypassDocumentValidation": True}
    yield {"findAndModify": "customers", "query": {"_id": 1}, "update": {"$set": {"level": 3}}, "new": True, "fields": {"x": MAIL}}
    yield {"findAndModify": "customers", "query": {}, "sort": {"tax": 1}, "update": [{"$set": {"name": "$tax"}}], "fields": {"name": 1}, "new": True}
    yield {"distinct": "customers", "key": "contact.email", "hint": {"_id": 1}, "collation": {"locale": "en"}}
    yield {"getShardedData": 1}
    yield {"analyzeShardKey": "vault.customers", "key": {"tax": 1}}
    yield {"configureQueryAnalyzer": "vault.customers", "mode": "full", "samplesPerSecond": 1}
    yield {"cleanupStructuredEncryptionData": "customers", "cleanupTokens": {}}


def _elsewhere() -> Iterator[tuple[str, Command]]:
    yield "local", {"find": "oplog.rs", "filter": {"ns": "vault.customers"}}
    yield "local", agg({"$match": {"ns": "vault.customers"}}, {"$project": {"o": 1}}, on="oplog.rs")
    yield "config", {"find": "transactions"}
    yield "config", {"find": "system.sessions"}
    yield "config", {"find": "image_collection"}
    yield "admin", {"find": "system.users"}
    yield "admin", {"currentOp": 1, "$all": True}
    yield "admin", agg({"$currentOp": {"allUsers": True, "idleSessions": True}}, on=1)
    yield "admin", agg({"$listLocalSessions": {}}, on=1)
    yield "admin", {"getLog": "global"}
    yield "admin", {"top": 1}
    yield "admin", {"serverStatus": 1}
    yield "admin", {"replSetGetStatus": 1}
    yield "admin", {"renameCollection": "vault.customers", "to": "vault.open"}
    yield "admin", {"renameCollection": "vault.staff", "to": "other.staff"}
    yield "other", agg({"$lookup": {"from": {"db": "vault", "coll": "staff"}, "pipeline": [], "as": "x"}}, on="t")
    yield "other", {"create": "v", "viewOn": "customers", "pipeline": []}
    yield "vault", agg({"$changeStream": {"fullDocument": "updateLookup"}}, on=1)
    yield "admin", agg({"$changeStream": {"allChangesForCluster": True}}, on=1)
