"""A control plane, the gateway beside it, and one that is linked to it: where statements can wait for people."""

from __future__ import annotations

import json
import re
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from benchmarks.bed import Bed, Route
from benchmarks.configuration import PRINCIPAL, Variant, configuration
from benchmarks.data import RESOURCE
from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers.ports import free_port

_SECTIONS: Final = ("resources", "principals", "classifications", "policies")
_OWNER: Final = "bench-owner"
"""Administers the control plane, and approves."""
_PATIENCE: Final = 120.0
"""Seconds for what takes a few."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """``own`` leads through the gateway in the control plane's process, ``linked`` through the other one."""

    own: Route
    linked: Route
    control_pid: int
    api: httpx2.Client

    def waiting(self) -> int:
        """How many statements wait for people."""
        found = re.search(r"^querygate_approvals_waiting (\d+)", self.api.get("/metrics").text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def pending(self) -> list[str]:
        """The ids of the requests, the newest first."""
        answer = self.api.get("/v1/approvals?state=pending")
        answer.raise_for_status()
        return [str(item["id"]) for item in answer.json()["items"]]

    def approve(self, request: str) -> None:
        """Say yes."""
        _post(self.api, f"/v1/approvals/{request}/decision", {"decision": "approve"})

    def wait_for(self, count: int) -> None:
        """Until so many statements wait. Raises ``TimeoutError``."""
        deadline = time.monotonic() + _PATIENCE
        while self.waiting() != count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.waiting()} statements wait, not {count}")
            time.sleep(0.1)


def start_controlled(bed: Bed, variant: Variant, stack: ExitStack) -> Controlled:
    """Both gateways with the variant's documents; they end with ``stack``."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="querygate-bench-")))
    document: dict[str, Any] = json.loads(configuration(variant, port=0, upstream_port=bed.direct.port))
    sections = {name: document.pop(name) for name in _SECTIONS}
    sections["resources"][0]["credentials"]["password"] = bed.direct.password
    for principal in sections["principals"]:
        del principal["token"]
    sections["principals"].append({"name": _OWNER, "kind": "human", "groups": ["dba"]})
    document.pop("approvals", None)
    port, api_port = free_port(), free_port()
    control = _start(
        folder / "control",
        document | {"listeners": _listen(port), "admin_api": f"127.0.0.1:{api_port}", "control_plane": {}},
        (port, api_port),
        stack,
    )
    url = f"http://127.0.0.1:{api_port}"
    api = stack.enter_context(httpx2.Client(base_url=url, timeout=60))
    bootstrap = (folder / "control" / "data" / "bootstrap-token").read_text().strip()
    owner = {"token": bootstrap, "name": _OWNER, "password": "not for anybody's production"}
    api.headers["Authorization"] = f"Bearer {_post(api, '/v1/auth/bootstrap', owner)['access_token']}"
    _post(api, "/v1/apply", {"sections": sections})
    token = str(_post(api, "/v1/tokens", {"principal": PRINCIPAL})["token"])
    credential = str(_post(api, "/v1/gateways", {"name": "bench"})["credential"])
    linked_port, health_port = free_port(), free_port()
    linked = _start(
        folder / "linked",
        document
        | {
            "listeners": _listen(linked_port),
            "admin_api": f"127.0.0.1:{health_port}",
            "control": {"url": url, "credential": {"env": "CREDENTIAL"}},
        },
        (linked_port, health_port),
        stack,
        CREDENTIAL=credential,
    )
    deadline = time.monotonic() + _PATIENCE
    while httpx2.get(f"http://127.0.0.1:{health_port}/health").status_code != httpx2.codes.OK:
        if time.monotonic() > deadline:
            raise TimeoutError("the linked gateway does not become ready")
        time.sleep(0.1)
    return Controlled(
        Route("beside the control plane", port, PRINCIPAL, RESOURCE, token, control.pid),
        Route("linked", linked_port, PRINCIPAL, RESOURCE, token, linked.pid),
        control.pid,
        api,
    )


def _listen(port: int) -> dict[str, str]:
    return {"postgres": f"127.0.0.1:{port}"}


def _start(
    folder: Path, document: dict[str, Any], ports: tuple[int, ...], stack: ExitStack, **environment: str
) -> GatewayProcess:
    folder.mkdir()
    path = folder / "querygate.yaml"
    path.write_text(json.dumps(document))
    return stack.enter_context(GatewayProcess.start(path, ports=ports, environment=environment, timeout=_PATIENCE))


def _post(api: httpx2.Client, path: str, content: object) -> dict[str, Any]:
    answer = api.post(path, json=content)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
