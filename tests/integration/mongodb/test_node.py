"""Node's driver, which shares no code with those of Python, gets to see through the gateway what it sees directly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from gateway.testing.servers.places import locked
from gateway.testing.shop_documents import DocumentShop
from tests.fixtures.missing import missing
from tests.fixtures.mongodb import MongoGateway
from tests.suites.sources import cache_folder

HERE = Path(__file__).with_name("node")


@pytest.fixture(scope="module")
def stories() -> Path:
    """The script, beside the packages that the lock file names."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        missing("node and npm are missing")
    folder = cache_folder() / "node-mongodb"
    with locked(folder.parent, folder.name):
        fresh = (HERE / "package-lock.json").read_bytes()
        installed = folder / "installed"
        if not installed.exists() or installed.read_bytes() != fresh:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(HERE, folder)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
            subprocess.run(command, stdin=subprocess.DEVNULL, check=True, capture_output=True, timeout=200)
            installed.write_bytes(fresh)
        shutil.copy(HERE / "stories.mjs", folder)
    return folder / "stories.mjs"


@pytest.fixture
def database(mongo_shop: DocumentShop) -> Iterator[str]:
    name = f"node_{ObjectId()}"
    yield name
    with mongo_shop.server.client() as direct:
        direct.drop_database(name)


def tell(stories: Path, uri: str, database: str, shop: DocumentShop) -> dict[str, Any]:
    """What each story got to see, on a database with nothing but people in it."""
    with shop.server.client() as direct:
        direct.drop_database(database)
        direct[database].people.insert_many(
            [{"_id": n, "name": f"Person {n}", "team": "red" if n % 3 else "blue", "paid": n / 7} for n in range(60)]
        )
    command = ["node", str(stories), uri, database]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        told |= json.loads(line)
    return told


@pytest.mark.timeout(240)
def test_nodes_driver_sees_what_it_sees_directly(
    stories: Path, mongo_gateway: MongoGateway, mongo_shop: DocumentShop, database: str
) -> None:
    server = mongo_shop.server
    directly = tell(stories, server.uri(server.superuser, server.password), database, mongo_shop)
    assert directly.keys() == {"crud", "indexes", "cursors", "transactions", "changes", "files"}
    for options in ("", "compressors=zlib"):
        through = tell(stories, mongo_gateway.uri(options=options), database, mongo_shop)
        assert through == directly
