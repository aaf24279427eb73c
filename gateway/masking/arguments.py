"""The arguments of masking functions: all checked when a policy is loaded, nothing while rows flow."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import NoReturn

from gateway.domain.masking import MaskSpec
from gateway.errors import ConfigurationError


class Arguments:
    """The arguments of one spec. Take each by its name, then call ``done``.

    Every method raises ``ConfigurationError``, naming function and argument, for a value that it does not accept.
    """

    def __init__(self, spec: MaskSpec) -> None:
        self._function = spec.function
        self._left: dict[str, object] = dict(spec.arguments)

    def integer(self, name: str, *, default: int, minimum: int, maximum: int) -> int:
        """A whole number within limits."""
        value = self._left.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            self.refuse(name, f"must be a whole number from {minimum} to {maximum}")
        return value

    def positive(self, name: str) -> Decimal:
        """A number above zero, as a number or as text (``"0.05"``). Has no default."""
        value = self._left.pop(name, None)
        try:
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise InvalidOperation
            number = Decimal(str(value))
        except InvalidOperation:
            self.refuse(name, "must be a number above 0")
        if not number.is_finite() or not Decimal("1e-12") <= number <= Decimal("1e18"):
            self.refuse(name, "must be a number above 0, from 1e-12 to 1e18")
        return number

    def text(self, name: str, *, default: str, minimum: int, maximum: int) -> str:
        """Printable text with a length (in characters) within limits."""
        value = self._left.pop(name, default)
        if not isinstance(value, str) or not minimum <= len(value) <= maximum or not value.isprintable():
            limits = f"{minimum}" if minimum == maximum else f"{minimum} to {maximum}"
            self.refuse(name, f"must be text of {limits} printable characters")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of some words. Has no default."""
        value = self._left.pop(name, None)
        if not isinstance(value, str) or value not in choices:
            self.refuse(name, f"must be one of {', '.join(choices)}")
        return value

    def scalar(self, name: str) -> str | int | float | bool:
        """Text, a number or a truth value. Has no default."""
        value = self._left.pop(name, None)
        if not isinstance(value, (str, int, float, bool)):
            self.refuse(name, "must be text, a number, true or false")
        return value

    def done(self) -> None:
        """Refuse what nobody has asked for."""
        for name in sorted(self._left):
            self.refuse(name, "is unknown")

    def refuse(self, name: str, why: str) -> NoReturn:
        """Raise the error for an argument."""
        raise ConfigurationError(f'masking function "{self._function}": argument "{name}" {why}')
