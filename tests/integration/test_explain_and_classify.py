"""``policy explain`` and ``classify`` on the shop: what they say is what is so."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli import app
from gateway.config import load_config
from gateway.testing.shop import SENSITIVE_COLUMNS, Shop
from tests.fixtures.gateway import ADMIN, ANALYST, RESOURCE, SUPPORT, RunningGateway, gateway_config


@dataclass(frozen=True, slots=True)
class Setting:
    """A configuration on disk, and what its secrets are."""

    path: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, *arguments: str) -> Any:
        """The command's result; it must not end with an exception that nobody expected."""
        return CliRunner().invoke(app, [*arguments, "--config", str(self.path)], env=self.environment)


def written(folder: Path, config: dict[str, Any], shop: Shop) -> Setting:
    path = folder / "querygate.yaml"
    path.write_text(json.dumps(config))
    return Setting(path, {"SHOP_PASSWORD": shop.password, "TEST_TOKEN": secrets.token_urlsafe(32)})


@pytest.fixture
def unlabelled(tmp_path: Path, shop_database: Shop) -> Setting:
    """A gateway's configuration before anybody has classified anything."""
    config = gateway_config(shop_database, port=6432, tls=False)
    config["classifications"] = []
    config["policies"] = [policy for policy in config["policies"] if policy["effect"] != "mask"]
    return written(tmp_path, config, shop_database)


# --- classify -------------------------------------------------------------------------------------------------------


def proposed(document: str) -> dict[str, set[str]]:
    """Columns by label."""
    found = yaml.safe_load(document)["classifications"]
    return {item["label"]: set(item["columns"]) for item in found}


def test_classify_finds_what_is_sensitive_and_nothing_among_ids(unlabelled: Setting) -> None:
    result = unlabelled.run("classify", RESOURCE)
    assert result.exit_code == 0, result.output
    labels = proposed(result.stdout)
    for label, columns in SENSITIVE_COLUMNS.items():
        assert labels[label] >= set(columns), label
    everything = set[str]().union(*labels.values())
    assert not {column for column in everything if column.startswith("public.orders")}, everything
    assert not {column for column in everything if column.startswith(("public.products", "public.order_items"))}
    assert "public.customers.id" not in everything
    # Views are not classified (lineage sees through them), partitions and children follow their parent.
    assert not {column for column in everything if "customer_contacts" in column or "contractors" in column}
    assert "public.contractors.home_email" in result.stdout


def test_classify_shows_shapes_and_no_values(unlabelled: Setting, shop_database: Shop) -> None:
    result = unlabelled.run("classify", RESOURCE)
    output = result.stdout + result.stderr
    assert "x….x….999@x….x…" in output
    rows = shop_database.psql("SELECT full_name, email, phone, tax_number, card_number FROM customers").splitlines()
    values = {value.strip() for row in rows for value in row.split("|") if value.strip()}
    assert len(values) > 500
    assert not {value for value in values if value in output}


def test_a_reviewed_proposal_labels_what_it_says(unlabelled: Setting, tmp_path: Path) -> None:
    proposal = tmp_path / "proposal.yaml"
    result = unlabelled.run("classify", RESOURCE, "--output", str(proposal))
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    again = unlabelled.run("classify", RESOURCE, "--output", str(proposal))
    assert "exists" in str(again.exception)

    config = json.loads(unlabelled.path.read_text())
    config["classifications"] = yaml.safe_load(proposal.read_text())["classifications"]
    unlabelled.path.write_text(json.dumps(config))
    loaded = load_config(unlabelled.path, environ=unlabelled.environment)
    assert len(loaded.classifications) >= sum(map(len, SENSITIVE_COLUMNS.values()))
    result = unlabelled.run("classify", RESOURCE)
    assert yaml.safe_load(result.stdout) == {"classifications": []}
    assert "labelled already" in result.stderr


ODDITIES = """
CREATE SCHEMA "we.ird";
CREATE TABLE "we.ird"."a b" (
    "e""mail" text, bank_account text, "lastLoginIp" inet, lat numeric, lng numeric, password_hash text,
    street text, profile jsonb, contacts text[], note text, "createdBy" uuid, flags boolean, email_verified boolean
);
INSERT INTO "we.ird"."a b"
SELECT 'ana' || i || '@example.com', 'GB82 WEST 1234 5698 7654 32', ('192.0.2.' || i)::inet, 60.39 + i / 10000.0,
       5.32 + i / 10000.0, '$2b$12$' || md5(i::text), i || ' Harbour Street',
       jsonb_build_object('theme', 'dark', 'mail', 'ana' || i || '@example.com'),
       ARRAY['+47 555 010 ' || 100 + i, 'x'], 'order ' || i, gen_random_uuid(), i % 2 = 0, true
FROM generate_series(1, 60) i;
CREATE TABLE many AS SELECT i AS id, 'user' || i || '@example.com' AS reached_at FROM generate_series(1, 20000) i;
ANALYZE many;
CREATE TABLE nothing (email text, amount numeric);
"""


