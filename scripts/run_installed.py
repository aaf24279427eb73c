"""Runs a module of this folder against the installed package: ``python scripts/run_installed.py benchmarks --help``.

``python -m`` would put this folder first on the path, and with it the sources; here it comes last, so that what is
imported is what was installed: the wheel, with everything compiled.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the module that the first argument names."""
    if len(sys.argv) < 2:
        sys.exit("usage: run_installed.py MODULE [ARGUMENT ...]")
    del sys.argv[0]
    del sys.path[0]  # this script's own folder
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
