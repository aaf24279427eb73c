"""Pipelines by chance over labelled documents."""

from __future__ import annotations

import random
from typing import Any

PATHS = (
    "_id name contact contact.email contact.city contact.phones contact.phones.number tax income credit score born ref"
    " key secret balance cards cards.number nested nested.deep nested.deep.er map map.x map.x.pin tags level vip a b"
    " b.c"
).split()
NAMES = ("a", "b", "b.c", "name", "tax", "contact", "contact.email", "level", "x")


class Generator:
    """One source of pipelines; the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def pipeline(self, depth: int = 0) -> list[dict[str, Any]]:
        """Between one and five stages."""
        return [self.stage(depth) for _ in range(self.rng.randint(1, 5 if depth == 0 else 2))]

    def stage(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        choices = "project include exclude set unset group unwind replace sort limit match sortByCount window".split()
        if depth < 2:
            choices += ["facet", "lookup", "union", "bucketAuto", "fill", "graph", "redact"]
        match rng.choice(choices):
            case "project":
                return {"$project": {name: self.expression(0) for name in self.names()}}
            case "include":
                return {"$project": dict.fromkeys(self.apart(self.paths(3)), 1)}
            case "exclude":
                return {"$project": dict.fromkeys(self.apart(self.paths(2)), 0)}
            case "set":
                return {"$set": {name: self.expression(0) for name in self.names()}}
            case "unset":
                return {"$unset": self.apart(self.paths(2))}
            case "group":
                return {"$group": {"_id": self.expression(1), "a": self.accumulator(), "b": self.accumulator()}}
            case "unwind":
                return {"$unwind": {"path": "$" + rng.choice(PATHS), "preserveNullAndEmptyArrays": rng.random() < 0.7}}
            case "replace":
                return {"$replaceWith": self.document(0)}
            case "sort":
                return {"$sort": {rng.choice(PATHS): rng.choice((1, -1))}}
            case "limit":
                return {"$limit": rng.randint(1, 3)}
            case "match":
                return {"$match": {"$expr": {"$ne": [self.expression(1), self.expression(2)]}}}
            case "sortByCount":
                return {"$sortByCount": self.expression(0)}
            case "window":
                operator = rng.choice(("$push", "$first", "$last", "$max", "$addToSet"))
                return {"$setWindowFields": {"sortBy": {"_id": 1}, "output": {"a": {operator: self.expression(1)}}}}
            case "facet":
                return {"$facet": {"a": self.pipeline(depth + 1), "b": self.pipeline(depth + 1)}}
            case "lookup":
                let = {"v": self.expression(1)}
                inner = [*self.pipeline(depth + 1), {"$set": {"x": "$$v"}}]
                source = rng.choice(COLLECTIONS)
                return {"$lookup": {"from": source, "let": let, "pipeline": inner, "as": rng.choice("ab")}}
            case "union":
                return {"$unionWith": {"coll": rng.choice(COLLECTIONS), "pipeline": self.pipeline(depth + 1)}}
            case "bucketAuto":
                output = {"a": self.accumulator()}
                return {"$bucketAuto": {"groupBy": self.expression(1), "buckets": 2, "output": output}}
            case "fill":
                return {"$fill": {"output": {rng.choice(("a", "level", "tax")): {"value": self.expression(1)}}}}
            case "graph":
                return {
                    "$graphLookup": {
                        "from": rng.choice(COLLECTIONS),
                        "startWith": "$_id",
                        "connectFromField": "_id",
                        "connectToField": "_id",
                        "as": rng.choice(("a", "contact.more")),
                    }
                }
            case _:
                return {"$redact": {"$cond": [{"$ne": [self.expression(2), 1]}, "$$KEEP", "$$PRUNE"]}}

    def expression(self, depth: int) -> Any:
        rng = self.rng
        if depth > 3 or rng.random() < 0.35:
            other = rng.choice((1, "k", "$$ROOT", None, ["$tax", 1]))
            return "$" + rng.choice(PATHS) if rng.random() < 0.85 else other
        inner = depth + 1
        one = self.expression
        match rng.randint(0, 24):
            case 0:
                return {"$ifNull": [one(inner), one(inner)]}
            case 1:
                return {"$cond": [{"$gt": [one(inner), 2]}, one(inner), one(inner)]}
            case 2:
                return {"$mergeObjects": [self.document(inner), self.document(inner)]}
            case 3:
                return {"$concatArrays": [self.array(inner), self.array(inner)]}
            case 4:
                made = rng.choice(("$$i", {"k": "$$i"}, one(inner)))
                return {"$map": {"input": self.array(inner), "as": "i", "in": made}}
            case 5:
                condition = {"$ne": [rng.choice(("$$this", one(inner))), one(inner)]}
                return {"$filter": {"input": self.array(inner), "cond": condition}}
            case 6:
                step = {"$concatArrays": ["$$value", ["$$this"]]}
                return {"$reduce": {"input": self.array(inner), "initialValue": [], "in": step}}
            case 7:
                return {"$arrayElemAt": [self.array(inner), rng.randint(-1, 1)]}
            case 8:
                return {"$slice": [self.array(inner), 1]}
            case 9:
                return {"$objectToArray": self.document(inner)}
            case 10:
                return {"$arrayToObject": [[[self.text(inner), one(inner)]]]}
            case 11:
                return {"$getField": {"field": rng.choice(("email", "tax", "a")), "input": self.document(inner)}}
            case 12:
                field = rng.choice(("a", "tax"))
                return {"$setField": {"field": field, "input": self.document(inner), "value": one(inner)}}
            case 13:
                return {"$unsetField": {"field": rng.choice(("a", "email")), "input": self.document(inner)}}
            case 14:
                return {"$let": {"vars": {"v": one(inner)}, "in": rng.choice(("$$v", {"z": "$$v"}, ["$$v"]))}}
            case 15:
                return {"$let": {"vars": {"CURRENT": self.document(inner)}, "in": one(inner)}}
            case 16:
                return self.text(inner)
            case 17:
                return {"$split": [self.text(inner), "-"]}
            case 18:
                return {"$zip": {"inputs": [self.array(inner), self.array(inner)]}}
            case 19:
                return {"$reverseArray": self.array(inner)}
            case 20:
                return {"$setUnion": [self.array(inner), self.array(inner)]}
            case 21:
                branch = {"case": {"$eq": [one(inner), 1]}, "then": one(inner)}
                return {"$switch": {"branches": [branch], "default": one(inner)}}
            case 22:
                return {"$sortArray": {"input": self.array(inner), "sortBy": 1}}
            case 23:
                return {rng.choice(("$max", "$min")): [one(inner), one(inner)]}
            case _:
                return self.document(inner)

    def document(self, depth: int) -> Any:
        """An expression that is a document, or null."""
        rng = self.rng
        if rng.random() < 0.5:
            path = rng.choice(("$$ROOT", "$contact", "$nested", "$map", "$map.x", "$nested.deep"))
            chosen = {"$cond": [{"$eq": [{"$type": path}, "object"]}, path, {"e": 1}]}
            return chosen if rng.random() < 0.3 else path_or(path)
        return {rng.choice("abx"): self.expression(depth + 1), "y": self.expression(depth + 1)}

    def array(self, depth: int) -> Any:
        rng = self.rng
        if rng.random() < 0.5:
            path = rng.choice(("$cards", "$contact.phones", "$tags", "$nested.deep.list", "$cards.number"))
            return {"$cond": [{"$isArray": path}, path, []]} if rng.random() < 0.3 else path
        return [self.expression(depth + 1) for _ in range(rng.randint(1, 2))]

    def text(self, depth: int) -> Any:
        rng = self.rng
        path = "$" + rng.choice(("tax", "income", "_id", "born", "key"))
        return {rng.choice(("$toUpper", "$toLower")): {"$toString": path}}

    def accumulator(self) -> Any:
        operator = self.rng.choice(("$push", "$addToSet", "$first", "$last", "$max", "$min"))
        return {operator: self.expression(1)}

    def names(self) -> list[str]:
        return self.apart(self.rng.sample(NAMES, self.rng.randint(1, 3)))

    def paths(self, most: int) -> list[str]:
        return self.rng.sample([path for path in PATHS if path != "_id"], self.rng.randint(1, most))

    def apart(self, paths: list[str]) -> list[str]:
        """Without those of which another one is the beginning, which the server refuses."""
        return [path for path in paths if not any(path != other and path.startswith(other + ".") for other in paths)]


def path_or(path: str) -> Any:
    """A document at a path; an empty one where there is none, so that the server has nothing to complain of."""
    return {"$ifNull": [path, {}]} if path != "$$ROOT" else path


COLLECTIONS = ("customers", "staff", "orders", "products", "mails", "mails_again", "keyed")
