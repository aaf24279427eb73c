"""Asking an admin API, with a login that is renewed when it has to be."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import httpx2

from gateway.client.session import ClientSession, SessionFile
from gateway.config.resolve import is_loopback
from gateway.errors import ConfigurationError

TIMEOUT: Final = 30.0
EARLY: Final = 20.0
"""Seconds before its end at which an access token is renewed."""


class Unreachable(ConfigurationError):
    """Nobody answered: asking again may help."""


class ApiProblem(ConfigurationError):
    """The API refused something. ``status`` is its HTTP status, ``problem`` the problem details (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        lines = [str(problem.get("detail") or problem.get("title") or f"the API answered {status}")]
        for item in problem.get("errors") or ():
            place = item.get("pointer", "")
            lines.append(f"  {place}: {item.get('detail', '')}" if place else f"  {item.get('detail', '')}")
        super().__init__("\n".join(lines))
        self.status = status
        self.problem = problem


class ApiClient:
    """One command's use of the API. A context manager."""

    def __init__(
        self,
        file: SessionFile,
        session: ClientSession,
        *,
        http: httpx2.Client | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self.session = session
        self._clock = clock
        self._http = make_http(session.url, session.ca) if http is None else http

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **parameters: str | int | Sequence[str] | None) -> Any:
        """A GET; parameters that are None are left out. Raises ``ApiProblem``."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._ask("GET", path, params=given)

    def post(self, path: str, content: Mapping[str, object] | None = None) -> Any:
        """A POST of JSON. Raises ``ApiProblem``."""
        return self._ask("POST", path, json={} if content is None else dict(content))

    def pages(self, path: str, **parameters: str | int | Sequence[str] | None) -> list[Any]:
        """All items of a list."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, limit=500, **parameters)
            items += page["items"]
            cursor = page.get("next")
            if cursor is None:
                return items

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        if self.session.expires - EARLY <= self._clock():
            self._renew()
        answer = self._send(method, path, **options)
        if answer.status_code == 401 and self._renew():
            answer = self._send(method, path, **options)
        if answer.status_code == 401:
            raise ConfigurationError(f"the login at {self.session.url} is over; run querygate login again")
        return read_answer(answer)

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.session.access_token}"}
        return send(self._http, method, path, headers=headers, **options)

    def _renew(self) -> bool:
        """New tokens for old; False where that is not possible."""
        with self._file.lock():
            # Another command may have done it meanwhile, and used up the refresh token that we know.
            kept = self._file.load()
            if kept is not None and kept.url == self.session.url and kept.access_token != self.session.access_token:
                self.session = kept
                return True
            if not self.session.refresh_token:
                return False
            renewed = renew(self._http, self.session, self._clock())
            if renewed is None:
                return False
            self.session = renewed
            self._file.save(renewed)
            return True


def make_http(url: str, ca: str | None) -> httpx2.Client:
    """A client for an API. Raises ``ConfigurationError`` for an address where others could read along."""
    parsed = httpx2.URL(url)
    local = is_loopback(parsed.host)
    if parsed.scheme != "https" and not (parsed.scheme == "http" and local):
        raise ConfigurationError(f"{url}: must be https, but for this machine's own loopback addresses")
    try:
        verify = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigurationError(f"{ca}: no certificates can be read from it: {error.strerror}") from None
    return httpx2.Client(base_url=url, verify=verify, timeout=TIMEOUT, trust_env=not local)


def send(http: httpx2.Client, method: str, path: str, **options: Any) -> httpx2.Response:
    """One request. Raises ``Unreachable`` where nobody answers."""
    try:
        return http.request(method, path, **options)
    except httpx2.HTTPError as error:
        raise Unreachable(f"{http.base_url}: cannot be reached: {str(error) or type(error).__name__}") from None


def read_answer(answer: httpx2.Response) -> Any:
    """The JSON of a good answer, None for an empty one. Raises ``ApiProblem`` for any other."""
    try:
        content = answer.json() if answer.content else None
    except ValueError:
        content = None
    if answer.is_success:
        return content
    raise ApiProblem(answer.status_code, content if isinstance(content, dict) else {})


def renew(http: httpx2.Client, session: ClientSession, now: float) -> ClientSession | None:
    """A login renewed by its refresh token; None where it is no longer good.

    Raises ``ApiProblem`` where whoever has to say so fails or is asked too often: that says nothing of the login.
    """
    if session.oidc is not None:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": session.refresh_token,
            "client_id": session.oidc.client_id,
        }
        with make_http(session.oidc.token_endpoint, session.ca) as issuer:
            answer = send(issuer, "POST", session.oidc.token_endpoint, data=form)
    else:
        answer = send(http, "POST", "/v1/auth/refresh", json={"refresh_token": session.refresh_token})
    if answer.status_code >= 500 or answer.status_code == 429:
        read_answer(answer)
    if not answer.is_success:
        return None
    tokens = answer.json()
    return replace(
        session,
        access_token=tokens["access_token"],
        refresh_token=tokens.get("refresh_token", session.refresh_token),
        expires=now + float(tokens.get("expires_in", 300)),
    )
