"""Compiles what is on the hot path.

Kernels (`*.pyx`) are built with Cython, in place: each has a plain-Python twin that is its reference. In a wheel the
modules of `TYPED` are compiled as well, by mypyc and from the very same sources; an editable install runs those
sources as they are, so that nobody edits a file and runs an outdated copy of it.

The product runs without any of it. A machine without a C compiler gets a working, slower gateway and a warning, unless
QUERYGATE_REQUIRE_COMPILED=1 asks for an error; QUERYGATE_PURE_PYTHON=1 compiles nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE_ROOTS = {
    "gateway": "gateway",
    "plugins/postgres/gateway_postgres": "gateway_postgres",
    "plugins/mysql/gateway_mysql": "gateway_mysql",
    "plugins/mongodb/gateway_mongodb": "gateway_mongodb",
}
TYPED = (
    "gateway/audit/appender.py",
    "gateway/audit/fastpath.py",
    "gateway/audit/intake.py",
    "gateway/audit/log.py",
    "gateway/audit/records.py",
    "gateway/audit/tree.py",
    "gateway/audit/writer.py",
    "gateway/domain/audit.py",
    "gateway/domain/recorded.py",
    "gateway/domain/ruling.py",
    "gateway/guardrails/changes.py",
    "gateway/protocol/core.py",
    "gateway/protocol/effects.py",
    "gateway/protocol/held.py",
    "gateway/rulings.py",
    "gateway/server/recording.py",
    "gateway/server/session.py",
    "gateway/sql/analyse.py",
    "gateway/sql/canonical.py",
    "gateway/sql/facts.py",
    "gateway/sql/lexer.py",
    "gateway/sql/mysql/rewrite.py",
    "gateway/sql/mysql/writer.py",
    "gateway/sql/rewrite_clauses.py",
    "gateway/sql/rewrite_expressions.py",
    "gateway/sql/scope.py",
    "gateway/sql/splitting.py",
    "gateway/sql/values.py",
    "gateway/sql/writer.py",
    "plugins/mongodb/gateway_mongodb/claims.py",
    "plugins/mongodb/gateway_mongodb/core.py",
    "plugins/mongodb/gateway_mongodb/cursors.py",
    "plugins/mongodb/gateway_mongodb/exchange.py",
    "plugins/mongodb/gateway_mongodb/execution.py",
    "plugins/mongodb/gateway_mongodb/limits.py",
    "plugins/mongodb/gateway_mongodb/relay.py",
    "plugins/mongodb/gateway_mongodb/replies.py",
    "plugins/mongodb/gateway_mongodb/requests.py",
    "plugins/mongodb/gateway_mongodb/rulings.py",
    "plugins/mongodb/gateway_mongodb/wire/framing.py",
    "plugins/mongodb/gateway_mongodb/wire/messages.py",
    "plugins/mongodb/gateway_mongodb/wire/scan.py",
    "plugins/mongodb/gateway_mongodb/wire/stream.py",
    "plugins/mysql/gateway_mysql/changes.py",
    "plugins/mysql/gateway_mysql/core.py",
    "plugins/mysql/gateway_mysql/parameters.py",
    "plugins/mysql/gateway_mysql/pending.py",
    "plugins/mysql/gateway_mysql/permits.py",
    "plugins/mysql/gateway_mysql/relay.py",
    "plugins/mysql/gateway_mysql/resultmasks.py",
    "plugins/mysql/gateway_mysql/results.py",
    "plugins/mysql/gateway_mysql/session.py",
    "plugins/mysql/gateway_mysql/statements.py",
    "plugins/mysql/gateway_mysql/wire/codec.py",
    "plugins/mysql/gateway_mysql/wire/commands.py",
    "plugins/mysql/gateway_mysql/wire/compression.py",
    "plugins/mysql/gateway_mysql/wire/messages.py",
    "plugins/postgres/gateway_postgres/changes.py",
    "plugins/postgres/gateway_postgres/cursors.py",
    "plugins/postgres/gateway_postgres/metering.py",
    "plugins/postgres/gateway_postgres/parameters.py",
    "plugins/postgres/gateway_postgres/permits.py",
    "plugins/postgres/gateway_postgres/pipeline.py",
    "plugins/postgres/gateway_postgres/core.py",
    "plugins/postgres/gateway_postgres/statements.py",
    "plugins/postgres/gateway_postgres/messages.py",
    "plugins/postgres/gateway_postgres/resultmasks.py",
    "plugins/postgres/gateway_postgres/results.py",
    "plugins/postgres/gateway_postgres/relay.py",
    "plugins/postgres/gateway_postgres/session.py",
)
"""Modules that mypyc compiles into wheels, as one group.

