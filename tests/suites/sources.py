"""The drivers' source distributions, which carry their tests, and an environment to run these tests in.

Both come from the package index, through pip and uv, in the versions that the project's own environment has, and
stay in a cache outside the project.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from gateway.testing.servers.places import locked

_PROJECT = Path(__file__).parents[2]
_SECONDS = 900


class SourceUnavailable(Exception):
    """The package index could not be asked, or did not have it."""


def cache_folder() -> Path:
    """Where downloads are kept: ``QUERYGATE_SUITES_CACHE``, or a folder in the user's cache."""
    named = os.environ.get("QUERYGATE_SUITES_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(named).absolute() if named else base / "querygate" / "suites"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pinned(distribution: str) -> str:
    """``name==version`` as installed here."""
    return f"{distribution}=={importlib.metadata.version(distribution)}"


def unpack_source(requirement: str, target: Path) -> Path:
    """Unpack the source distribution of ``name==version`` into ``target``; its one folder."""
    with tarfile.open(_source(requirement)) as archive:
        archive.extractall(target, filter="data")
    (folder,) = target.iterdir()
    return folder


def environment(requirements: Iterable[str]) -> Path:
    """The Python of an environment with exactly these requirements and what they need; made once."""
    wanted = "\n".join(sorted(requirements))
    name = hashlib.sha256(f"{sys.version}\n{wanted}".encode()).hexdigest()[:16]
    folder = cache_folder() / f"environment-{name}"
    python = folder / "bin" / "python"
    with locked(cache_folder(), f"environment-{name}"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run([_uv(), "venv", "--quiet", "--python", sys.executable, str(folder)])
            _run([_uv(), "pip", "install", "--quiet", "--python", str(python), *wanted.splitlines()])
            (folder / "complete").touch()
    return python


def _source(requirement: str) -> Path:
    name, _, version = requirement.partition("==")
    folder = cache_folder() / f"{name}-{version}"
    with locked(folder.parent, folder.name):
        if not any(folder.glob("*.tar.gz")):
            folder.mkdir(exist_ok=True)
            # uv has no download command; pip's prepares metadata, but builds nothing. Only the driver is wanted as
            # source: "all" would build Cython and setuptools too, which takes minutes.
            pip = [_uv(), "tool", "run", "--quiet", "--python", sys.executable, "pip"]
            download = ["download", "--quiet", "--no-deps", f"--no-binary={name}", f"--dest={folder}"]
            _run([*pip, "--disable-pip-version-check", *download, requirement])
    return next(folder.glob("*.tar.gz"))


def _uv() -> str:
    for candidate in (os.environ.get("UV"), shutil.which("uv"), str(_PROJECT / ".tools" / "bin" / "uv")):
        if candidate and Path(candidate).exists():
            return candidate
    raise SourceUnavailable("no uv: run `make setup`, or put uv on the PATH")


def _run(command: list[str]) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, env=inherited, check=False
    )
    if done.returncode:
        raise SourceUnavailable(f"{' '.join(command[:4])} … failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")
