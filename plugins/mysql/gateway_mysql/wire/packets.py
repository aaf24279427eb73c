"""Packets: three bytes of length, one of sequence number, the payload (page "MySQL Packets").

A payload of 16 MiB - 1 bytes or more travels in several packets, of which all but the last are full; the last may be
empty. The sequence number begins at 0 with each command and wraps.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import MessageTooLarge, RemoteProtocolError

HEADER: Final = 4
FULL: Final = 0xFFFFFF
"""The length of a packet that another one continues."""


def packet(payload: bytes, sequence: int) -> bytes:
    """A payload as packets, the first with this sequence number."""
    size = len(payload)
    if size < FULL:
        return size.to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload
    pieces = []
    for start in range(0, size + 1, FULL):
        piece = payload[start : start + FULL]
        pieces += [len(piece).to_bytes(3, "little"), bytes((sequence & 0xFF,)), piece]
        sequence += 1
    return b"".join(pieces)


def packet_count(size: int) -> int:
    """How many packets a payload of ``size`` bytes takes."""
    return size // FULL + 1


class PacketBuffer:
    """Collects bytes and gives whole payloads, with the sequence number of their last packet.

    ``max_payload`` bounds a payload before memory is taken for it. Sequence numbers must follow each other; the caller
    says with ``expect`` what comes next, and ``sequence`` is what would come after the last one taken.
    """

    __slots__ = ("_data", "max_payload", "sequence")

    def __init__(self, *, max_payload: int, sequence: int = 0) -> None:
        self._data = bytearray()
        self.max_payload = max_payload
        self.sequence = sequence

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Put bytes behind what is there."""
        self._data += data

    def take(self) -> bytes | None:
        """The next whole payload, or None if it is not there yet."""
        data, position, total = self._data, 0, 0
        pieces: list[tuple[int, int]] = []
        sequence = self.sequence
        while True:
            if len(data) - position < HEADER:
                return None
            size = int.from_bytes(data[position : position + 3], "little")
            if data[position + 3] != sequence:
                raise RemoteProtocolError("a packet is out of order")
            total += size
            if total > self.max_payload:
                raise MessageTooLarge("a packet states a length above the limit")
            start = position + HEADER
            if len(data) - start < size:
                return None
            pieces.append((start, start + size))
            position = start + size
            sequence = (sequence + 1) & 0xFF
            if size < FULL:
                break
        payload = b"".join(bytes(data[start:stop]) for start, stop in pieces)
        del data[:position]
        self.sequence = sequence
        return payload

    def take_rest(self) -> bytes:
        """Everything that is left, as it came."""
        data = bytes(self._data)
        self._data.clear()
        return data