None that defines msgspec Structs: a compiled class body forgets what its fields' types are. None that goes down a
parsed statement: compiled code knows no limit of recursion, which is what ends hostile texts.
"""


class AcceleratorBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles in place, so that an editable install and a wheel find the same files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # type: ignore[explicit-override]  # 3.11
        """Bring every accelerator up to date and tell hatchling which shared objects belong into a wheel."""
        if os.environ.get("QUERYGATE_PURE_PYTHON") == "1":
            return
        root = Path(self.root)
        sources = [source for folder in SOURCE_ROOTS for source in sorted((root / folder).rglob("*.pyx"))]
        built = [target for source in sources if (target := self._compiled(root, source)) is not None]
        if built:
            build_data["artifacts"].extend("/" + target.relative_to(root).as_posix() for target in built)
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        if built and version != "editable":
            self._scratch = tempfile.TemporaryDirectory(prefix="querygate-typed-")
            for path, place in self._typed(root, Path(self._scratch.name)):
                build_data["force_include"][str(path)] = place

    def _typed(self, root: Path, scratch: Path) -> list[tuple[Path, str]]:
        """Compile ``TYPED``: what was built, and its place in the wheel."""
        try:
            return _compile_typed(root, scratch)
        except (Exception, SystemExit) as error:  # mypyc ends the process where it cannot go on
            if os.environ.get("QUERYGATE_REQUIRE_COMPILED") == "1":
                raise RuntimeError(f"mypyc failed: {error}") from error
            self.app.display_warning(f"the relay is not compiled ({error}); it runs as plain Python")
            return []

    def _compiled(self, root: Path, source: Path) -> Path | None:
        """The shared object of ``source`` for this Python; None if it cannot be built."""
        target = source.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
        parts = [source, *(part for folder in SOURCE_ROOTS for part in (root / folder).rglob("*.pxi"))]
        if target.exists() and target.stat().st_mtime_ns > max(part.stat().st_mtime_ns for part in parts):
            return target
        target.unlink(missing_ok=True)  # if the build fails, an outdated one must not stay behind
        try:
            _compile(root, source, target)
        except Exception as error:  # the toolchain raises anything, and the fallback is complete
            if os.environ.get("QUERYGATE_REQUIRE_COMPILED") == "1":
                raise
            self.app.display_warning(f"{source.name} not built ({error}); the pure-Python version is used")
            return None
        return target


def _compile(root: Path, source: Path, target: Path) -> None:
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    folder, package = next((f, p) for f, p in SOURCE_ROOTS.items() if source.is_relative_to(root / f))
    module = ".".join((package, *source.relative_to(root / folder).with_suffix("").parts))
    with tempfile.TemporaryDirectory(prefix="querygate-build-") as scratch:
        extension = Extension(module, [str(source)], extra_compile_args=["-O3"])
        modules = cythonize([extension], build_dir=scratch, include_path=[str(root)], quiet=True, language_level=3)  # type: ignore[no-untyped-call]
        command = build_ext(Distribution({"name": "querygate", "ext_modules": modules}))
        command.build_lib = command.build_temp = scratch
        command.ensure_finalized()
        command.run()
        fresh = target.with_name(f".{target.name}.new")
        shutil.copyfile(command.get_ext_fullpath(module), fresh)
        fresh.chmod(0o755)
        fresh.replace(target)
    sys.stderr.write(f"querygate: built {module}\n")


def _compile_typed(root: Path, scratch: Path) -> list[tuple[Path, str]]:
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    settings = scratch / "mypy.ini"
    path = ":".join(str((root / folder).parent) for folder in SOURCE_ROOTS)
    settings.write_text(
        f"[mypy]\nmypy_path={path}\nexplicit_package_bases=True\nnamespace_packages=True\n"
        f"follow_imports=silent\nignore_missing_imports=True\ncache_dir={scratch / 'cache'}\n"
    )
    before = Path.cwd()
    os.chdir(root)  # mypyc names modules by where they are
    try:
        extensions = mypycify(
            [f"--config-file={settings}", *TYPED],
            opt_level="2",  # smaller than 3: between two system calls, what counts is how much must be fetched again
            group_name="querygate",
            target_dir=str(scratch / "c"),
        )
        for extension in extensions:
            # Functions call each other directly then, not as those of a library that anybody might replace.
            extension.extra_compile_args += ["-fvisibility=hidden", "-fno-semantic-interposition"]
        command = build_ext(Distribution({"name": "querygate", "ext_modules": extensions}))
        command.build_lib = command.build_temp = str(scratch / "lib")
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(before)
    library = scratch / "lib"
    return [(path, path.relative_to(library).as_posix()) for path in sorted(library.rglob("*.so"))]
