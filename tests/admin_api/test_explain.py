"""Explanations through the API: of the store as it is now, of databases as they were at most seconds ago."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from admin_api.explain.service import LONGEST, Explainer
from gateway.policy.explain import TOLD
from gateway.testing.shop import Shop
from tests.fixtures.admin import AdminApi, StartApi, with_owner
from tests.fixtures.control_plane import shop_sections
from tests.fixtures.gateway import ANALYST, RESOURCE, default_policies

EMAILS = "SELECT email FROM customers"


def with_shop(api: AdminApi, shop: Shop, password: object = None) -> AdminApi:
    """The shop in its store, and an explainer that lives by the API's clock."""
    api.app.state.explainer = Explainer(monotonic=api.clock.monotonic)
    sections = shop_sections(shop, default_policies())
    if password is not None:
        sections["resources"][0]["credentials"]["password"] = password
    answer = api.post("/v1/apply", {"sections": sections})
    assert answer.status_code == 200, answer.text
    return api


def ask(api: AdminApi, statement: str = EMAILS, status: int = 200) -> Any:
    answer = api.post("/v1/explain", {"principal": ANALYST, "resource": RESOURCE, "statement": statement})
    assert answer.status_code == status, answer.text
    return answer.json()


def masks(explanation: Any) -> list[Any]:
    return [column["mask"] for statement in explanation["statements"] for column in statement["columns"]]


def test_it_follows_the_store_at_once(api: AdminApi, shop_database: Shop) -> None:
    with_shop(api, shop_database)
    assert all(masks(ask(api)))
    assert ask(api) == ask(api)
    (masking,) = [policy["name"] for policy in api.get("/v1/policies").json()["items"] if policy["effect"] == "mask"]
    assert api.delete(f"/v1/policies/{masking}").status_code == 204
    assert masks(ask(api)) == [None]
    assert api.delete(f"/v1/principals/{ANALYST}").status_code == 204
    ask(api, status=404)


def test_it_follows_the_database_within_seconds(api: AdminApi, fresh_shop: Shop) -> None:
    with_shop(api, fresh_shop)
    unknown = ask(api, "SELECT note FROM later")
    assert unknown["refusal"] is not None
    fresh_shop.psql("CREATE TABLE later (note text)")
    # Within these seconds the database is not asked again, however many explanations are.
    assert ask(api, "SELECT note FROM later") == unknown
    api.clock.forward(seconds=TOLD)
    assert ask(api, "SELECT note FROM later")["refusal"] is None


def test_a_database_of_which_nothing_is_known_any_more_is_not_explained(api: AdminApi, fresh_shop: Shop) -> None:
    with_shop(api, fresh_shop)
    ask(api)
    fresh_shop.server.psql(f"ALTER ROLE {fresh_shop.user} CONNECTION LIMIT 0")
    try:
        api.clock.forward(seconds=TOLD)
        ask(api, status=503)
    finally:
        fresh_shop.server.psql(f"ALTER ROLE {fresh_shop.user} CONNECTION LIMIT -1")
    api.clock.forward(seconds=TOLD)
    ask(api)


def test_a_password_in_a_file_is_read_again(start_api: StartApi, tmp_path: Path, shop_database: Shop) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    file = folder / "shop"
    file.write_text("not yet known")
    api = with_owner(start_api(control_plane={"secrets": {"folder": str(folder)}}))
    with_shop(api, shop_database, {"file": str(file)})
    ask(api, status=503)
    file.write_text(shop_database.password)
    api.clock.forward(seconds=TOLD)
    ask(api)
    file.write_text("another one, which the database does not know")
    api.clock.forward(seconds=TOLD)
    ask(api)
    api.clock.forward(seconds=LONGEST)
    ask(api, status=503)
