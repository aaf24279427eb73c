"""Memos that stay bounded."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


def remember(memo: dict[K, T], key: K, value: T, *, limit: int) -> None:
    """Put a value into a bounded memo; a full one is emptied, which costs time and never correctness."""
    if len(memo) >= limit:
        memo.clear()
    memo[key] = value