def test_classify_copes_with_odd_names_types_and_tables(tmp_path: Path, fresh_shop: Shop) -> None:
    fresh_shop.psql(ODDITIES)
    fresh_shop.server.psql("CREATE TABLE forbidden (email text)", database=fresh_shop.database)
    config = gateway_config(fresh_shop, port=6432, tls=False)
    config["classifications"] = []
    setting = written(tmp_path, config, fresh_shop)
    with psycopg.connect(fresh_shop.dsn()) as blocker:
        blocker.execute("LOCK TABLE staff IN ACCESS EXCLUSIVE MODE")
        result = setting.run("classify", RESOURCE, "--sample", "50")
    assert result.exit_code == 0, result.output
    labels = proposed(result.stdout)
    odd = "we?ird.a b."
    assert labels["pii.email"] >= {f'{odd}e"mail', f"{odd}profile", "public.many.reached_at", "public.nothing.email"}
    assert f"{odd}bank_account" in labels["finance.iban"]
    assert f"{odd}lastLoginIp" in labels["pii.ip_address"]
    assert {f"{odd}lat", f"{odd}lng"} <= labels["pii.location"]
    assert f"{odd}password_hash" in labels["secret.credential"]
    assert f"{odd}street" in labels["pii.address"]
    assert f"{odd}contacts" in labels["pii.phone"]
    quiet = {"note", "createdBy", "flags", "email_verified"}
    assert not {column for found in labels.values() for column in found} & {odd + name for name in quiet}
    # What could not be read is said, and labelled by its names.
    assert "public.forbidden: the server answered with SQLSTATE 42501" in result.stderr
    assert "public.staff: the server answered with SQLSTATE 55P03" in result.stderr
    assert {"public.forbidden.email", "public.staff.home_email"} <= labels["pii.email"]
    # The patterns are good for the configuration.
    config["classifications"] = yaml.safe_load(result.stdout)["classifications"]
    setting.path.write_text(json.dumps(config))
    assert yaml.safe_load(setting.run("classify", RESOURCE).stdout) == {"classifications": []}


def test_classify_says_what_is_wrong(unlabelled: Setting, shop_database: Shop) -> None:
    wrong = unlabelled.run("classify", "shop-pro")
    assert 'did you mean "shop-prod"' in str(wrong.exception)
    gone = unlabelled.run("classify", RESOURCE, "--database", "nowhere")
    assert "SQLSTATE 3D000" in str(gone.exception)


# --- explain --------------------------------------------------------------------------------------------------------

CASES = [
    (ANALYST, "SELECT id, email, upper(email) AS loud, city FROM customers ORDER BY id LIMIT 5"),
    (ANALYST, "SELECT * FROM customer_contacts ORDER BY id LIMIT 3"),
    (ANALYST, "SELECT o.id, c.phone FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id LIMIT 3"),
    (ANALYST, "WITH x AS (SELECT * FROM customers ORDER BY id LIMIT 3) SELECT full_name AS n, card_number AS k FROM x"),
    (ANALYST, "SELECT count(*) AS n, max(salary) AS most, min(job) AS job FROM staff"),
    (ANALYST, "SELECT (c).tax_number, row_to_json(c)::text FROM customers c ORDER BY id LIMIT 2"),
    (ANALYST, "SELECT city AS v FROM customers UNION SELECT home_email FROM staff ORDER BY 1 LIMIT 4"),
    (ANALYST, "SELECT full_name, email, spent FROM top_customers ORDER BY id LIMIT 3"),
    (SUPPORT, "SELECT id, email FROM customers ORDER BY id LIMIT 2"),
    (ADMIN, "SELECT id, email FROM customers ORDER BY id LIMIT 2"),
    (ANALYST, "DELETE FROM orders"),
    (ANALYST, "CREATE TABLE stolen AS SELECT email FROM customers"),
    (ANALYST, "DO $$ BEGIN PERFORM 1; END $$"),
    (ANALYST, "INSERT INTO products (sku, name, category, price) SELECT email, email, 'x', 1 FROM customers"),
    (ANALYST, "SELECT customer_email(1)"),
    (ANALYST, "EXPLAIN SELECT 1 FROM customers WHERE email = 'ana@example.com'"),
    (SUPPORT, "DROP TABLE orders"),
]


@pytest.mark.parametrize(("principal", "sql"), CASES)
def test_explain_says_what_the_gateway_then_does(
    principal: str, sql: str, plain_gateway: RunningGateway, shop_database: Shop
) -> None:
    environment = {"SHOP_PASSWORD": shop_database.password, "TEST_TOKEN": plain_gateway.token}
    setting = Setting(plain_gateway.folder / "querygate.yaml", environment)
    result = setting.run("policy", "explain", "--as", principal, "--resource", RESOURCE, "--json", sql)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    with psycopg.connect(plain_gateway.conninfo(principal)) as connection:
        if not told["allowed"]:
            with pytest.raises(psycopg.Error) as refusal:
                connection.execute(sql)
            assert told["client_message"] in str(refusal.value)
            return
        shown = connection.execute(sql).fetchall()
    with psycopg.connect(shop_database.dsn()) as direct:
        real = direct.execute(sql).fetchall()
    (statement,) = told["statements"]
    assert [column["name"] for column in statement["columns"]]
    for index, column in enumerate(statement["columns"]):
        seen, stored = [row[index] for row in shown], [row[index] for row in real]
        if column["mask"] is None:
            assert seen == stored, column
        else:
            assert all(a is None or a != b for a, b in zip(seen, stored, strict=True)), column
            assert column["mask"]["function"] == "redact"


