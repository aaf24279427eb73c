"""Words of MySQL's that have a syntax of their own, as ``MySqlWriter`` writes them.

A handler returns False where the word is an ordinary name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateway.sql import rewrite_clauses, rewrite_expressions
from gateway.sql.lexer import Kind, Token
from gateway.sql.rebuilt import FUNCTION_MARK, Unsupported, quote
from gateway.sql.writer import Writer

Handler = Callable[[Writer], bool]

CAST_END: Final = "\x03"
"""Stands for the type of a cast."""
UNITS: Final = frozenset(
    """microsecond second minute hour day week month quarter year second_microsecond minute_microsecond minute_second
    hour_microsecond hour_second hour_minute day_microsecond day_second day_minute day_hour year_month""".split()
)
_UNIT_ALIASES: Final = frozenset(f"sql_tsi_{unit}" for unit in UNITS)
_ENDS_EXPRESSION: Final = frozenset(
    """from where group having order limit union intersect except into for then else end when on using as desc asc
    lock window separator returning procedure offset fetch""".split()
)
_LOCK_OPTIONS: Final = frozenset({"nowait"})


def _token(kind: Kind, value: str) -> Token:
    return Token(kind, value, 0)


def expression_end(writer: Writer, start: int) -> int:
    """The index behind the expression that begins at ``start``: ``:=`` binds weaker than every operator."""
    depth = cases = 0
    for index in range(start, len(writer.tokens)):
        kind, value, position = writer.tokens[index]
        if position < 0:
            return index
        if kind is Kind.PUNCTUATION:
            if value == "(":
                depth += 1
            elif value == ")":
                depth -= 1
                if depth < 0:
                    return index
            elif value in (",", CAST_END) and not depth:
                return index
        elif kind is Kind.WORD and not depth:
            if value == "case":
                cases += 1
            elif value == "end" and cases:
                cases -= 1
            elif value in _ENDS_EXPRESSION and not cases:
                return index
    return len(writer.tokens)


def _skip(count: int) -> Handler:
    def handler(writer: Writer) -> bool:
        writer.at += count
        return True

    return handler


def _infix(text: str) -> Handler:
    """An operator that is a word."""

    def handler(writer: Writer) -> bool:
        if not (writer.operand or writer.previous() == "not") or writer.previous() in ("as", "."):
            return False
        writer.put(text)
        writer.at += 1
        return True

    return handler


def _mod(writer: Writer) -> bool:
    return _infix("%")(writer) if writer.operand else False


def _sounds(writer: Writer) -> bool:
    if not writer.operand or writer.word(1) != "like":
        return False
    writer.put("like")
    writer.at += 2
    return True


def _member(writer: Writer) -> bool:
    if not writer.operand or writer.word(1) != "of":
        return False
    writer.put("=")
    writer.at += 2
    return True


def _binary(writer: Writer) -> bool:
    if writer.operand:
        return False
    writer.at += 1
    return True


def _collate(writer: Writer) -> bool:
    if not writer.operand or not (writer.is_name(1) or writer.tokens[writer.at + 1].kind is Kind.STRING):
        raise Unsupported("unexpected collate")
    writer.at += 2
    return True


# --- calls ------------------------------------------------------------------------------------------------------------


def _inner(writer: Writer) -> tuple[int, int]:
    """Where the arguments of the call here begin and end."""
    return writer.at + 2, writer.group_end(writer.at + 1)


def _top(writer: Writer, start: int, end: int, *words: str) -> int:
    """The index of the first of ``words`` (or commas, for ``,``) between ``start`` and ``end`` outside parentheses."""
    depth = 0
    for index in range(start, end):
        kind, value, _ = writer.tokens[index]
        if kind is Kind.PUNCTUATION:
            depth += {"(": 1, ")": -1}.get(value, 0)
            if value == "," and "," in words and not depth:
                return index
        elif kind is Kind.WORD and not depth and value in words:
            return index
    return -1


def _cast(writer: Writer) -> bool:
    """CAST(x AS type), CONVERT(x, type), CONVERT(x USING charset)."""
    if writer.mark(1) != "(":
        return False
    start, end = _inner(writer)
    at = _top(writer, start, end, "as" if writer.word() == "cast" else "using")
    if at < 0 and writer.word() == "convert":
        at = _top(writer, start, end, ",")
    if at <= start:
        raise Unsupported("unknown cast")
    writer.tokens[at:end] = [_token(Kind.PUNCTUATION, CAST_END)]
    writer.put("cast (")
    writer.calls.append("cast")
    writer.at += 2
    return True


def _cut(*words: str) -> Handler:
    """A call whose arguments end before one of ``words``: the rest says how the result is written."""

    def handler(writer: Writer) -> bool:
        if writer.mark(1) == "(":
            start, end = _inner(writer)
            at = _top(writer, start, end, *words)
            if at > start:
                del writer.tokens[at:end]
        return False

    return handler


def _extract(writer: Writer) -> bool:
    """EXTRACT(unit FROM x)."""
    if writer.mark(1) == "(" and writer.word(3) == "from":
        del writer.tokens[writer.at + 2 : writer.at + 4]
    return False


def _unit_call(writer: Writer) -> bool:
    """TIMESTAMPADD(unit, …), TIMESTAMPDIFF(unit, …), GET_FORMAT(DATE, …)."""
    if writer.mark(1) == "(" and writer.mark(3) == ",":
        word = writer.word(2)
        if word in UNITS or word in _UNIT_ALIASES or word in ("date", "time", "datetime", "timestamp"):
            writer.tokens[writer.at + 2] = _token(Kind.STRING, word)
    return False


def _group_concat(writer: Writer) -> bool:
    """GROUP_CONCAT(… SEPARATOR 'x' LIMIT n)."""
    if writer.mark(1) == "(":
        start, end = _inner(writer)
        at = _top(writer, start, end, "separator", "limit")
        if at > start:
            if any(
                t.kind not in (Kind.WORD, Kind.STRING, Kind.NUMBER, Kind.PUNCTUATION) for t in writer.tokens[at:end]
            ):
                raise Unsupported("computed limit")
            del writer.tokens[at:end]
    return False


def _interval(writer: Writer) -> bool:
    """INTERVAL x unit: only x matters. INTERVAL(x, a, b) is a function."""
    start = writer.at + 1
    if writer.mark(1) == "(":
        end = writer.group_end(start)
        if writer.tokens[end + 1].kind is not Kind.WORD or writer.tokens[end + 1].value not in UNITS:
            return False
        del writer.tokens[end + 1]
        writer.at += 1
        return True
    depth = 0
    for index in range(start, len(writer.tokens) - 6):
        kind, value, _ = writer.tokens[index]
        if kind is Kind.PUNCTUATION:
            depth += {"(": 1, ")": -1}.get(value, 0)
            if depth < 0 or (value == "," and not depth):
                break
        elif kind is Kind.WORD and value in UNITS and not depth and index > start:
            if writer.tokens[index - 1].value == "." or writer.tokens[index + 1].value in (".", "("):
                continue
            del writer.tokens[index]
            writer.at += 1
            return True
    raise Unsupported("interval without unit")


def _match(writer: Writer) -> bool:
    """MATCH (a, b) AGAINST (x IN BOOLEAN MODE)."""
    if writer.mark(1) != "(":
        return False
    end = writer.group_end(writer.at + 1)
    if writer.tokens[end + 1].value != "against" or writer.tokens[end + 2].value != "(":
        return False
    close = writer.group_end(end + 2)
    mode = _top(writer, end + 3, close, "in", "with")
    if mode >= 0:
        del writer.tokens[mode:close]
    writer.tokens[end : end + 3] = [_token(Kind.PUNCTUATION, ",")]
    return False


def _values(writer: Writer) -> bool:
    """VALUES (…), …; VALUES ROW(…), …; VALUES(column) behind ON DUPLICATE KEY UPDATE."""
    if getattr(writer, "duplicate", False) and writer.mark(1) == "(" and writer.is_name(2) and writer.mark(3) == ")":
        writer.put('"excluded"."' + writer.tokens[writer.at + 2].value.replace('"', '""') + '"', operand=True)
        writer.at += 4
        return True
    if writer.word(1) == "row":
        index = writer.at + 1
        while writer.tokens[index].kind is Kind.WORD and writer.tokens[index].value == "row":
            del writer.tokens[index]
            if writer.tokens[index].value != "(":
                raise Unsupported("unexpected row")
            index = writer.group_end(index) + 1
            if writer.tokens[index].value != ",":
                break
            index += 1
    if writer.mark(1) != "(":
        return False
    writer.put("values")
    writer.at += 1
    return True


def _default(writer: Writer) -> bool:
    """A column's default; where it is asked for by name, it counts as the column."""
    if writer.mark(1) != "(":
        writer.put("null", operand=True)
    writer.at += 1
    return True


