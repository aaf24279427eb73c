"""TCP ports on loopback."""

from __future__ import annotations

import functools
import itertools
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_LOW, _HIGH = 15_000, 32_000  # below the range from which Linux takes ports for outgoing connections
_ATTEMPTS = 200


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """A port on 127.0.0.1 that nobody listens on, and not one of ``taken``.

    Nothing keeps it free until it is used; so no process gets one twice before it has had all, and each has them in an
    order of its own.
    """
    order = _order()
    for _ in range(_ATTEMPTS):
        port = next(order)
        if port not in taken and _can_listen(port):
            return port
    raise OSError(f"no free port on 127.0.0.1 between {_LOW} and {_HIGH} in {_ATTEMPTS} attempts")


@functools.cache
def _order() -> Iterator[int]:
    ports = list(range(_LOW, _HIGH))
    random.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)


def free_ports(count: int) -> tuple[int, ...]:
    """``count`` different free ports."""
    ports: list[int] = []
    for _ in range(count):
        ports.append(free_port(frozenset(ports)))
    return tuple(ports)


def listening(port: int) -> bool:
    """Whether somebody listens on 127.0.0.1 or on all addresses, told by the system: no connection is made."""
    wanted = {f"0100007F:{port:04X}", f"00000000:{port:04X}"}
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1] in wanted and row[3] == "0A" for row in rows)


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
