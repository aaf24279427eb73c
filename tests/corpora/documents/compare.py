"""Whether an answer is what a direct connection gives, but for what is masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson

from tests.corpora.documents import vault
from tests.corpora.documents.direct import Answer


def difference(answer: Answer) -> str:
    """What differs that need not; empty where nothing does."""
    if answer.refusal:
        return f"refused: {answer.refusal}"
    if answer.error:
        return "the server refuses it"
    for got, original in zip(answer.replies, answer.originals, strict=True):
        found = _compare(bson.decode(got), bson.decode(original), "")
        if found:
            return found
    return ""


def _compare(got: Any, original: Any, path: str) -> str:
    if isinstance(original, Mapping) and isinstance(got, Mapping):
        if list(got) != list(original) and not _secret(original):
            return f"{path}: other fields"
        return next(filter(None, (_compare(got.get(key), original[key], f"{path}.{key}") for key in original)), "")
    if isinstance(original, list) and isinstance(got, list):
        if len(got) != len(original):
            return f"{path}: another number of elements"
        return next(filter(None, (_compare(*pair, path) for pair in zip(got, original, strict=True))), "")
    if got != original and not (got in (None, "****") and _secret(original)):
        return f"{path}: {original!r} became {got!r}"
    return ""


def _secret(value: Any) -> bool:
    """Whether a canary is in it."""
    return bool(vault.search(bson.encode({"v": value})))