def _sequence_value(writer: Writer) -> bool:
    """NEXT VALUE FOR s, PREVIOUS VALUE FOR s."""
    if writer.word(1) != "value" or writer.word(2) != "for" or not writer.is_name(3):
        return False
    name = "nextval" if writer.word() == "next" else "lastval"
    writer.put(quote(FUNCTION_MARK + name) + "()", operand=True)
    writer.at += 4
    while writer.mark() == "." and writer.is_name(1):
        writer.at += 2
    return True


def _sequence_call(writer: Writer) -> bool:
    """NEXTVAL(s): the argument is a name, not a column."""
    if writer.mark(1) == "(" and writer.is_name(2):
        start, end = _inner(writer)
        at = start + 1
        while writer.tokens[at].value == "." and at < end:
            at += 2
        writer.tokens[start:at] = [_token(Kind.STRING, "sequence")]
    return False


def _function_or(handler: Handler | None, *, text: str = "") -> Handler:
    """A word that is a function before a parenthesis, and else written by ``handler`` or as ``text``."""

    def chosen(writer: Writer) -> bool:
        if writer.mark(1) == "(":
            return False
        if handler is not None:
            return handler(writer)
        writer.put(text or writer.word())
        writer.at += 1
        return True

    return chosen


# --- clauses ----------------------------------------------------------------------------------------------------------


