"""The documentation says what is there, and what it points at exists."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gateway import hookspecs
from gateway.errors import GatewayError
from gateway_postgres.errors import ERROR_CODES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
HOOKS = {name: spec for name, spec in vars(hookspecs).items() if hasattr(spec, "querygate_spec")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} points at {target}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 200


def test_every_hook_is_documented_with_its_arguments() -> None:
    documented = dict(re.findall(r"^### `(\w+)\((.*)\)`$", (ROOT / "docs/plugins.md").read_text("utf-8"), re.MULTILINE))
    actual = {name: ", ".join(inspect.signature(spec).parameters) for name, spec in HOOKS.items()}
    assert documented == actual


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_every_hook_says_when_it_is_called_and_what_an_exception_means(name: str) -> None:
    text = inspect.getdoc(HOOKS[name]) or ""
    assert "Called" in text
    assert re.search(r"exception|raise", text, re.IGNORECASE), "what a failure means"


def test_every_error_of_the_gateway_has_its_sqlstate_in_the_documentation() -> None:
    page = (ROOT / "docs/protocols/postgres.md").read_text("utf-8")
    internal = {"XX000"}
    codes = {code for mapped in ERROR_CODES.values() for code in (mapped.statement, mapped.session)}
    assert {code for code in codes - internal if code not in page} == set()


def test_client_messages_are_constants_that_hold_no_policy() -> None:
    def subclasses(kind: type[GatewayError]) -> list[type[GatewayError]]:
        return [kind, *(found for sub in kind.__subclasses__() for found in subclasses(sub))]

    for kind in subclasses(GatewayError):
        assert isinstance(kind.client_message, str)
        assert kind.client_message
        assert "{" not in kind.client_message
