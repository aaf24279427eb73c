"""The masking plan: every agreement and disagreement of the two witnesses."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pluggy
import pytest

from gateway import PROJECT_NAME, hookspecs
from gateway.domain.decision import AccessRequest, SessionContext
from gateway.domain.masking import ColumnMask, MaskingPlan, MaskSpec, ResultColumn
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.domain.statement import ColumnRef, OutputColumn
from gateway.masking.functions import BUILTIN_FUNCTIONS, MaskingFunctions
from gateway.masking.keys import MaskingKeys
from gateway.masking.plan import MaskPlanner, plan

ID = ColumnRef("public", "customers", "id")
EMAIL = ColumnRef("public", "customers", "email")
CARD = ColumnRef("public", "customers", "card")
NOTE = ColumnRef("public", "customers", "note")
VIEW_EMAIL = ColumnRef("public", "contacts", "email")

REDACT = MaskSpec("redact")
PARTIAL = MaskSpec("partial", (("last", 4),))
HASH = MaskSpec("hash")
NULL = MaskSpec("null")

LABELS = {
    EMAIL: frozenset({"pii.email"}),
    CARD: frozenset({"pii.card"}),
    VIEW_EMAIL: frozenset({"pii.email"}),
    NOTE: frozenset({"internal"}),
}
MASKS = {"pii.email": frozenset({HASH}), "pii.card": frozenset({PARTIAL})}
EVERY_LABEL = ColumnMask(REDACT, frozenset({"pii.email", "pii.card"}))
"""The strictest of both is the hash, which is for bare columns only."""

functions = MaskingFunctions(BUILTIN_FUNCTIONS, MaskingKeys(b"k" * 32))


def origin(*columns: ColumnRef, exact: bool = True, lineage: OutputColumn | None = None) -> ResultColumn:
    return ResultColumn("x", frozenset(columns), origin_known=True, origin_exact=exact, lineage=lineage)


def expression(lineage: OutputColumn | None) -> ResultColumn:
    return origin(exact=False, lineage=lineage)


def lineage(*columns: ColumnRef, proven: bool = True, bare: bool = False) -> OutputColumn:
    return OutputColumn("x", frozenset(columns), proven=proven, bare=bare)


def bare(column: ColumnRef) -> OutputColumn:
    return lineage(column, bare=True)


def labels_of(column: ColumnRef) -> frozenset[str]:
    return LABELS.get(column, frozenset())


def mask(column: ResultColumn, masks: dict[str, frozenset[MaskSpec]] = MASKS) -> ColumnMask | None:
    (result,) = plan([column], masks, labels_of=labels_of, function=functions).columns
    return result


HASHED = ColumnMask(HASH, frozenset({"pii.email"}))
LAST_FOUR = ColumnMask(PARTIAL, frozenset({"pii.card"}))


def redacted(*labels: str) -> ColumnMask:
    return ColumnMask(REDACT, frozenset(labels))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        # The server knows a table's column; the lineage agrees, or has no opinion.
        (origin(CARD, lineage=bare(CARD)), LAST_FOUR),
        (origin(CARD, lineage=lineage(CARD)), LAST_FOUR),
        (origin(CARD, lineage=lineage(CARD, ID)), LAST_FOUR),
        (origin(CARD, lineage=lineage(CARD, EMAIL)), redacted("pii.card", "pii.email")),
        (origin(CARD), LAST_FOUR),
        (origin(CARD, lineage=lineage(proven=False)), LAST_FOUR),
        (origin(EMAIL, lineage=lineage(CARD, proven=False, bare=True)), HASHED),
        (origin(ID, lineage=bare(ID)), None),
        (origin(ID), None),
        (origin(ID, lineage=lineage(EMAIL, proven=False)), None),
        (origin(NOTE), None),
        # Both are sure and contradict each other: what either says counts, and nothing is bare.
        (origin(ID, lineage=bare(CARD)), redacted("pii.card")),
        (origin(CARD, lineage=bare(ID)), redacted("pii.card")),
        (origin(EMAIL, lineage=bare(CARD)), redacted("pii.email", "pii.card")),
        (origin(CARD, lineage=lineage()), redacted("pii.card")),
        # A view's column, or RETURNING: the server's word only adds.
        (origin(VIEW_EMAIL, EMAIL, exact=False, lineage=bare(EMAIL)), HASHED),
        (origin(VIEW_EMAIL, EMAIL, exact=False, lineage=lineage(EMAIL)), redacted("pii.email")),
        (origin(VIEW_EMAIL, EMAIL, exact=False, lineage=lineage(EMAIL, ID)), redacted("pii.email")),
        (origin(VIEW_EMAIL, EMAIL, exact=False), EVERY_LABEL),
        (origin(VIEW_EMAIL, EMAIL, exact=False, lineage=lineage(EMAIL, proven=False)), EVERY_LABEL),
        (origin(ID, exact=False, lineage=bare(CARD)), redacted("pii.card")),
        (origin(CARD, exact=False, lineage=bare(ID)), redacted("pii.card")),
        (origin(CARD, ID, exact=False, lineage=bare(ID)), redacted("pii.card")),
        (origin(ID, exact=False, lineage=bare(ID)), None),
        (origin(ID, exact=False), EVERY_LABEL),
        # Several columns behind a table's column cannot be one bare value.
        (origin(CARD, ID), redacted("pii.card")),
        # An expression: the lineage alone, if it is proven.
        (expression(lineage(CARD)), redacted("pii.card")),
        (expression(bare(CARD)), LAST_FOUR),
        (expression(lineage(CARD, EMAIL, bare=True)), redacted("pii.card", "pii.email")),
        (expression(lineage()), None),
        (expression(lineage(ID)), None),
        (expression(lineage(ID, proven=False)), EVERY_LABEL),
        (expression(lineage(proven=False)), EVERY_LABEL),
        (expression(None), EVERY_LABEL),
        (origin(exact=True), EVERY_LABEL),
        # The server names an object that the catalog does not know.
        (replace(origin(ID, lineage=bare(ID)), origin_known=False), EVERY_LABEL),
        (replace(origin(CARD, lineage=bare(CARD)), origin_known=False), EVERY_LABEL),
        (replace(expression(None), origin_known=False), EVERY_LABEL),
    ],
)
def test_what_two_witnesses_make_of_a_column(column: ResultColumn, expected: ColumnMask | None) -> None:
    assert mask(column) == expected


def all_columns() -> list[ResultColumn]:
    sets = [frozenset[ColumnRef](), frozenset({ID}), frozenset({CARD}), frozenset({CARD, ID})]
    lineages = [None, *(OutputColumn("x", s, p, b) for s in sets for p in (False, True) for b in (False, True))]
    return [
        ResultColumn("x", origins, known, exact, opinion)
        for origins, known, exact, opinion in itertools.product(sets, (False, True), (False, True), lineages)
    ]


def test_a_column_goes_free_only_if_somebody_has_shown_that_it_may() -> None:
    for column in all_columns():
        proven = column.lineage is not None and column.lineage.proven
        named = column.origins | (column.lineage.sources if column.lineage is not None and proven else frozenset())
        shown = column.origin_known and (proven or (column.origin_exact and bool(column.origins)))
        assert (mask(column) is None) == (shown and CARD not in named), column


def test_part_of_a_value_is_shown_only_if_no_witness_objects() -> None:
    for column in all_columns():
        result = mask(column)
        if result is not None and result.spec == PARTIAL:
            assert CARD in column.origins or (column.lineage is not None and CARD in column.lineage.sources)
            if column.lineage is not None and column.lineage.proven:
                assert CARD in column.lineage.sources


def test_of_several_functions_the_strictest_wins() -> None:
    masks = {"pii.card": frozenset({PARTIAL, HASH}), "pii.email": frozenset({NULL})}
    assert mask(origin(CARD), masks) == ColumnMask(HASH, frozenset({"pii.card"}))
    assert mask(expression(lineage(CARD, EMAIL)), masks) == ColumnMask(NULL, frozenset({"pii.card", "pii.email"}))
    assert mask(expression(None), masks) == ColumnMask(NULL, frozenset({"pii.card", "pii.email"}))


def test_a_label_without_a_function_is_redacted() -> None:
    assert mask(origin(CARD), {"pii.card": frozenset()}) == redacted("pii.card")


def test_nothing_is_masked_for_somebody_without_masks() -> None:
    assert mask(expression(None), {}) is None
    assert mask(origin(CARD), {"pii.other": frozenset({REDACT})}) is None


def test_the_planner_is_a_plugin_and_asks_for_the_labels_of_the_resource() -> None:
    resource = Resource("shop-prod", "postgres", "db.example.com", 5432)
    asked: list[str] = []

    def resource_labels(asked_for: Resource, column: ColumnRef) -> frozenset[str]:
        asked.append(asked_for.name)
        return labels_of(column)

    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(MaskPlanner(resource_labels, functions))
    manager.check_pending()
    request = AccessRequest(
        Principal("ana@example.com"), resource, SessionContext("s", "postgres", "127.0.0.1", tls=True)
    )
    (answer,) = manager.hook.plan_masking(request=request, columns=[origin(ID), origin(CARD)], masks=MASKS)
    assert answer == MaskingPlan((None, LAST_FOUR))
    assert set(asked) == {"shop-prod"}
