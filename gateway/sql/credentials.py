"""Credentials in statements: passwords of database users, keys of encryption, logins in connection strings.

No text that leaves the session (audit, approvals, webhooks) may hold one, whatever the settings say about literals.
Which statements may hold one is decided by their words and what the analysis made of them; of these every value is
hidden, not only the credential, since a text that somebody got wrong has it anywhere. A text that was not understood
and speaks of credentials keeps no value at all, and nothing behind the word by which it does.

The text is read here without regard to the dialect. Where dialects read it differently (a backslash before a quote, a
quote in a comment), everything from there on is withheld.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.domain.statement import Action, Analysis

HIDDEN: Final = "?"
"""What stands for a value."""
WITHHELD: Final = "[withheld]"
"""What stands for the rest of a text that cannot be read with certainty."""

ROWS: Final = frozenset(
    {
        *(Action.READ, Action.INSERT, Action.UPDATE, Action.DELETE, Action.MERGE, Action.TRUNCATE, Action.DROP),
        *(Action.COPY_IN, Action.COPY_OUT, Action.CALL, Action.EXPLAIN, Action.CURSOR, Action.LOCK, Action.SHOW),
        *(Action.PREPARE, Action.TRANSACTION, Action.MAINTAIN, Action.NOTIFY),
    }
)
"""Actions in which a column called ``password`` is a column like any other, and labels are there to protect it."""
_UNKNOWN: Final = frozenset({Action.UNKNOWN})
_DEFINING: Final = frozenset({Action.CREATE, Action.ALTER, Action.DROP, Action.READ})
_PLAIN_OBJECTS: Final = frozenset({"table", "index", "view", "materialized", "schema", "sequence", "type", "domain"})
"""Objects in whose definitions the same holds."""
_DEFINITIONS: Final = frozenset({"create", "alter"})
_LOGINS: Final = frozenset({"user", "role", "group", "login", "server", "subscription", "mapping"})
"""Objects in whose definitions every value is hidden, since they say how to log in, here or elsewhere."""
_OBJECTS: Final = frozenset(
    """function procedure trigger event package rule policy extension language aggregate operator cast statistics
    publication tablespace database system default text foreign collation conversion access large instance""".split()
).union(_PLAIN_OBJECTS, _LOGINS, ("foreign table",))
"""All whose definitions are known for what they are."""

_LONG: Final = 64 * 1024
"""Characters from which a text that may hold a credential is not read again, since nobody else runs meanwhile."""

# All of these are searched for in lower case.
_SPEAKS: Final = re.compile(
    r"passw|pwd|passph|identified|secret|_auth\b|authentic|credential|token|crypt|hmac|conninfo|dblink|_key\b|://"
    r"|\b(?:connection|mapping|server|subscription|pass|pw)\b"
)
"""What a statement that is not about rows has in it if a credential may be in it."""
_KEYED: Final = re.compile(
    r"(?:passw|passph|pwd|secret|crypt|hmac|credential|des_encode)[\w$]*[\"`]?\s*\("
    r"|\b(?:authentication_string|rolpassword|pg_shadow|pg_authid|pg_user_mappings?|global_priv)\b"
)
"""Functions that take a key or a password, and the system's own tables of them."""
_INSIDE: Final = re.compile(
    r"""(?:passw(?:or)?d|passphrase|\bpwd|secret\w*|access_?key|api_?key)['"\\]*\s*(?::=|=|:)\s*\S
    | passw(?:or)?d\s+(?:['"$%\\:]|e')
    | \bidentified\s+(?:by|with|via|as)\b
    | \bpassword\s*\(
    | ://[^\s/@:'"]*:[^\s@'"]+@
    | \s(?:-u|--user)[\s=]*[^\s:]+:\S""",
    re.VERBOSE,
)
"""A string that holds a login: a connection string, an address, a statement that somebody will run, a document."""

