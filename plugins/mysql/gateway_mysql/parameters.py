"""Bound parameters for the audit: kept as they came, and read only where somebody wants to see them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.audit import BoundValue
from gateway_mysql.wire.commands import Parameter

LONG_DATA = "<sent ahead>"
"""In the place of a value that came by COM_STMT_SEND_LONG_DATA."""


class Bound:
    """The values of one execution; implements ``gateway.domain.audit.BoundValues``.

    ``codec`` is Python's name of the character set in which texts came, None where it is not known.
    """

    __slots__ = ("_codec", "_long_data", "_values")

    def __init__(self, values: Sequence[Parameter], codec: str | None, long_data: Collection[int]) -> None:
        self._values = values
        self._codec = codec
        self._long_data = long_data

    def values(self) -> Sequence[BoundValue]:
        """The values in the order of their placeholders, one row after the other for a bulk execution."""
        return [
            LONG_DATA if index in self._long_data else self._shown(value) for index, value in enumerate(self._values)
        ]

    def arguments(self) -> Sequence[Parameter] | None:
        """The values as a statement of the gateway's own can be given them, None where not all are known."""
        if self._long_data:
            return None
        return [self._read(value) for value in self._values]

    def _shown(self, value: Parameter) -> BoundValue:
        read = self._read(value)
        return "\\x" + read.hex() if isinstance(read, bytes) else read

    def _read(self, value: Parameter) -> Parameter:
        if isinstance(value, bytes) and self._codec is not None:
            try:
                return value.decode(self._codec)
            except UnicodeDecodeError:
                pass
        return value


@dataclass(slots=True, eq=False, init=False)
class Arguments:
    """What one execution of a prepared statement is bound to.

    ``values`` is None where not all of them can be read. ``types`` are the ones in force, ``payload`` the command as it
    came, whose parameters begin at ``begin``. ``ahead`` are the digests of the values that were sent ahead.
    """

    count: int
    values: Sequence[Parameter] | None
    bound: Bound | None
    types: tuple[int, ...] | None
    payload: bytes
    begin: int
    ahead: Mapping[int, bytes]

    # Written out, since what the decorator writes would not be compiled, and every execution makes one.
    def __init__(
        self,
        count: int,
        values: Sequence[Parameter] | None,
        bound: Bound | None,
        types: tuple[int, ...] | None,
        payload: bytes,
        begin: int,
        ahead: Mapping[int, bytes],
    ) -> None:
        self.count = count
        self.values = values
        self.bound = bound
        self.types = types
        self.payload = payload
        self.begin = begin
        self.ahead = ahead

    def exact(self) -> bytes:
        """Everything about them, for an approval that holds for these and no others."""
        ahead = b"".join(index.to_bytes(2, "little") + self.ahead[index] for index in sorted(self.ahead))
        types = repr(self.types).encode()
        return b"%d %d %b%b" % (len(types), len(ahead), types + ahead, self.payload[self.begin :])
