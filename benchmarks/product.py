"""The gateway as users get it: from a wheel, in which the relay is compiled.

An editable install runs the relay as plain Python. So a wheel is built from the sources, once for each state of them,
and unpacked where ``PYTHONPATH`` finds it before the sources; everything it needs comes from the present environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from gateway.testing.servers import ServerUnavailable

_ROOT = Path(__file__).parent.parent
_PLACE = _ROOT / ".bench"
_SOURCES = ("gateway", "admin_api", "plugins/postgres/gateway_postgres")


def unpacked_wheel() -> Path:
    """A folder with the product as a wheel of the present sources has it; built if that was not done before."""
    target = _PLACE / _digest()
    if target.exists():
        return target
    scratch = _PLACE / f"{target.name}.{os.getpid()}.partial"
    shutil.rmtree(_PLACE, ignore_errors=True)
    scratch.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(scratch / "wheel")],
        cwd=_ROOT,
        env={**os.environ, "QUERYGATE_REQUIRE_COMPILED": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise ServerUnavailable(f"the wheel cannot be built; --source measures without one\n{done.stdout}{done.stderr}")
    (wheel,) = (scratch / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(scratch / "product")
    (scratch / "product").rename(target)
    shutil.rmtree(scratch)
    return target


def _digest() -> str:
    digest = hashlib.sha256(sys.version.encode())
    files = [_ROOT / "pyproject.toml", _ROOT / "hatch_build.py"]
    for folder in _SOURCES:
        files += sorted(file for kind in ("*.py", "*.pyx", "*.sql") for file in (_ROOT / folder).rglob(kind))
    for file in files:
        content = file.read_bytes()
        digest.update(b"%s %d\n" % (file.relative_to(_ROOT).as_posix().encode(), len(content)))
        digest.update(content)
    return digest.hexdigest()[:16]
