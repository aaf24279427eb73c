"""Conditions: CEL expressions over the principal, the resource, the statement, the session and the time.

A condition has three answers: True, False and None for "cannot be known". None comes from an error (CEL has errors as
values, never as exceptions of the host) or from a variable that is left unbound because nothing proves its value.
CEL's own logic then does the right thing: ``false && unknown`` is false, ``true || unknown`` is true, everything else
that touches the unknown is unknown. Language: https://github.com/google/cel-spec.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NewType, Protocol

from cel_expr_python import cel

from gateway.policy.problems import suggestion

CelInput = str | bool | datetime | list[str] | dict[str, str]
"""What a variable may be bound to: the engine takes plain lists and dicts only."""

Bindings = NewType("Bindings", object)
"""Variables made ready for one engine; good for any number of its conditions."""

VARIABLES: Final[Mapping[str, str]] = {
    "principal.name": "string",
    "principal.kind": "string",
    "principal.groups": "list",
    "principal.attributes": "map",
    "principal.acts_for": "string",
    "resource.name": "string",
    "resource.protocol": "string",
    "resource.environment": "string",
    "resource.database": "string",
    "resource.labels": "map",
    "statement.kind": "string",
    "statement.actions": "list",
    "statement.objects": "list",
    "statement.objects_read": "list",
    "statement.objects_written": "list",
    "statement.functions": "list",
    "statement.columns": "list",
    "statement.labels": "list",
    "statement.has_predicate": "bool",
    "statement.predicate": "string",
    "statement.copies_data": "bool",
    "statement.detail": "string",
    "statement.opaque": "bool",
    "statement.text": "string",
    "statement.fingerprint": "string",
    "session.client_address": "string",
    "session.application": "string",
    "session.tls": "bool",
    "session.user": "string",
    "session.database": "string",
    "now": "timestamp",
}
"""Every variable by its qualified name, so that a misspelt attribute fails when the policy is loaded."""

MAX_EXPRESSION: Final = 10_000
"""Characters. CEL itself limits nesting to 32 and iterations per evaluation."""

_ERROR = re.compile(r"<input>:(\d+):(\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")


class ConditionError(ValueError):
    """An expression cannot be compiled, or is not a yes-or-no question."""


class Condition(Protocol):
    """A compiled expression. ``reads`` names the variables that its answer may depend on."""

    expression: str
    reads: frozenset[str]

    def evaluate(self, bindings: Bindings) -> bool | None:
        """The answer, or None where it cannot be known. Never raises."""


class ConditionEngine(Protocol):
    """Compiles expressions. Behind a protocol so that the library can be replaced."""

    def compile(self, expression: str) -> Condition:
        """Raises ``ConditionError``."""

    def bind(self, values: Mapping[str, CelInput]) -> Bindings:
        """Variables left out are unknown, not empty."""


class CelCondition:
    """A condition in Google's CEL."""

    __slots__ = ("_program", "expression", "reads")

    def __init__(self, expression: str, program: cel.Expression, reads: frozenset[str]) -> None:
        self.expression = expression
        self.reads = reads
        self._program = program

    def evaluate(self, bindings: Bindings) -> bool | None:
        """The answer, or None for an error, an exhausted iteration budget or an unknown that matters."""
        try:
            value = self._program.eval(bindings).value()
        except RuntimeError:
            return None
        # An error is a value too, and a true one to Python: only the two real truth values count.
        return value if value is True or value is False else None


class CelEngine:
    """The CEL-C++ engine. Equal expressions share one compiled condition, and so one evaluation per request."""

    def __init__(self) -> None:
        kinds = {
            "string": cel.Type.STRING,
            "bool": cel.Type.BOOL,
            "timestamp": cel.Type.TIMESTAMP,
            "list": cel.Type.List(cel.Type.STRING),
            "map": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
        }
        overload = cel.Overload(
            "string_in_cidr_string",
            return_type=cel.Type.BOOL,
            parameters=[cel.Type.STRING, cel.Type.STRING],
            is_member=True,
            impl=in_cidr,
        )
        self._environment = cel.NewEnv(
            variables={name: kinds[kind] for name, kind in VARIABLES.items()},
            functions=[cel.FunctionDecl("inCidr", [overload])],
        )
        self._compiled: dict[str, CelCondition] = {}

    def compile(self, expression: str) -> CelCondition:
        """Raises ``ConditionError`` with position and, for a misspelt variable, a suggestion."""
        if (known := self._compiled.get(expression)) is not None:
            return known
        if len(expression) > MAX_EXPRESSION:
            raise ConditionError(f"a condition has at most {MAX_EXPRESSION} characters")
        try:
            program = self._environment.compile(expression)
        except RuntimeError as error:
            raise ConditionError(_explain(str(error))) from None
        if program.return_type() != cel.Type.BOOL:
            kind = program.return_type().name().lower()
            raise ConditionError(f"a condition must be true or false, this one is of type {kind}")
        condition = CelCondition(expression, program, _variables_read(program.serialize()))
        self._compiled[expression] = condition
        return condition

    def bind(self, values: Mapping[str, CelInput]) -> Bindings:
        """An activation of the engine."""
        return Bindings(self._environment.Activation(dict(values)))


def in_cidr(address: str, network: str) -> bool:
    """Whether an address lies in a network (``10.0.0.0/8``, ``2001:db8::/32``).

    Raises ``ValueError`` where either cannot be read. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed in ipaddress.ip_network(network, strict=False)


def _variables_read(checked: bytes) -> frozenset[str]:
    # The checked expression names every resolved variable as a length-prefixed string in field 1 of a message
    # (cel/expr/checked.proto Reference.name, syntax.proto Ident.name). String constants live in another field.
    return frozenset(name for name in VARIABLES if b"\x0a" + bytes((len(name),)) + name.encode("ascii") in checked)


def _explain(raw: str) -> str:
    found = _ERROR.search(raw)
    if found is None:
        return raw.split("\n", 1)[0].removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
    line, column, message = found.groups()
    where = f"column {column}" if line == "1" else f"line {line}, column {column}"
    message = message.removesuffix(" (in container '')")
    if (undeclared := _UNDECLARED.search(message)) is not None:
        message = f"unknown name '{undeclared[1]}'" + suggestion(undeclared[1], [*VARIABLES, "inCidr"])
    return f"{message} (at {where} of the condition)"