def _with(writer: Writer) -> bool:
    if writer.word(1) == "rollup":
        writer.at += 2
        return True
    writer.put("with")
    writer.at += 1
    if writer.word() == "recursive":
        writer.put("recursive")
        writer.at += 1
    return True


def _as(writer: Writer) -> bool:
    writer.put("as")
    writer.at += 1
    return True


def _from(writer: Writer) -> bool:
    if writer.previous() == ")" and writer.word(1) in ("first", "last") and writer.word(2) in ("respect", "over"):
        writer.at += 2  # NTH_VALUE(…) FROM FIRST
        return True
    if writer.word(1) == "dual" and writer.mark(2) != ".":
        writer.at += 2
        return True
    writer.put("from")
    writer.at += 1
    return True


def _nulls(writer: Writer) -> bool:
    if writer.word(1) != "nulls" or writer.previous() not in (")", "first", "last"):
        return False
    writer.at += 2
    writer.operand = True
    return True


def _index_hint(writer: Writer) -> bool:
    """USE INDEX FOR JOIN (a, b)."""
    if not writer.operand or writer.word(1) not in ("index", "key"):
        return False
    writer.at += 2
    if writer.word() == "for":
        writer.at += 3 if writer.word(2) == "by" else 2
    if writer.mark() != "(":
        raise Unsupported("unexpected index hint")
    writer.at = writer.group_end(writer.at) + 1
    if writer.mark() == "," and writer.word(1) in ("use", "ignore", "force"):
        writer.at += 1
    return True


def _partition(writer: Writer) -> bool:
    if writer.word(1) == "by":
        writer.put("partition")
        writer.at += 1
        return True
    if writer.operand and writer.mark(1) == "(":
        writer.at = writer.group_end(writer.at + 1) + 1
        writer.operand = True
        return True
    return False


