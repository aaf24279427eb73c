"""Gets uv, the only tool that the project needs beside Python: ``python3 scripts/bootstrap.py FOLDER``.

Uses the standard library only, needs no root and installs nothing outside FOLDER. It asks pip for the wheel where there
is a pip, and otherwise the package index itself, whose SHA-256 it checks.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

VERSION = "0.13.9"
_LOCK = Path(__file__).resolve().parents[1] / "uv.lock"
_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_JSON = "application/vnd.pypi.simple.v1+json"
_SECONDS = 120


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this script may meet any Python
        sys.exit("Python 3.11 or newer is needed; this is " + platform.python_version())
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = Path(sys.argv[1]) / "bin" / "uv"
    if program.exists() and _version(program) == VERSION:
        return 0
    with tempfile.TemporaryDirectory(prefix="bootstrap-") as scratch:
        wheel = _by_pip(Path(scratch)) or _from_index(Path(scratch))
        _unpack(wheel, program)
    print(f"{program}: uv {_version(program)}")
    return 0


def _by_pip(folder: Path) -> Path | None:
    """Pip knows the user's own index, mirrors, proxies and certificates."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", f"uv=={VERSION}"]
    done = subprocess.run(
        [*command, "--no-deps", "--only-binary=:all:", "--dest", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return next(folder.glob("uv-*.whl"), None) if done.returncode == 0 else None


def _from_index(folder: Path) -> Path:
    index = next((os.environ[name] for name in _INDEX_VARIABLES if os.environ.get(name)), None) or _locked_index()
    page = f"{index.rstrip('/')}/uv/"
    files = json.loads(_get(page, accept=_JSON))["files"]
    for file in sorted(files, key=lambda entry: str(entry["filename"])):
        name = file["filename"]
        if name.startswith(f"uv-{VERSION}-") and _fits(name) and not file.get("yanked"):
            content = _get(urllib.parse.urljoin(page, file["url"]))
            if hashlib.sha256(content).hexdigest() != file["hashes"]["sha256"]:
                sys.exit(f"{name}: the checksum is not the one that {page} states")
            wheel = folder / str(name)
            wheel.write_bytes(content)
            return wheel
    sys.exit(f"{page} has no uv {VERSION} for {platform.machine()}")


def _locked_index() -> str:
    """The index that the lock file names: everything else comes from there, too."""
    found = re.search(r'source = \{ registry = "([^"]+)" \}', _LOCK.read_text("utf-8"))
    return found[1] if found else sys.exit(f"{_LOCK} names no package index; set {_INDEX_VARIABLES[0]}")


def _fits(name: str) -> bool:
    """Whether one of the tags at the end of a wheel's name is for this machine (PEP 425, PEP 600, PEP 656)."""
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    tags = name.removesuffix(".whl").rpartition("-")[2].split(".")
    return name.endswith(".whl") and any(tag.startswith(libc) and tag.endswith(platform.machine()) for tag in tags)


def _get(address: str, *, accept: str = "*/*") -> bytes:
    if not address.startswith("https://"):
        sys.exit(f"{address}: only https is used")
    certificates = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or os.environ.get("PIP_CERT"))
    request = urllib.request.Request(address, headers={"Accept": accept, "User-Agent": "querygate-bootstrap"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=_SECONDS, context=certificates) as answer:  # noqa: S310
        return bytes(answer.read())


def _unpack(wheel: Path, program: Path) -> None:
    """Take the one program out of the wheel; whoever looks sees the old one or the new one."""
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(".new")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        fresh.write_bytes(archive.read(name))
    fresh.chmod(0o755)
    fresh.replace(program)


def _version(program: Path) -> str:
    try:
        told = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
    return told.split()[1] if len(told.split()) > 1 else ""


if __name__ == "__main__":
    sys.exit(main())
