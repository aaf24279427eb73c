"""The configuration that the chart renders is one that a control plane and a gateway run with, as the pods would.

Here they listen on loopback, where the admin API is without TLS.
"""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
from pathlib import Path

import httpx2
import psycopg
import pytest
import trustme

from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import PostgresServer
from gateway.testing.servers.ports import free_port
from gateway.testing.shop import Shop
from tests.fixtures.admin import fresh_store
from tests.fixtures.control_plane import shop_sections
from tests.fixtures.gateway import ANALYST, RESOURCE, default_policies
from tests.fixtures.waiting import eventually
from tests.packaging.chart import render

PASSWORD = "a long pass phrase"
VALUES = {
    "databaseSecrets": [
        {"variable": "QUERYGATE_SECRET_SHOP", "secretName": "shop", "key": "password"},
        {"variable": "QUERYGATE_SECRET_HOOK", "secretName": "hook", "key": "secret"},
    ],
    "controlPlane": {
        "approvals": {
            "url": "https://querygate.example/approvals",
            "webhooks": [{"url": "https://hooks.example", "secret": {"env": "QUERYGATE_SECRET_HOOK"}}],
        }
    },
    "gateway": {
        "tls": {"secretName": "gateway-tls"},
        "maskingKeySecret": "masking",
        "drainSeconds": 2,
        "listeners": {"mysql": {"enabled": False}, "mongodb": {"enabled": False}},
        "limits": {"max_sessions": 50},
    },
}


class Pod:
    """What the volumes of a pod hold, in a folder of its own; in the pod it is ``/etc/querygate`` and so on."""

    def __init__(self, folder: Path, text: str, changes: dict[str, str]) -> None:
        self.folder = folder
        (folder / "tls").mkdir(parents=True)
        (folder / "control-ca").mkdir()
        for old, new in {
            "/etc/querygate": str(folder),
            "/var/lib/querygate": str(folder / "volume"),
            **changes,
        }.items():
            assert old in text or old == "/etc/querygate", f"{old} is not in the configuration"
            text = text.replace(old, new)
        self.config = folder / "querygate.yaml"
        self.config.write_text(text)

    def use_certificate(self, authority: trustme.CA) -> None:
        pair = authority.issue_cert("127.0.0.1", "localhost")
        (self.folder / "tls" / "tls.crt").write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
        (self.folder / "tls" / "tls.key").write_bytes(pair.private_key_pem.bytes())


@pytest.mark.timeout(180)
def test_a_release_masks_what_its_control_plane_says(
    tmp_path: Path, postgres_server: PostgresServer, shop_database: Shop
) -> None:
    manifests = render(VALUES)
    text = {name: item["data"]["querygate.yaml"] for (kind, name), item in manifests.items() if kind == "ConfigMap"}
    api, port, health = free_port(), free_port(), free_port()
    authority = trustme.CA()

    plane = Pod(tmp_path / "plane", text["qg-gateway-control-plane"], {"0.0.0.0:8080": f"127.0.0.1:{api}"})
    plane.use_certificate(authority)
    environment = {
        "QUERYGATE_STORE_URL": fresh_store(postgres_server),
        "QUERYGATE_STORE_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "QUERYGATE_SECRET_SHOP": shop_database.password,
        "QUERYGATE_SECRET_HOOK": secrets.token_urlsafe(24),
    }
    pod = manifests["Deployment", "qg-gateway-control-plane"]["spec"]["template"]["spec"]
    arguments = [*pod["initContainers"][0]["args"][:-1], str(plane.config)]
    migrated = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stderr

    gateway = Pod(
        tmp_path / "gateway",
        text["qg-gateway"],
        {
            "0.0.0.0:8080": f"127.0.0.1:{health}",
            "0.0.0.0:6432": f"127.0.0.1:{port}",
            "https://qg-gateway-control-plane.db.svc:8080": f"http://127.0.0.1:{api}",
        },
    )
    gateway.use_certificate(authority)
    authority.cert_pem.write_to_path(gateway.folder / "control-ca" / "ca.crt")
    trust = authority.cert_pem.bytes().decode()

    with GatewayProcess.start(plane.config, environment=environment) as running:
        client = httpx2.Client(base_url=f"http://127.0.0.1:{api}", timeout=30)
        with client:
            assert client.get("/health").status_code == 200, "the control plane's pod becomes ready"
            token = (plane.folder / "volume" / "data" / "bootstrap-token").read_text().strip()
            owner = client.post("/v1/auth/bootstrap", json={"token": token, "name": "root", "password": PASSWORD})
            assert owner.status_code == 201, owner.text
            client.headers["Authorization"] = f"Bearer {owner.json()['access_token']}"
            sections = shop_sections(shop_database, default_policies())
            sections["resources"][0]["credentials"]["password"] = {"env": "QUERYGATE_SECRET_SHOP"}
            applied = client.post("/v1/apply", json={"sections": sections})
            assert applied.status_code == 200, applied.text
            made = client.post("/v1/gateways", json={"name": "qg-gateway-0"})
            assert made.status_code == 201, made.text
            (gateway.folder / "credential").write_text(made.json()["credential"])
            token = client.post("/v1/tokens", json={"principal": ANALYST}).json()["token"]

            shop = {"QUERYGATE_SECRET_SHOP": shop_database.password}
            with GatewayProcess.start(gateway.config, environment=shop) as process:
                eventually(lambda: httpx2.get(f"http://127.0.0.1:{health}/health").status_code == 200)
                (gateway.folder / "root.crt").write_text(trust)
                conninfo = (
                    f"host=127.0.0.1 port={port} dbname={RESOURCE} user='{ANALYST}' password='{token}'"
                    f" sslmode=verify-full sslrootcert={gateway.folder / 'root.crt'}"
                )
                with psycopg.connect(conninfo) as connection:
                    rows = connection.execute("SELECT email FROM customers LIMIT 5").fetchall()
                assert len(rows) == 5
                assert all("@" not in str(email) for (email,) in rows), "masked"
                assert httpx2.get(f"http://127.0.0.1:{health}/metrics").status_code == 200
                assert process.stop() == 0
        assert running.running()
