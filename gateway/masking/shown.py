"""Functions that leave a part of a text readable.

What stands for the hidden part has the same length whatever it hides. ``partial`` never shows more than half of a
value; ``email`` shows the whole domain. Characters are Unicode code points.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.domain.masking import MaskingFunction, MaskSpec, Value, ValueKind
from gateway.masking.arguments import Arguments
from gateway.masking.keys import MaskingKeys
from gateway.masking.whole import REDACTED

EMAIL_STRICTNESS = 40
PARTIAL_STRICTNESS = 30
RUN = 4
"""How many fill characters stand for what is hidden."""
MAX_SHOWN = 64

# Letters, digits and hyphens only: whatever else stands behind an "@" is no mail domain, and not shown.
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]")
_MAX_DOMAIN = 253
_MASKED_EMAIL = re.compile(r".?\*\*\*@" + _DOMAIN.pattern)


@dataclass(frozen=True, slots=True)
class PartialText:
    """What ``partial`` does to a text: its first and last characters around ``run``; ``run`` alone for short values.

    Protocol plugins may look into it, to do the same on wire bytes.
    """

    first: int
    last: int
    run: str

    def __call__(self, value: Value, kind: ValueKind, domain: str) -> Value | None:
        if kind is not ValueKind.TEXT or not isinstance(value, str):
            return None
        if 2 * (self.first + self.last) > len(value):
            return self.run
        return value[: self.first] + self.run + value[len(value) - self.last :]

    def shows(self, text: str) -> bool:
        """Whether a text is what it makes of some value."""
        return text == self.run or (
            len(text) == self.first + len(self.run) + self.last and text.startswith(self.run, self.first)
        )


def partial(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
    """``partial``: the first ``first`` and last ``last`` characters of a text, four times ``fill`` for the rest.

    Values of which that would show more than half are hidden whole; other kinds become NULL.
    """
    arguments = Arguments(spec)
    first = arguments.integer("first", default=0, minimum=0, maximum=MAX_SHOWN)
    last = arguments.integer("last", default=0, minimum=0, maximum=MAX_SHOWN)
    fill = arguments.text("fill", default="*", minimum=1, maximum=1)
    arguments.done()
    if first + last == 0:
        arguments.refuse("last", 'or "first" must be at least 1; to show nothing, use "redact"')
    # Of two partial masks the one that shows less is the stricter.
    strictness = PARTIAL_STRICTNESS + max(0, 9 - (first + last))
    function = PartialText(first, last, fill * RUN)
    return MaskingFunction(spec, strictness, True, _for_text_only, function, function.shows)


def email(spec: MaskSpec, keys: MaskingKeys) -> MaskingFunction:
    """``email``: ``a***@example.com`` for a text that is an e-mail address, ``****`` for other text, else NULL."""
    Arguments(spec).done()
    return MaskingFunction(spec, EMAIL_STRICTNESS, True, _for_text_only, _mask_email, _is_masked_email)


def _is_masked_email(text: str) -> bool:
    return text == REDACTED or _MASKED_EMAIL.fullmatch(text) is not None


def _mask_email(value: Value, kind: ValueKind, domain: str) -> Value | None:
    if kind is not ValueKind.TEXT or not isinstance(value, str):
        return None
    local, _, host = value.rpartition("@")
    if not local or len(host) > _MAX_DOMAIN or _DOMAIN.fullmatch(host) is None:
        return REDACTED
    return f"{local[0] if len(local) > 1 else ''}***@{host}"


def _for_text_only(kind: ValueKind) -> Value | None:
    """The constant of a function on text: NULL for other kinds, none for text."""
    if kind is ValueKind.TEXT:
        raise LookupError(kind)
    return None
