"""Bytes of a stream that wait for more."""

from __future__ import annotations


class Held:
    """Bytes that cannot be processed yet, without copying them again for each chunk that follows.

    ``size`` is their number.
    """

    __slots__ = ("_chunks", "_need", "size")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._need = 0
        self.size = 0

    def keep(self, rest: bytes, need: int = 0) -> None:
        """Hold ``rest``, which makes no sense before ``need`` bytes are there."""
        if rest:
            self._chunks.append(rest)
        self.size = len(rest)
        self._need = need

    def add(self, data: bytes) -> None:
        """Put more behind it, whatever is needed."""
        self._chunks.append(data)
        self.size += len(data)

    def join(self, data: bytes) -> bytes | None:
        """Put ``data`` behind what is held: everything, or None if it still is not enough."""
        if not self._chunks:
            return data
        self.add(data)
        return None if self.size < self._need else self.take()

    def take(self) -> bytes:
        """Everything held, whether enough or not; nothing is held afterwards."""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self.size = self._need = 0
        return data
