"""Following requests from a terminal: nothing is told twice or missed, and the API may come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.client.api import ApiClient, ApiProblem
from gateway.client.approvals_watch import Watch
from gateway.client.session import ClientSession, SessionFile
from gateway.errors import ConfigurationError


class Plane:
    """Answers as the API does, or fails as a network does."""

    def __init__(self) -> None:
        self.requests: dict[str, dict[str, Any]] = {}
        self.fails: list[Callable[[], httpx2.Response]] = []

    def put(self, identifier: str, state: str, verdicts: int = 0) -> None:
        self.requests[identifier] = {"id": identifier, "state": state, "verdicts": [{}] * verdicts}

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.fails:
            return self.fails.pop(0)()
        name = request.url.path.rpartition("/")[2]
        if name != "approvals":
            return httpx2.Response(200, json=self.requests[name])
        states = request.url.params.get_list("state")
        items = [found for found in self.requests.values() if found["state"] in states]
        return httpx2.Response(200, json={"items": items[::-1], "next": None})


class Bed:
    def __init__(self, folder: Path) -> None:
        self.plane = Plane()
        self.told: list[str] = []
        self.pauses: list[float] = []
        http = httpx2.Client(base_url="http://127.0.0.1", transport=httpx2.MockTransport(self.plane.answer))
        session = ClientSession(url="http://127.0.0.1", name="dora", access_token="token", expires=9e9)
        client = ApiClient(SessionFile({"HOME": str(folder)}), session, http=http)
        self.steps: list[Callable[[], None]] = []
        self.found: Iterator[Any] = iter(Watch(client, self.told.append, sleep=self._sleep).changes())

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()

    def seen(self, *steps: Callable[[], None]) -> list[str]:
        """What is told when these happen, one between any two looks."""
        self.steps = list(steps)
        found = []
        try:
            for request in self.found:
                found.append(f"{request['id']} {request['state']} {len(request['verdicts'])}")
        except KeyboardInterrupt:
            pass
        return found


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


def unreachable() -> httpx2.Response:
    raise httpx2.ConnectError("connection refused")


def test_it_tells_what_waits_what_comes_and_what_becomes_of_it(bed: Bed) -> None:
    put = bed.plane.put
    put("old", "used")
    put("granted", "approved", 1)
    put("waits", "pending")
    found = bed.seen(
        lambda: put("comes", "pending"),
        lambda: put("comes", "pending", 1),
        lambda: None,
        lambda: put("comes", "approved", 2),
        lambda: put("comes", "used", 2),
        lambda: put("granted", "revoked", 1),
        lambda: None,
    )
    assert found == [
        "waits pending 0",
        "comes pending 0",
        "comes pending 1",
        "comes approved 2",
        "comes used 2",
        "granted revoked 1",
    ]


def test_while_the_api_is_away_it_is_asked_again_and_nothing_is_missed(bed: Bed) -> None:
    def away() -> None:
        bed.plane.fails = [unreachable, lambda: httpx2.Response(503, json={"detail": "the store"}), unreachable]
        bed.plane.put("waits", "rejected", 1)

    bed.plane.put("waits", "pending")
    found = bed.seen(away, lambda: None, lambda: None, lambda: bed.plane.put("comes", "pending"), lambda: None)
    assert found == ["waits pending 0", "waits rejected 1", "comes pending 0"]
    assert len(bed.told) == 2, "once when it is away, once when it is back"
    assert "cannot be reached" in bed.told[0]
    assert bed.told[1] == ""
    assert bed.pauses[1:4] == [2.0, 4.0, 8.0], "it is not asked more and more"


def test_an_outage_between_two_questions_of_a_look_loses_nothing(bed: Bed) -> None:
    def end() -> None:
        bed.plane.put("waits", "withdrawn")
        bed.plane.put("comes", "pending")
        bed.plane.fails = [lambda: bed.plane.answer(httpx2.Request("GET", LIVE)), unreachable]

    bed.plane.put("waits", "pending")
    assert bed.seen(end, lambda: None, lambda: None) == ["waits pending 0", "waits withdrawn 0", "comes pending 0"]


LIVE = "http://127.0.0.1/v1/approvals?state=pending&state=approved"


@pytest.mark.parametrize("status", [401, 403])
def test_where_asking_again_is_of_no_use_it_ends(bed: Bed, status: int) -> None:
    bed.plane.fails = [lambda: httpx2.Response(status, json={"detail": "no"})] * 3
    with pytest.raises(ConfigurationError) as ended:
        bed.seen()
    assert isinstance(ended.value, ApiProblem) is (status == 403)
    assert "login" in str(ended.value) or status == 403
