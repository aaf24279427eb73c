"""The API against its own description: generated requests, valid and not, each answer as the description says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers.ports import free_port

PASSWORD = "correct horse battery staple"
EXAMPLES = 4
ENDS_OR_ENDLESS = r"/v1/auth/(logout|password)|/v1/approvals/events"


@dataclass(frozen=True, slots=True)
class Served:
    """A running API with some documents in it, and its owner's token."""

    url: str
    token: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("schemathesis")
    port = free_port()
    path = folder / "querygate.yaml"
    # Long-lived tokens: the machine that runs this may be slow.
    path.write_text(
        f"listeners: {{postgres: 127.0.0.1:{free_port()}}}\nadmin_api: 127.0.0.1:{port}\n"
        "control_plane: {access_token_ttl: 1h}\naudit: {min_free: 1MiB}\n"
    )
    with GatewayProcess.start(path, timeout=120):
        url = f"http://127.0.0.1:{port}"
        with httpx2.Client(base_url=url, timeout=30) as client:
            token = (folder / "data" / "bootstrap-token").read_text().strip()
            body = {"token": token, "name": "root", "password": PASSWORD}
            client.headers["Authorization"] = (
                "Bearer " + client.post("/v1/auth/bootstrap", json=body).json()["access_token"]
            )
            for kind, document in (
                ("resources", {"name": "shop-prod", "protocol": "postgres", "address": "127.0.0.1:1"}),
                ("principals", {"name": "ana@example.com", "groups": ["analysts"]}),
                ("policies", {"name": "mask-pii", "effect": "allow", "match": {"actions": ["read"]}}),
            ):
                assert client.post(f"/v1/{kind}", json=document).status_code == 201
            yield Served(url, client.headers["Authorization"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_answer_is_as_described(served: Served) -> None:
    """All checks but one: what is well-formed may still be refused, since names in documents must exist, a cursor must
    be one that was given out, and a change must say what it is made to."""
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json").exclude(path_regex=ENDS_OR_ENDLESS)
    wrong: list[str] = []
    tried = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            case.call_and_validate(
                headers={"Authorization": served.token}, timeout=30, excluded_checks=[positive_data_acceptance]
            )

        try:
            check()
        except* AssertionError as group:
            wrong += [f"{operation.label}: {error}" for error in _leaves(group)]
        tried += 1
    assert not wrong, "\n\n".join(wrong)
    assert tried > 40


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