@pytest.fixture
def labelled(tmp_path: Path, shop_database: Shop) -> Setting:
    """The usual configuration, with policies that decide nothing yet and limits."""
    config = gateway_config(shop_database, port=6432, tls=False)
    config["policies"] += [
        {"name": "soon", "effect": "deny", "mode": "warn", "match": {"actions": ["read"]}, "message": "not for long"},
        {"name": "idea", "effect": "deny", "mode": "draft", "match": {"when": "session.application == 'psql'"}},
        {"name": "little", "effect": "limit", "match": {"kinds": ["agent"]}, "limit": {"rows": 10, "timeout": "5s"}},
    ]
    config["principals"].append(
        {"name": "copilot", "kind": "agent", "groups": ["admins"], "acts_for": ANALYST, "token": {"env": "TEST_TOKEN"}}
    )
    return written(tmp_path, config, shop_database)


def explained(setting: Setting, principal: str, sql: str, *more: str) -> str:
    result = setting.run("policy", "explain", "--as", principal, "--resource", RESOURCE, *more, sql)
    assert result.exit_code == 0, (result.output, result.exception)
    return " ".join(result.stdout.split())


def test_explain_names_the_policies_and_the_guard(labelled: Setting) -> None:
    text = explained(labelled, ANALYST, "SELECT email FROM customers WHERE phone = '1'", "--application", "psql")
    assert "columns filtered public.customers.phone" in text
    assert "email public.customers.email yes yes pii.email redact" in text
    assert "by lineage alone" in text
    assert "decision allow" in text
    assert "soon (deny): warn" in text
    assert "idea (deny): draft" in text
    assert "notice not for long" in text
    assert "the database would see it" in text
    assert "idea" not in explained(labelled, ANALYST, "SELECT email FROM customers")

    text = explained(labelled, ANALYST, "DELETE FROM orders")
    assert "predicate absent" in text
    assert "decision deny: denied by policy no-delete-without-where" in text
    assert "client reads say which rows" in text

    text = explained(labelled, ANALYST, "SELECT customer_email(1)")
    assert "opaque no" not in text
    assert "refused by the masking guard" in text


def test_explain_joins_what_binds_an_agent_and_whom_it_acts_for(labelled: Setting) -> None:
    text = explained(labelled, "copilot", "SELECT email FROM customers; DROP TABLE orders")
    assert "copilot, for ana@example.com" in text
    assert "statement 1" in text
    assert "statement 2" in text
    assert "mask redact: finance.salary" in text
    assert "row limit 10" in text
    assert "timeout 5 s" in text
    assert "decision deny: no policy allows drop here" in text


def test_explain_runs_nothing_and_leaves_nothing_behind(labelled: Setting, shop_database: Shop) -> None:
    before = shop_database.psql("SELECT count(*) FROM orders")
    text = explained(labelled, ADMIN, "DELETE FROM order_items; DELETE FROM orders")
    assert "the database would see it" in text
    assert shop_database.psql("SELECT count(*) FROM orders") == before
    assert [path.name for path in labelled.path.parent.iterdir()] == ["querygate.yaml"]


def test_explain_says_that_no_session_would_open(tmp_path: Path, shop_database: Shop) -> None:
    config = gateway_config(shop_database, port=6432, tls=False)
    config["policies"] = [{"name": "admins", "effect": "allow", "match": {"groups": ["admins"]}}]
    setting = written(tmp_path, config, shop_database)
    text = explained(setting, ANALYST, "SELECT 1")
    assert "session refused: no policy allows anything on resource shop-prod" in text
    result = setting.run("policy", "explain", "--as", ANALYST, "--resource", RESOURCE, "--json", "SELECT 1")
    assert json.loads(result.stdout)["refused_by"] == "session"


def test_explain_resolves_names_as_a_session_does(tmp_path: Path, fresh_shop: Shop) -> None:
    name = fresh_shop.database
    fresh_shop.psql("CREATE SCHEMA other; CREATE TABLE other.customers (email text)")
    fresh_shop.psql(f"ALTER DATABASE {name} SET search_path = other, public")
    setting = written(tmp_path, gateway_config(fresh_shop, port=6432, tls=False), fresh_shop)
    assert "reads other.customers" in explained(setting, ANALYST, "SELECT email FROM customers")


def test_explain_says_what_is_wrong(labelled: Setting) -> None:
    arguments = ("policy", "explain", "--resource", RESOURCE, "--as")
    assert 'did you mean "ana@example.com"' in str(labelled.run(*arguments, "anna@example.com", "SELECT 1").exception)
    gone = labelled.run(*arguments, ANALYST, "--database", "nowhere", "SELECT 1")
    assert "SQLSTATE 3D000" in str(gone.exception)
