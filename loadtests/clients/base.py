"""What the database clients have in common."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from locust import User
from typing_extensions import override

from loadtests.config import LoadConfig


class Counted:
    """What happens in a ``measured`` block puts the number of its rows here."""

    def __init__(self) -> None:
        self.rows = 0


class DatabaseUser(User):
    """Somebody with a connection of their own, from start to end."""

    abstract = True
    protocol: ClassVar[str]

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.settings = LoadConfig.read()
        self.random = random.Random()

    @override
    def wait_time(self) -> float:
        """Seconds to think."""
        return self.random.uniform(0, self.settings.wait)

    @override
    def on_start(self) -> None:
        """Connect; how long that takes is a figure of its own."""
        with self.measured("connect"):
            self.connect()

    def connect(self) -> None:
        """Open the connection."""
        raise NotImplementedError

    @contextmanager
    def measured(self, name: str) -> Iterator[Counted]:
        """Report the block as one request: its time in ms, its rows, and its exception, which goes no further."""
        counted, start, failure = Counted(), time.perf_counter(), None
        try:
            yield counted
        except Exception as error:  # noqa: BLE001 - a failure is a figure; the user goes on
            failure = error
        self.environment.events.request.fire(
            request_type=self.protocol,
            name=name,
            response_time=(time.perf_counter() - start) * 1000,
            response_length=counted.rows,
            exception=failure,
            context={},
        )
