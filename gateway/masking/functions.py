"""Masking functions by name, and their order.

Strictness, from hides most to shows most. Where several functions are asked for one column, the highest wins; within
one function the arguments that show less count up to 9 more:

=============================  =========  =====================================
function                       strictness  needs a bare column
=============================  =========  =====================================
``redact`` ``null`` ``constant``     100  no
``hash``                              80  yes
``tokenise``                          70  yes
``truncate_date`` ``round``           50  yes
``email``                             40  yes
``partial``                           30  yes
=============================  =========  =====================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway import hookimpl
from gateway.domain.masking import MaskingFunction, MaskSpec
from gateway.errors import ConfigurationError
from gateway.masking import generalise, keyed, shown, whole
from gateway.masking.keys import MaskingKeys

MaskingFunctionFactory = Callable[[MaskSpec, MaskingKeys], MaskingFunction]
"""Makes a function ready for one spec; raises ``ConfigurationError`` naming the argument that it cannot use."""

BUILTIN_FUNCTIONS: Mapping[str, MaskingFunctionFactory] = MappingProxyType(
    {
        "redact": whole.redact,
        "null": whole.null,
        "constant": whole.constant,
        "hash": keyed.hash_,
        "tokenise": keyed.tokenise,
        "truncate_date": generalise.truncate_date,
        "round": generalise.round_,
        "email": shown.email,
        "partial": shown.partial,
    }
)


class BuiltinMaskingFunctions:
    """The plugin that brings the built-in functions."""

    @hookimpl
    def register_masking_functions(self) -> Mapping[str, MaskingFunctionFactory]:
        """The functions of this package."""
        return BUILTIN_FUNCTIONS


class MaskingFunctions:
    """Makes specs ready, each once. ``factories`` are those of all plugins, already checked for duplicates."""

    def __init__(self, factories: Mapping[str, MaskingFunctionFactory], keys: MaskingKeys) -> None:
        self._factories = dict(factories)
        self._keys = keys
        # With the types, since equal specs may still differ: True == 1.
        self._ready: dict[tuple[object, ...], MaskingFunction] = {}

    @property
    def names(self) -> frozenset[str]:
        """The functions that policies may name."""
        return frozenset(self._factories)

    def __call__(self, spec: MaskSpec) -> MaskingFunction:
        """The function for a spec. Raises ``ConfigurationError`` for an unknown name or unusable arguments."""
        key = (spec.function, *((name, type(value), repr(value)) for name, value in spec.arguments))
        function = self._ready.get(key)
        if function is None:
            factory = self._factories.get(spec.function)
            if factory is None:
                raise ConfigurationError(f'there is no masking function "{spec.function}"')
            function = self._ready[key] = factory(spec, self._keys)
        return function


def strictest(functions: list[MaskingFunction]) -> MaskingFunction:
    """The function that hides most; of equally strict ones always the same one."""
    return max(functions, key=lambda f: (f.strictness, f.spec.function, repr(f.spec.arguments)))
