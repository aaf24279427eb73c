"""``/docs``: a page of our own, that needs and tells nobody else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.admin import AdminApi


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(api: AdminApi) -> None:
    page = api.get("/docs", token="")
    assert page.status_code == 200
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sorted(parts) == ["docs/page.css", "docs/page.js"]
    for part in parts:
        found = api.get(f"/{part}", token="")
        assert found.status_code == 200
        assert not re.search(r"https?://", found.text)
        assert "script-src 'self'" in found.headers["content-security-policy"]
    assert api.get("/docs/page.py", token="").status_code == 422
    assert "innerHTML" not in api.get("/docs/page.js", token="").text, "what the API says is shown as text only"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_its_script_parses(api: AdminApi, tmp_path: Path) -> None:
    script = tmp_path / "page.js"
    script.write_text(api.get("/docs/page.js", token="").text)
    subprocess.run(["node", "--check", str(script)], check=True, timeout=30)


def test_the_description_is_complete(api: AdminApi) -> None:
    document = api.get("/openapi.json", token="").json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = f"{method} {path}"
            assert operation.get("description"), f"{place} says nothing"
            assert operation.get("tags"), place
            if "requestBody" in operation:
                (content,) = operation["requestBody"]["content"].values()
                assert content["schema"], place
            if path.startswith("/v1") and "x-role" in operation:
                assert operation["responses"]["401"]["content"] == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
                }, place


def test_failures_have_one_form(api: AdminApi) -> None:
    for answer in (
        api.get("/nothing", token=""),
        api.request("PATCH", "/v1/resources"),
        api.request("POST", "/v1/resources", content=b"{", headers={"Content-Type": "application/json"}),
        api.request("POST", "/v1/resources", content=b"[]", headers={"Content-Type": "application/json"}),
        api.request("POST", "/v1/resources", content=b" " * (5 << 20), headers={"Content-Type": "application/json"}),
        api.get("/v1/resources", limit=0),
        api.get("/v1/resources/none"),
    ):
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["type"] == f"urn:querygate:problem:{problem['code']}"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    allowed = api.request("PATCH", "/v1/resources").headers["allow"]
    assert allowed == "GET, POST", "every method of the path, not of its first route"
