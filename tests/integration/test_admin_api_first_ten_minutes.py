"""From nothing to masked e-mails on three kinds of databases: the lines of docs/admin-api.md, run as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers.ports import free_port
from gateway.testing.shop import Shop
from gateway.testing.shop_documents import DocumentShop
from gateway.testing.shop_mariadb import MariaDbShop

PAGE = Path(__file__).parents[2] / "docs" / "admin-api.md"
SECTION = "The first ten minutes"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The section's code in one language."""
    _, _, rest = PAGE.read_text().partition(f"\n## {SECTION}\n")
    assert rest, f"the page has no section {SECTION!r}"
    return [text for found, text in BLOCK.findall(rest.partition("\n## ")[0]) if found == language]


def test_the_page_s_own_lines_lead_to_masked_e_mails(
    tmp_path: Path, shop_database: Shop, mariadb_shop: MariaDbShop, mongo_shop: DocumentShop
) -> None:
    started = time.monotonic()
    ports = {
        8080: free_port(),
        6432: free_port(),
        6033: free_port(),
        27018: free_port(),
        5432: shop_database.server.port,
        3306: mariadb_shop.server.port,
        27017: mongo_shop.server.port,
    }
    assert {shop_database.user, mariadb_shop.user, mongo_shop.user} == {"gateway"}
    assert (shop_database.database, mariadb_shop.database, mongo_shop.database) == ("shop", "shop", "shop")
    places = re.compile(r"(127\.0\.0\.1:|port=|127\.0\.0\.1\", )(\d+)")

    def adapted(text: str) -> str:
        return places.sub(lambda found: f"{found[1]}{ports[int(found[2])]}", text)

    (configuration,) = blocks("yaml")
    (tmp_path / "querygate.yaml").write_text(adapted(configuration))
    (tmp_path / "lines.sh").write_text("set -eu\n" + adapted("\n".join(blocks("sh"))))
    secrets = {
        "QUERYGATE_SECRET_SHOP": shop_database.password,
        "QUERYGATE_SECRET_CRM": mariadb_shop.password,
        "QUERYGATE_SECRET_DOCS": mongo_shop.password,
    }
    programs = f"{shop_database.server.bindir}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    with GatewayProcess.start(tmp_path / "querygate.yaml", environment=secrets, timeout=120) as gateway:
        done = subprocess.run(
            ["bash", "lines.sh"],
            cwd=tmp_path,
            env={**os.environ, "PATH": programs},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        log = gateway.log()
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log}"
    assert all(line.startswith("{") or line == "ready" for line in log.splitlines()), "one form of log, and no chatter"
    *lines, events = done.stdout.splitlines()
    rows = [re.split(r"[|\t]", line) for line in lines if not line.startswith("{") and re.search(r"[|\t]", line)]
    names = shop_database.psql("SELECT full_name FROM customers ORDER BY id LIMIT 3").split("\n")
    assert [name for name, _ in rows] == 3 * [name for name in names if name][:3], done.stdout
    assert all("@" not in email for _, email in rows), f"e-mails are masked: {rows}"
    (event, *_) = json.loads(events)["items"]
    assert event["query_info"]["query_string"] == "SELECT full_name, email FROM customers ORDER BY id LIMIT 3"
    assert event["unmapped"]["masked_cells"] == 3
    assert time.monotonic() - started < 600, "under ten minutes"
