"""The admin API on a real socket: TLS wherever passwords go over a network, in clear only where that was asked for."""

from __future__ import annotations

import dataclasses
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme

from admin_api.server import AdminService
from gateway.config import Config, TlsMode, TlsSettings, load_config
from gateway.control.plane import LocalDataPlane
from gateway.errors import ConfigurationError
from gateway.testing.servers.ports import free_port
from tests.fixtures.admin import PASSWORD, AdminApi

EVERYWHERE = "0.0.0.0"


def configuration(folder: Path, authority: trustme.CA, **control_plane: Any) -> Config:
    """One with a certificate for this machine."""
    pair = authority.issue_cert("127.0.0.1")
    pair.private_key_pem.write_to_path(str(folder / "gw.key"))
    (folder / "gw.key").chmod(0o600)
    for index, blob in enumerate(pair.cert_chain_pems):
        blob.write_to_path(str(folder / "gw.pem"), append=index > 0)
    path = folder / "querygate.yaml"
    config = {
        "admin_api": f"{EVERYWHERE}:{free_port()}",
        "tls": {"certificate": "gw.pem", "key": "gw.key"},
        "control_plane": control_plane,
    }
    path.write_text(json.dumps(config))
    return load_config(path, environ={})


@asynccontextmanager
async def serving(config: Config, beside: AdminApi) -> AsyncIterator[str]:
    """What it says that it serves."""
    assert config.admin_api is not None
    service = AdminService(config, LocalDataPlane(beside.assembly, stopping=lambda: False), config.admin_api)
    try:
        yield await service.start()
    finally:
        await service.stop()


async def log_in_change_and_read(api: httpx2.AsyncClient, config: Config) -> None:
    token = (config.data_dir / "bootstrap-token").read_text().strip()
    first = await api.post("/v1/auth/bootstrap", json={"token": token, "name": "root", "password": PASSWORD})
    assert first.status_code == 201, first.text
    login = await api.post("/v1/auth/login", json={"name": "root", "password": PASSWORD})
    assert login.status_code == 200, login.text
    api.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
    made = await api.post("/v1/principals", json={"name": "ana@example.com", "groups": ["analysts"]})
    assert made.status_code == 201, made.text
    read = await api.get("/v1/principals/ana@example.com")
    assert (read.status_code, read.json()["groups"]) == (200, ["analysts"])


def test_over_a_network_it_is_https(tmp_path: Path, bare_api: AdminApi) -> None:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    config = configuration(tmp_path, authority)
    assert config.admin_api is not None
    port = config.admin_api[1]

    async def story() -> None:
        async with serving(config, bare_api) as told:
            assert told == f"admin API on https://{EVERYWHERE}:{port}"
            async with httpx2.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=trusting) as api:
                await log_in_change_and_read(api, config)
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as in_clear:
                with pytest.raises(httpx2.TransportError):
                    await in_clear.get("/health")
            async with httpx2.AsyncClient(base_url=f"https://127.0.0.1:{port}") as stranger:
                with pytest.raises(httpx2.ConnectError, match="certificate"):
                    await stranger.get("/health")

    bare_api.run(story())


def test_behind_a_proxy_that_ends_tls_it_is_http(tmp_path: Path, bare_api: AdminApi) -> None:
    config = configuration(tmp_path, trustme.CA(), plaintext=True)
    assert config.admin_api is not None
    port = config.admin_api[1]

    async def story() -> None:
        async with serving(config, bare_api) as told:
            assert told == f"admin API on http://{EVERYWHERE}:{port}"
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as api:
                await log_in_change_and_read(api, config)

    bare_api.run(story())


def test_in_clear_it_does_not_start_unasked(tmp_path: Path, bare_api: AdminApi) -> None:
    config = dataclasses.replace(configuration(tmp_path, trustme.CA()), tls=TlsSettings(TlsMode.DISABLE))

    async def story() -> None:
        async with serving(config, bare_api):
            pass

    with pytest.raises(ConfigurationError, match="in clear"):
        bare_api.run(story())
