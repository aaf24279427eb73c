"""Explanations as text and as JSON; what is in them is tested on a database (``tests/integration``)."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console

from gateway.domain.decision import Decision, Effect, Mode, Obligations, PolicyHit
from gateway.domain.masking import ColumnMask, MaskSpec
from gateway.domain.statement import ColumnRef, OutputColumn
from gateway.policy.explanation import ExplainedColumn, ExplainedStatement, Explanation, as_document, show_mask
from gateway.policy.explanation_text import print_explanation
from tests.gateway.policy.builders import ANA, SHOP, agent, facts

EMAIL = ColumnRef("public", "customers", "email")
PARTIAL = MaskSpec("partial", (("last", 4),))
DECISION = Decision(
    Effect.ALLOW,
    "allowed by policy",
    hits=(PolicyHit("readers", Effect.ALLOW), PolicyHit("soon", Effect.DENY, Mode.WARN)),
    obligations=Obligations(masks={"pii.email": frozenset({PARTIAL})}, row_limit=10, timeout=2.5, inference=False),
    cacheable=False,
    warnings=("not for long",),
)
COLUMNS = (
    ExplainedColumn(
        OutputColumn("email", frozenset({EMAIL}), proven=True, bare=True),
        frozenset({"pii.email"}),
        ColumnMask(PARTIAL, frozenset({"pii.email"})),
    ),
    ExplainedColumn(OutputColumn("[red]\x1b[31m"), None, ColumnMask(MaskSpec("redact"), frozenset({"pii.email"}))),
)
READ = ExplainedStatement(facts("read", reads=["public.customers"], kind="select"), frozenset({"pii.email"}), COLUMNS)
ALLOWED = Explanation(ANA, SHOP, "shop", DECISION, (READ,), DECISION, redacts_messages=True)


def text(explanation: Explanation) -> str:
    stream = io.StringIO()
    print_explanation(explanation, Console(file=stream, width=160, highlight=False, soft_wrap=True))
    return stream.getvalue()


def test_the_text_says_all_of_it() -> None:
    shown = " ".join(text(ALLOWED).split())
    for piece in (
        "who ana@example.com on shop-prod, database shop",
        "kind select: read",
        "reads public.customers",
        "email public.customers.email yes yes pii.email partial(last=4)",
        "unknown no no every label redact",
        "decision allow: allowed by policy",
        "the answer may be another one at another time",
        "readers (allow): allows",
        "soon (deny): warn",
        "notice not for long",
        "mask partial(last=4): pii.email",
        "inference masked columns may not be used",
        "row limit 10",
        "timeout 2.5 s",
        "the database would see it",
        "would be withheld",
    ):
        assert piece in shown, piece
    # Names of columns come from whoever wrote the statement.
    assert "\x1b" not in shown


def test_a_refusal_says_whose_it_is_and_what_the_client_reads() -> None:
    refused = replace(ALLOWED, refusal="cannot be analysed", client_message="access denied", masking_refusal=True)
    assert "refused by the masking guard: cannot be analysed" in text(refused)
    assert "client reads     access denied" in text(refused)
    assert as_document(refused)["refused_by"] == "masking guard"
    assert as_document(replace(refused, masking_refusal=False))["refused_by"] == "policy"


def test_statements_without_a_known_result_say_what_then_happens() -> None:
    nothing = replace(ALLOWED, statements=(replace(READ, columns=None), READ))
    shown = text(nothing)
    assert "statement 2" in shown
    assert "not known from the text" in shown
    document = as_document(nothing)
    assert isinstance(document["statements"], list)
    assert document["statements"][0]["columns"] is None


def test_no_session_no_statement() -> None:
    shown = Explanation(agent(), SHOP, "shop", Decision(Effect.DENY, "nobody"), refusal="nobody", client_message="no")
    assert "copilot, for ana@example.com" in text(shown)
    assert "session          refused: nobody" in text(shown)
    assert as_document(shown)["allowed"] is False
    assert as_document(shown)["decision"] is None


def test_the_document_is_json_and_tells_unknown_from_none() -> None:
    document = json.loads(json.dumps(as_document(ALLOWED)))
    columns = document["statements"][0]["columns"]
    assert [column["labels"] for column in columns] == [["pii.email"], None]
    assert columns[0]["mask"] == {"function": "partial(last=4)", "for_labels": ["pii.email"]}
    assert document["decision"]["obligations"]["masks"] == {"pii.email": ["partial(last=4)"]}
    assert document["decision"]["depends_on_time"] is True
    assert show_mask(MaskSpec("redact")) == "redact"
