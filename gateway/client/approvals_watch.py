"""Following requests for approval from a terminal, through outages of the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from gateway.client.api import ApiClient, ApiProblem, Unreachable

POLL: Final = 1.0
"""Seconds between looks."""
_LONGEST_PAUSE: Final = 10.0
_TOO_MANY: Final = 429


class Watch:
    """Requests that have changed. ``trouble`` is told once when the API is away, and an empty text when it is back.

    Raises ``ConfigurationError`` where asking again is of no use: the login is over, or is not an approver's.
    """

    def __init__(
        self, client: ApiClient, trouble: Callable[[str], None], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._trouble = trouble
        self._sleep = sleep
        self._known: dict[str, tuple[str, int]] | None = None
        """State and number of verdicts of what can be decided or used, as of the last look; None before the first."""

    def changes(self) -> Iterator[Mapping[str, Any]]:
        """What waits, what comes, and what becomes of it, for ever."""
        pause, away = POLL, False
        while True:
            try:
                found = self._look()
            except (Unreachable, ApiProblem) as error:
                if isinstance(error, ApiProblem) and error.status < 500 and error.status != _TOO_MANY:
                    raise
                if not away:
                    self._trouble(str(error))
                away, pause = True, min(2 * pause, _LONGEST_PAUSE)
            else:
                if away:
                    self._trouble("")
                away, pause = False, POLL
                yield from found
            self._sleep(pause)

    def _look(self) -> list[Mapping[str, Any]]:
        live = self._client.pages("/v1/approvals", state=("pending", "approved"))
        now = {request["id"]: (request["state"], len(request["verdicts"])) for request in live}
        if self._known is None:
            changed = [request for request in reversed(live) if request["state"] == "pending"]
        else:
            before = self._known
            ended = [self._client.get(f"/v1/approvals/{quote(known, safe='')}") for known in before if known not in now]
            changed = ended + [request for request in reversed(live) if before.get(request["id"]) != now[request["id"]]]
        self._known = now
        return changed