_TOKEN: Final = re.compile(
    r"""
      (?P<space> \s+ )
    | (?P<comment> (?:--|\#)[^\n\r]* | /\*.*?\*/ )
    | (?P<dollar> (?<![\w$]) \$(?P<tag>[^\W\d]\w*)?\$ (?P<body>.*?) \$(?(tag)(?P=tag))\$ )
    | (?P<escape> [eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*' )
    | (?P<string> (?:[nNbBxX]|[uU]&)?'[^']*(?:''[^']*)*' )
    | (?P<name> (?:[uU]&)?"[^"]*(?:""[^"]*)*" )
    | (?P<backtick> `[^`]*(?:``[^`]*)*` )
    | (?P<number> (?: \d[\w.]* | \.\d\w* ) )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<opener> ['"`] | /\* | \$\w*\$ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTE: Final = re.compile(r"['\"`$#]|/\*|--")
_EXPECTING: Final = re.compile(r"passw|pwd|passph|secret|credential|^(?:pass|pw|connection|identified)$")
"""Words behind which a credential stands."""
_GLUED: Final = re.compile(r"(?:password|passwd|identified|passphrase)(?!s?$|_\w)|(?:^by|^as)\$")
"""Such a word with something at its end that may be the credential itself: a space is easily forgotten."""
_LINKING: Final = frozenset("by as using with via".split())
"""Words between ``IDENTIFIED`` and the credential."""
_FOLLOWING: Final = frozenset(
    """for null expire history reuse require default optional current random encrypted unencrypted valid until login
    nologin superuser nosuperuser createdb nocreatedb createrole nocreaterole inherit noinherit replication
    noreplication bypassrls nobypassrls in role interval day never account lock unlock or and from where is not
    mysql_native_password caching_sha2_password sha256_password ed25519 unix_socket parsec options server foreign data
    wrapper publication retain discard old replace end to set select insert update into on""".split()
)
"""Words that may stand behind such a word and are no credential."""


def conceal(text: str, analysis: Analysis) -> str | None:
    """The text with its values hidden, where one of them may be a credential; None where the text may stay as it is."""
    if analysis.credentials_left_out:
        return None
    lowered = text.lower()
    if not analysis.statements or not analysis.actions.isdisjoint(_UNKNOWN):
        return _cut(text, lowered)
    if any(facts.kind in _DEFINITIONS and facts.detail not in _OBJECTS for facts in analysis.statements):
        return _cut(text, lowered)  # of what it is a definition is not known
    if about_rows(analysis):
        if _hints(lowered) and (_KEYED.search(lowered) or _speaks_inside(lowered)):
            return _hidden(text, analysis, bare=True)
        return None
    if any(f.detail in _LOGINS for f in analysis.statements) or _speaks_outside(lowered) or _speaks_inside(lowered):
        return _hidden(text, analysis)
    return None


def readable(text: str, analysis: Analysis) -> tuple[str, str]:
    """The text, and its form without literals, as others may read them."""
    shown = conceal(text, analysis)
    if shown is None:
        return text, analysis.normalised
    # In the second form, too, a word may be a value that nobody quoted.
    return shown, conceal(analysis.normalised, analysis) or shown


def _hints(lowered: str) -> bool:
    """Whether a statement about rows has anything in it that is worth a closer look: nearly every one is asked."""
    return (
        "pass" in lowered
        or "pwd" in lowered
        or "crypt" in lowered
        or "secret" in lowered
        or "hmac" in lowered
        or "identified" in lowered
        or "_string" in lowered
        or "pg_" in lowered
        or "_priv" in lowered
        or "_key" in lowered
        or "program" in lowered
        or ("://" in lowered and "@" in lowered)
    )


def about_rows(analysis: Analysis) -> bool:
    """Whether all that it does is done to rows and tables, so that a word such as ``password`` is a column's name."""
    if analysis.actions <= ROWS:
        return True
    return analysis.actions <= ROWS | _DEFINING and all(
        facts.actions <= ROWS or facts.detail in _PLAIN_OBJECTS for facts in analysis.statements
    )


def holds_login(value: object) -> bool:
    """Whether a bound value tells how to log in somewhere."""
    return isinstance(value, str) and _INSIDE.search(value.lower()) is not None


def _speaks_inside(text: str) -> bool:
    """Whether a string or a comment holds a login. Where strings cannot be told apart, all of the text counts."""
    if _INSIDE.search(text) is None:
        return False
    if len(text) > _LONG:
        return True
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind in ("string", "escape", "name", "dollar", "comment") and _INSIDE.search(found.group()):
            return True
        if kind == "opener" or "\\" in found.group():
            return True
    return False


def _speaks_outside(text: str) -> bool:
    """Whether the words of the statement, not its strings, speak of credentials."""
    if _SPEAKS.search(text) is None:
        return False
    if len(text) > _LONG:
        return True
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind == "opener" or (kind in ("word", "name", "backtick") and _SPEAKS.search(found.group())):
            return True
    return False


def _cut(text: str, lowered: str) -> str | None:
    """A text that was not understood, up to where it first speaks of credentials; whatever it may mean behind that."""
    found = _SPEAKS.search(lowered)
    if found is None:
        # What SQL's EXECUTE is given may be for anything.
        return _hide(text[:_LONG], understood=False) if "execute" in lowered else None
    head = lowered if len(lowered) != len(text) else text
    quote = _QUOTE.search(head)
    end = min(found.end(), _LONG, len(head) if quote is None else quote.start())
    return _withheld([_hide(head[:end], understood=False, bare=True)])


def _hidden(text: str, analysis: Analysis, *, bare: bool = False) -> str:
    names = analysis.normalised
    if len(text) > _LONG:
        if not names or len(names) > _LONG:
            return f"[statement of {len(text)} characters withheld]"
        text = names
    return _hide(text, understood=True, names=names, bare=bare)


def _hide(text: str, *, understood: bool, names: str = "", bare: bool = False) -> str:
    """The text without values.

    ``names`` is the analysis's own form of it, which tells quoted names from strings. ``understood`` keeps numbers, and
    the names of accounts. ``bare`` means that an unquoted word is never a value: the text is known to be well formed.
    """
    pieces: list[str] = []
    expecting = identified = setting = False
    before = ""
    for found in _TOKEN.finditer(text):
        kind, piece = found.lastgroup, found.group()
        match kind:
            case "space":
                pieces.append(piece)
                continue
            case "comment":
                if "'" in piece or '"' in piece or "`" in piece or "/*" in piece[2:] or piece.startswith("#"):
                    return _withheld(pieces)
                pieces.append(" ")
                continue
            case "opener":
                return _withheld(pieces)
            case "dollar":
                body = found["body"]
                if understood and before in ("as", "do") and not identified and not expecting:
                    mark = piece[: piece.index("$", 1) + 1]
                    pieces.append(mark + _hide(body, understood=False, bare=True) + mark)
                else:
                    pieces.append(HIDDEN)
                expecting, before = False, "?"
            case "string" | "escape" | "name" | "backtick":
                if kind in ("string", "name") and ("\\'" in piece or '\\"' in piece):
                    return _withheld(pieces)
                after = text[found.end() : found.end() + 1]
                account = understood and not expecting and (after == "@" or before in ("@", "user", "exists"))
                named = kind == "backtick" or (kind == "name" and understood and piece in names)
                pieces.append(piece if (named and not expecting) or account else HIDDEN)
                expecting, before = False, "?"
            case "number":
                pieces.append(piece if understood and not expecting else HIDDEN)
                expecting, before = False, "0"
            case "word":
                word = piece.lower()
                identified = identified or word == "identified"
                setting = setting or (not bare and word == "password" and before == "set")
                if not bare and _GLUED.search(word):
                    return _withheld(pieces)
                if setting and not _EXPECTING.search(word) and before not in ("for", "@", "?", ";"):
                    return _withheld(pieces)  # SET PASSWORD FOR somebody, and no sign of equality
                if _EXPECTING.search(word):
                    awaited = True
                elif word in _LINKING:
                    awaited = identified or expecting
                elif not expecting or bare or word in _FOLLOWING or before == "with":
                    awaited = expecting and before == "with"
                else:
                    return _withheld(pieces)
                pieces.append(piece)
                expecting, before = awaited, word
            case _:
                pieces.append(piece)
                if piece == "=" and setting:
                    expecting = True
                elif piece not in "=(,?*." and expecting and not bare:
                    # A value that nobody quoted: what else would stand here?
                    return _withheld(pieces[:-1])
                elif piece not in "=(,":
                    expecting = False
                    identified = identified and piece != ";"
                before = piece
    return "".join(pieces)


def _withheld(pieces: list[str]) -> str:
    return "".join(pieces).rstrip() + " " + WITHHELD
