"""What docs/masking.md says is so: its table of functions, and its sample."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pluggy

from gateway import PROJECT_NAME, hookspecs
from gateway.domain.masking import MaskSpec, ValueKind
from gateway.masking.functions import BUILTIN_FUNCTIONS, MaskingFunctions
from gateway.masking.keys import MaskingKeys

PAGE = (Path(__file__).parents[3] / "docs" / "masking.md").read_text(encoding="utf-8")
KEYS = MaskingKeys(b"k" * 32)


def test_the_table_lists_every_function_with_its_strictness() -> None:
    listed = {name: int(last) for name, last in re.findall(r"^\| `(\w+)`.*\| (\d+) \|$", PAGE, re.MULTILINE)}
    assert listed.keys() == BUILTIN_FUNCTIONS.keys()
    needed: dict[str, tuple[str, str | int | bool]] = {
        "constant": ("value", 1),
        "partial": ("last", 4),
        "truncate_date": ("unit", "year"),
        "round": ("to", 1),
    }
    for name, strictness in listed.items():
        spec = MaskSpec(name, (needed[name],) if name in needed else ())
        assert MaskingFunctions(BUILTIN_FUNCTIONS, KEYS)(spec).strictness // 10 == strictness // 10


def test_the_sample_is_a_plugin_that_works() -> None:
    (sample,) = re.findall(r"^    from gateway import hookimpl\n(?:(?: {4}.*)?\n)*", PAGE, re.MULTILINE)
    namespace: dict[str, Any] = {}
    exec(textwrap.dedent(sample), namespace)  # the page is ours
    plugin = type("Sample", (), {"register_masking_functions": staticmethod(namespace["register_masking_functions"])})
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    (factories,) = manager.hook.register_masking_functions()
    function = MaskingFunctions(factories, KEYS)(MaskSpec("initials"))
    assert function.apply("Ana Maria", ValueKind.TEXT, "pii") == "A.M."
    assert function.constant(ValueKind.INTEGER) is None