def _for(writer: Writer) -> bool:
    """FOR UPDATE, FOR SHARE, FOR SYSTEM_TIME …."""
    if writer.word(1) == "system_time":
        return _system_time(writer)
    if writer.word(1) not in ("update", "share"):
        raise Unsupported("unexpected for")
    writer.at += 2
    if writer.word() == "of":
        writer.at += 1
        while writer.is_name() and writer.word() not in ("nowait", "skip"):
            writer.at += 1
            if writer.mark() not in (",", "."):
                break
            writer.at += 1
    _lock_wait(writer)
    return True


def _lock(writer: Writer) -> bool:
    if [writer.word(i) for i in (1, 2, 3)] != ["in", "share", "mode"]:
        return False
    writer.at += 4
    _lock_wait(writer)
    return True


def _lock_wait(writer: Writer) -> None:
    if writer.word() in _LOCK_OPTIONS:
        writer.at += 1
    elif (writer.word() == "skip" and writer.word(1) == "locked") or (
        writer.word() == "wait" and writer.tokens[writer.at + 1].kind is Kind.NUMBER
    ):
        writer.at += 2
    writer.result.locks = True
    writer.operand = True


def _system_time(writer: Writer) -> bool:
    """FOR SYSTEM_TIME ALL | AS OF t | BETWEEN a AND b | FROM a TO b: which versions of rows, from literals."""
    writer.at += 2
    if writer.word() == "all":
        writer.at += 1
        return True
    if writer.word() == "as" and writer.word(1) == "of":
        writer.at += 2
        _point_in_time(writer)
        return True
    joint = {"between": "and", "from": "to"}.get(writer.word())
    if joint is None:
        raise Unsupported("unexpected system_time")
    writer.at += 1
    _point_in_time(writer)
    if writer.word() != joint:
        raise Unsupported("unexpected system_time")
    writer.at += 1
    _point_in_time(writer)
    return True


def _point_in_time(writer: Writer) -> None:
    while writer.word() in ("timestamp", "transaction", "date"):
        writer.at += 1
    token = writer.tokens[writer.at]
    if token.kind in (Kind.STRING, Kind.NUMBER, Kind.PARAMETER):
        writer.at += 1
    elif token.value in ("now", "current_timestamp", "curdate", "localtimestamp"):
        writer.at += 1
        if writer.mark() == "(":
            writer.at = writer.group_end(writer.at) + 1
    else:
        raise Unsupported("computed system_time")
    writer.operand = True


def _limit(writer: Writer) -> bool:
    """LIMIT a, b; LIMIT ROWS EXAMINED n."""
    writer.at += 1
    if writer.word() != "rows":
        count = _row_count(writer)
        if writer.mark() == ",":
            writer.at += 1
            offset, count = count, _row_count(writer)
            writer.put(f"limit {count} offset {offset}", operand=True)
        else:
            writer.put(f"limit {count}", operand=True)
            if writer.word() == "offset":
                writer.at += 1
                writer.put(f"offset {_row_count(writer)}", operand=True)
    if writer.word() == "rows" and writer.word(1) == "examined":
        writer.at += 3
    return True


def _row_count(writer: Writer) -> str:
    token = writer.tokens[writer.at]
    writer.at += 1
    if token.kind is Kind.NUMBER and token.value.isdigit():
        return token.value
    if token.kind is Kind.PARAMETER:
        return "$1"
    raise Unsupported("computed row count")


def _straight_join(writer: Writer) -> bool:
    writer.put("join")
    writer.at += 1
    return True


def _json_table(writer: Writer) -> bool:
    """JSON_TABLE(document, path COLUMNS (…)) AS t becomes a query: every column is computed from the document."""
    if writer.mark(1) != "(":
        return False
    start, end = _inner(writer)
    comma = _top(writer, start, end, ",")
    columns = _top(writer, start, end, "columns")
    if comma < 0 or columns < comma or writer.tokens[columns + 1].value != "(":
        raise Unsupported("unexpected json_table")
    document = writer.tokens[start:comma]
    names = _json_columns(writer, columns + 1)
    shown: list[Token] = []
    for name in names:
        if shown:
            shown.append(_token(Kind.PUNCTUATION, ","))
        shown += [_token(Kind.QUOTED, "json_extract"), _token(Kind.PUNCTUATION, "("), *document]
        shown += [_token(Kind.PUNCTUATION, ")"), _token(Kind.WORD, "as"), _token(Kind.QUOTED, name)]
    writer.put("lateral ( select")
    writer.calls.append("")
    writer.tokens[writer.at : end] = shown
    return True


