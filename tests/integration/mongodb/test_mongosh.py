"""mongosh, the shell that people have: a session in it is answered through the gateway as directly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from gateway.testing.servers import ServerUnavailable, npm
from gateway.testing.servers.account import Account
from gateway.testing.servers.places import cache_folder, prepared
from gateway.testing.shop_documents import DocumentShop
from tests.fixtures.missing import missing
from tests.fixtures.mongodb import ANALYST, RESOURCE, MongoGateway

MONGOSH = "mongosh@2.5.10"
SESSION = Path(__file__).with_name("mongosh_session.js")

pytestmark = pytest.mark.timeout(400)  # the first run fetches the shell


@pytest.fixture(scope="module")
def mongosh() -> Path:
    """The program, as the Node registry has it."""
    try:
        if shutil.which("node") is None:
            raise ServerUnavailable("node is missing")
        folder = cache_folder(Account.present())
        found = prepared(folder, f"npm-{MONGOSH}", lambda target: npm.install(MONGOSH, target))
    except ServerUnavailable as error:
        missing(str(error))
    return found / "node_modules" / ".bin" / "mongosh"


def run(
    mongosh: Path, home: Path, *arguments: str, text: str = "", gateway: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the shell, or with ``gateway`` (its folder) ``querygate connect``, which finds the shell on the path."""
    command = [str(mongosh)] if gateway is None else [sys.executable, "-m", "gateway.cli", "connect"]
    path = f"{mongosh.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*command, *arguments],
        input=text,
        env={**os.environ, "PATH": path, "HOME": str(home)},
        cwd=gateway or home,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def session(mongosh: Path, home: Path, uri: str, database: str) -> dict[str, Any]:
    """How each step ended."""
    server, _, options = uri.partition("/?")
    done = run(mongosh, home, f"{server}/{database}?{options}", "--quiet", "--norc", "--file", str(SESSION))
    told: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        told |= json.loads(line)
    return told


def test_a_session_is_answered_as_directly(
    mongosh: Path, mongo_gateway: MongoGateway, mongo_shop: DocumentShop, tmp_path: Path
) -> None:
    server, database = mongo_shop.server, f"mongosh_{ObjectId()}"
    direct = session(mongosh, tmp_path, server.uri(), database)
    assert direct["count"] == [100, 300]
    assert session(mongosh, tmp_path, mongo_gateway.uri(), database) == direct


def test_what_a_person_types(mongosh: Path, secure_mongo_gateway: MongoGateway, tmp_path: Path) -> None:
    uri = secure_mongo_gateway.uri(ANALYST).replace("/?", "/shop?")
    typed = "show collections\ndb.customers.find({}, {_id: 1, 'contact.email': 1}).sort({_id: 1})\nit\nexit\n"
    shown = run(mongosh, tmp_path, uri, "--quiet", "--norc", text=typed).stdout
    assert "customers" in shown
    assert 'Type "it" for more' in shown
    assert "_id: 40" in shown
    assert shown.count("email: '****'") == 40
    assert "@example.com" not in shown
    refused = run(
        mongosh,
        tmp_path,
        *(uri, "--quiet", "--norc", "--eval"),
        "try { db.customers.aggregate([{$out: 'mine'}]) } catch (error) { print(error.message) }",
    )
    assert "access denied" in refused.stdout
    assert "reference" in refused.stdout


def test_connect_opens_it_with_a_token_of_its_own(
    mongosh: Path,
    secure_mongo_gateway: MongoGateway,
    mongo_shop: DocumentShop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", mongo_shop.password)
    monkeypatch.setenv("TEST_TOKEN", secure_mongo_gateway.token)
    arguments = (RESOURCE, "--config", "querygate.yaml", "--principal", ANALYST, "--", "--quiet", "--norc")
    typed = "use shop\ndb.customers.countDocuments()\n"
    done = run(mongosh, tmp_path, *arguments, text=typed, gateway=secure_mongo_gateway.folder)
    assert "200" in done.stdout
