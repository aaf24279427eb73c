"""The admin API by Locust's own HTTP client."""

from __future__ import annotations

import random
from typing import Any

from locust import HttpUser
from typing_extensions import override

from loadtests.config import LoadConfig


class AdminUser(HttpUser):
    """An administrator, or a program of one, with an access token. Locust reports by method and name."""

    abstract = True

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)  # type: ignore[no-untyped-call]
        self.settings = LoadConfig.read()
        self.random = random.Random()

    @override
    def wait_time(self) -> float:
        """Seconds to think."""
        return self.random.uniform(0, 10 * self.settings.wait)

    @override
    def on_start(self) -> None:
        """Everybody has the same token: logging in is throttled on purpose."""
        self.client.headers["Authorization"] = f"Bearer {self.settings.needed('admin_token')}"

    def ask(self, method: str, path: str, name: str, body: object = None, *, expected: int = 200) -> None:
        """One request under the scenario's name; another status than ``expected`` is a failure."""
        with self.client.request(method, path, name=name, json=body, catch_response=True) as answer:
            if answer.status_code == 429:  # a bound of the API's own, which is a figure of its own
                answer.request_meta["name"] = f"{name} 429"
            if answer.status_code in (expected, 429):
                answer.success()
            else:
                answer.failure(f"{answer.status_code} {answer.text[:200]}")
