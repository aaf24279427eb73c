"""Debian packages without root: downloaded and unpacked into a folder, not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from gateway.testing.servers.errors import ServerUnavailable


def multiarch() -> str:
    """The name of the library folder for this machine, such as ``x86_64-linux-gnu``."""
    return str(sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu")


def depends(package: str) -> list[str]:
    """The packages that ``package`` depends on directly, without the C library, which must be the machine's own."""
    told = _run(["apt-cache", "depends", "--important", package], Path("/"))
    names = [line.split()[1] for line in told.splitlines() if line.lstrip(" |").startswith("Depends: ")]
    return [name for name in names if not name.startswith(("<", "libc6", "libgcc", "libstdc++"))]


def fetch(packages: Sequence[str], target: Path) -> None:
    """Download ``packages`` (not what they depend on) and unpack them into ``target``."""
    scratch = target / "download"
    scratch.mkdir()
    try:
        _run(["apt-get", "download", *packages], scratch)
        for package in sorted(scratch.glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(package), str(target)], scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    target.chmod(0o755)


def _run(command: Sequence[str], folder: Path) -> str:
    """Run a program of the package manager and return what it prints."""
    if shutil.which(command[0]) is None:
        raise ServerUnavailable(f"{command[0]} is missing")
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServerUnavailable(f"{command[0]} took longer than 300 s") from None
    if done.returncode:
        raise ServerUnavailable(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout
