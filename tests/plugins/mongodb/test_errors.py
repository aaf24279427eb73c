"""Every error of the gateway has a code of MongoDB's, and says nothing that it must not."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import gateway_mongodb
from gateway.errors import AccessDenied, GatewayError, UpstreamUnavailable
from gateway_mongodb.errors import ERROR_CODES, code_of, error_document


def _subclasses(kind: type[GatewayError]) -> set[type[GatewayError]]:
    return {kind}.union(*(_subclasses(child) for child in kind.__subclasses__()))


def test_every_class_of_the_tree_has_its_row() -> None:
    importlib.import_module("gateway.errors")
    own = {kind for kind in _subclasses(GatewayError) if kind.__module__ == "gateway.errors"}
    assert own - ERROR_CODES.keys() == set()


def test_classes_from_elsewhere_take_their_ancestors_row() -> None:
    for module in pkgutil.iter_modules(gateway_mongodb.__path__, "gateway_mongodb."):
        importlib.import_module(module.name)
    for kind in _subclasses(GatewayError):
        assert any(ancestor in ERROR_CODES for ancestor in kind.__mro__)


def test_a_client_reads_the_authors_words_and_a_reference_but_no_detail() -> None:
    document = error_document(AccessDenied("policy x, because of y", message="ask your lead"), reference="s-1")
    assert document == {
        "ok": 0.0,
        "errmsg": "ask your lead (reference s-1)",
        "code": 13,
        "codeName": "Unauthorized",
    }
    assert "secret" not in str(error_document(GatewayError("secret")))
    assert code_of(GatewayError("x")).number == 1


def test_what_has_not_run_may_be_run_again() -> None:
    assert error_document(UpstreamUnavailable("gone"))["errorLabels"] == ["RetryableWriteError"]


def test_every_code_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs/protocols/mongodb.md").read_text("utf-8")
    assert {code for code in ERROR_CODES.values() if f"{code.number} {code.name}" not in page} == set()