def _json_columns(writer: Writer, at: int) -> list[str]:
    """The names of the columns listed in the parentheses at ``at``, those of nested paths included."""
    names: list[str] = []
    end = writer.group_end(at)
    index = at + 1
    first = True
    depth = 0
    while index < end:
        token = writer.tokens[index]
        if first and token.kind is Kind.WORD and token.value == "nested":
            inner = _top(writer, index, end, "columns")
            if inner < 0:
                raise Unsupported("unexpected json_table")
            names += _json_columns(writer, inner + 1)
            index = writer.group_end(inner + 1) + 1
            first = False
            continue
        if first:
            if token.kind not in (Kind.WORD, Kind.QUOTED):
                raise Unsupported("unexpected json_table")
            names.append(token.value)
            first = False
        elif token.kind is Kind.PUNCTUATION:
            depth += {"(": 1, ")": -1}.get(token.value, 0)
            first = token.value == "," and not depth
        index += 1
    return names


_CALL_WORDS: Final = dict.fromkeys(("substring", "substr", "mid", "trim", "position"), "")


def _special_call(writer: Writer) -> bool:
    """SUBSTRING(x FROM a FOR b), TRIM(LEADING a FROM x), POSITION(a IN x): words between arguments become commas."""
    if writer.mark(1) != "(":
        return False
    start, end = _inner(writer)
    name = writer.word()
    separators = ("in",) if name == "position" else ("from", "for")
    if name == "trim" and writer.word(2) in ("both", "leading", "trailing"):
        del writer.tokens[start]
        end -= 1
        if writer.tokens[start].value == "from":
            del writer.tokens[start]
            end -= 1
    while (at := _top(writer, start, end, *separators)) >= 0:
        writer.tokens[at] = _token(Kind.PUNCTUATION, ",")
    return False


HANDLERS: Final[Mapping[str, Handler]] = {
    "xor": _infix("<>"),
    "div": _infix("/"),
    "mod": _mod,
    **dict.fromkeys(("rlike", "regexp"), _infix("like")),
    "sounds": _sounds,
    "member": _member,
    "binary": _binary,
    "collate": _collate,
    "escape": rewrite_expressions.HANDLERS["escape"],
    "is": rewrite_expressions.HANDLERS["is"],
    **dict.fromkeys(("cast", "convert"), _cast),
    "char": _cut("using"),
    "weight_string": _cut("as", "level"),
    "json_value": _cut("returning", "default", "null", "error"),
    "extract": _extract,
    **dict.fromkeys(("timestampadd", "timestampdiff", "get_format"), _unit_call),
    "group_concat": _group_concat,
    "json_arrayagg": _cut("limit"),
    "interval": _interval,
    "match": _match,
    **dict.fromkeys(("values", "value"), _values),
    "default": _default,
    **dict.fromkeys(("next", "previous"), _sequence_value),
    **dict.fromkeys(("nextval", "lastval", "setval"), _sequence_call),
    **dict.fromkeys(_CALL_WORDS, _special_call),
    "with": _with,
    "as": _as,
    "from": _from,
    **dict.fromkeys(("respect", "ignore"), lambda writer: _nulls(writer) or _index_hint(writer)),
    **dict.fromkeys(("use", "force"), _index_hint),
    "partition": _partition,
    "for": _for,
    "lock": _lock,
    "limit": _limit,
    "offset": rewrite_clauses.HANDLERS["offset"],
    "fetch": rewrite_clauses.HANDLERS["fetch"],
    "straight_join": _straight_join,
    "cross": _skip(1),
    **dict.fromkeys(("left", "right", "insert", "replace", "update", "delete"), _function_or(None)),
    "table": _function_or(None),
    "distinctrow": _function_or(None, text="distinct"),
    **dict.fromkeys(("rows", "range"), rewrite_clauses.HANDLERS["rows"]),
    "over": rewrite_clauses.HANDLERS["over"],
    "json_table": _json_table,
}
