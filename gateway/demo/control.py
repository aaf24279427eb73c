"""The demo's control plane: its first administrator, and the documents that it begins with."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.client.api import ApiClient, make_http, read_answer, send
from gateway.client.session import VARIABLE, ClientSession, SessionFile

APPROVER: Final = "dora@example.com"
"""Administers the demo, and is in the group that decides about schema changes."""


def take_over(url: str, data_dir: Path, documents: Path, session: Path) -> None:
    """Make the first administrator with the token of the first start, log in, and have ``documents`` put in force.

    The login is kept in ``session``, for ``querygate`` with ``$QUERYGATE_SESSION``. Raises ``ConfigurationError``.
    """
    token = (data_dir / "bootstrap-token").read_text().strip()
    account = {"token": token, "name": APPROVER, "password": secrets.token_urlsafe(24)}
    with make_http(url, None) as http:
        tokens: dict[str, Any] = read_answer(send(http, "POST", "/v1/auth/bootstrap", json=account))
    login = ClientSession(
        url=url,
        name=APPROVER,
        access_token=tokens["access_token"],
        expires=time.time() + tokens["expires_in"],
        refresh_token=tokens["refresh_token"],
    )
    file = SessionFile({VARIABLE: str(session)})
    file.save(login)
    with ApiClient(file, login) as client:
        client.post("/v1/apply", {"sections": yaml.safe_load(documents.read_text())})
