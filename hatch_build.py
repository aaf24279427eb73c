"""Builds the optional accelerators (`*.pyx`) with Cython.

The product runs without them: every accelerated function has a plain-Python twin that is its reference. So a machine
without a C compiler gets a working, slower gateway and a warning, unless QUERYGATE_REQUIRE_COMPILED=1 asks for an error.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE_ROOTS = {"gateway": "gateway", "plugins/postgres/gateway_postgres": "gateway_postgres"}


class AcceleratorBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile every accelerator in place; a wheel then takes the shared objects along as artifacts."""
        root = Path(self.root)
        sources = [source for folder in SOURCE_ROOTS for source in sorted((root / folder).rglob("*.pyx"))]
        if not sources:
            return
        try:
            for source in sources:
                _compile(root, source)
        except Exception as error:  # noqa: BLE001 - the toolchain raises anything; the fallback is complete
            if os.environ.get("QUERYGATE_REQUIRE_COMPILED") == "1":
                raise
            self.app.display_warning(f"accelerators not built ({error}); the pure-Python versions are used")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def _compile(root: Path, source: Path) -> None:
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    folder, package = next((f, p) for f, p in SOURCE_ROOTS.items() if source.is_relative_to(root / f))
    module = ".".join((package, *source.relative_to(root / folder).with_suffix("").parts))
    with tempfile.TemporaryDirectory(prefix="querygate-build-") as scratch:
        extension = Extension(module, [str(source)], extra_compile_args=["-O3"])
        modules = cythonize([extension], build_dir=scratch, quiet=True, language_level=3)
        command = build_ext(Distribution({"name": "querygate", "ext_modules": modules}))
        command.build_lib = command.build_temp = scratch
        command.ensure_finalized()
        command.run()
        built = Path(command.get_ext_fullpath(module))
        shutil.copy2(built, source.parent / built.name)
    sys.stderr.write(f"querygate: built {module}\n")
