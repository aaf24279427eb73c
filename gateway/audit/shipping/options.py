"""The options of a sink, checked one by one: an unknown one is an error, since it would be a setting without effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError
from gateway.policy.units import parse_duration, parse_size


class Options:
    """Takes options out of a mapping; ``done`` complains about what is left. Raises ``ConfigurationError``."""

    def __init__(self, options: Mapping[str, object], folder: Path) -> None:
        self._left = dict(options)
        self._folder = folder

    def text(self, name: str, default: str | None = None) -> str:
        """A text; required where there is no default."""
        value = self._left.pop(name, default)
        if not isinstance(value, str) or (not value and default is None):
            raise ConfigurationError(f"{name}: a text is needed")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of some words."""
        value = self.text(name, default)
        if value not in choices:
            raise ConfigurationError(f"{name}: one of {', '.join(choices)}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise ConfigurationError(f"{name}: true or false")
        return value

    def number(self, name: str, default: int, *, least: int = 1) -> int:
        """A whole number."""
        value = self._left.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigurationError(f"{name}: a whole number of at least {least}")
        return value

    def size(self, name: str, default: int, *, least: int) -> int:
        """A number of bytes such as ``64KiB``."""
        value = self._left.pop(name, None)
        if value is None:
            return default
        try:
            size = parse_size(value)
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}") from None
        if size < least:
            raise ConfigurationError(f"{name}: at least {least} bytes are needed")
        return size

    def seconds(self, name: str, default: float) -> float:
        """A duration such as ``10s``."""
        value = self._left.pop(name, None)
        if value is None:
            return default
        try:
            return parse_duration(value)
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}") from None

    def url(self, name: str) -> str:
        """An http or https URL without a user in it."""
        value = self.text(name)
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ConfigurationError(f"{name}: an http:// or https:// address is needed, without a password in it")
        return value

    def path(self, name: str) -> Path | None:
        """A file; a relative one is relative to ``data_dir``."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"{name}: a file name is needed")
        return self._folder / value

    def words(self, name: str) -> dict[str, str]:
        """A mapping of texts to texts."""
        value = self._left.pop(name, None) or {}
        if not isinstance(value, Mapping) or not all(
            isinstance(key, str) and isinstance(item, str) for key, item in value.items()
        ):
            raise ConfigurationError(f"{name}: texts by name are needed")
        return dict(value)

    def done(self) -> None:
        """Nothing may be left."""
        if self._left:
            raise ConfigurationError(f"{min(self._left)}: unknown option")
