"""Credentials in statements: none stays in a text that others may read, and other texts stay as they are."""

from __future__ import annotations

import random

import pytest

from gateway.audit.event import encode_ruling
from gateway.domain.decision import Decision, Effect
from gateway.domain.statement import Analysis
from gateway.sql.analyse import analyse
from gateway.sql.credentials import WITHHELD, conceal, holds_login, readable
from gateway.sql.state import MySqlResolution, NameResolution

CANARY = "canary"

POSTGRES = (
    "ALTER USER bob PASSWORD 'canary'",
    "ALTER USER bob PASSWORD canary",
    'ALTER USER bob PASSWORD "canary"',
    "ALTER USER bob PASSWORD E'can\\'canary'",
    "ALTER USER bob PASSWORD U&'canary'",
    "ALTER USER bob PASSWORD $a$canary$a$",
    "ALTER USER bob PASSWORD 'x'\n'canary'",
    "ALTER USER bob PASSWORD 'canary",
    "ALTER USER bob PASSWORD $$canary",
    "ALTER USER bob PASWORD 'canary'",
    "ALTR USER bob PASSWORD 'canary'",
    "/* it's canary */ ALTER USER bob PASSWORD 'x'",
    "ALTER USER bob PASSWORD /* 'x' */ 'canary'",
    "ALTER USER bob -- canary\n PASSWORD 'x'",
    "ALTER ROLE bob WITH ENCRYPTED PASSWORD 'canary' VALID UNTIL 'infinity'",
    "CREATE ROLE bob LOGIN PASSWORD $$canary$$",
    "CREATE USER bob WITH PASSWORD 'SCRAM-SHA-256$4096:canary'",
    "SELECT 1; ALTER USER bob PASSWORD 'canary'; SELECT 2",
    "DO $$BEGIN EXECUTE 'ALTER USER bob PASSWORD ''canary'''; END$$",
    "DO $$BEGIN ALTER USER bob PASSWORD 'canary'; END$$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ALTER USER bob PASSWORD 'canary'; SELECT 1$$",
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h', password 'canary')",
    "CREATE USER MAPPING FOR bob SERVER s OPTIONS (user 'b', password 'canary')",
    "ALTER USER MAPPING FOR bob SERVER s OPTIONS (SET secret_key 'canary')",
    "CREATE SUBSCRIPTION s CONNECTION 'host=h password=canary' PUBLICATION p",
    "ALTER SUBSCRIPTION s CONNECTION 'postgresql://u:canary@h/d'",
    "ALTER SYSTEM SET primary_conninfo = 'host=h password=canary'",
    "SELECT * FROM dblink('host=h password=canary', 'SELECT 1') AS t (a int)",
    "SELECT dblink_connect('c', 'postgresql://u:canary@h/d')",
    "SELECT pgp_sym_encrypt(email, 'canary') FROM customers",
    "SELECT public.pgp_sym_decrypt(secret, $$canary$$) FROM customers",
    "SELECT encrypt('x', 'canary', 'aes'), hmac('x', 'canary', 'sha256'), crypt('canary', gen_salt('bf'))",
    "EXPLAIN SELECT pgp_sym_encrypt('x', 'canary')",
    "PREPARE p AS SELECT pgp_sym_encrypt('x', 'canary')",
    "EXECUTE p('x', 'canary')",
    "COPY t FROM PROGRAM 'curl -u bob:canary https://h/'",
    "COPY t TO PROGRAM 'curl https://bob:canary@h/'",
    "SELECT format('ALTER USER %I PASSWORD %L', 'bob', 'canary')",
    "SELECT set_user_password('bob', 'canary')",
    "SET shop.password = 'canary'",
    "UPDATE pg_authid SET rolpassword = 'canary' WHERE rolname = 'bob'",
    "ALTER ROLE bob SET shop.secret TO 'canary'",
    "SECURITY LABEL ON ROLE bob IS 'password=canary'",
)
MYSQL = (
    "CREATE USER 'bob'@'%' IDENTIFIED BY 'canary'",
    "CREATE USER bob IDENTIFIED BY 'x' REPLACE 'canary'",
    "ALTER USER bob IDENTIFIED BY canary",
    'ALTER USER bob IDENTIFIED BY "canary"',
    "ALTER USER bob IDENTIFIED BY `canary`",
    "ALTER USER bob IDENTIFIED BY 'can\\'canary'",
    "ALTER USER bob IDENTIFIED BY _utf8mb4'canary'",
    "ALTER USER bob IDENTIFIED BY N'canary'",
    "ALTER USER bob /*!50000 IDENTIFIED BY 'canary' */",
    "ALTER USER bob IDENTIFIED BY 'x' # canary",
    "ALTER USER bob IDENTIFIED WITH caching_sha2_password BY 'canary'",
    "ALTER USER bob IDENTIFIED WITH mysql_native_password AS '*canary'",
    "ALTER USER bob IDENTIFIED VIA ed25519 USING PASSWORD('canary')",
    "ALTER USER bob IDENTIFIED VIA mysql_native_password USING '*canary'",
    "GRANT ALL ON *.* TO bob IDENTIFIED BY 'canary'",
    "GRANT ALL ON *.* TO bob IDENTIFIED BY PASSWORD '*canary'",
    "SET PASSWORD = PASSWORD('canary')",
    "SET PASSWORD FOR 'bob'@'%' = 'canary'",
    "SET PASSWORD FOR bob = canary",
    "SET STATEMENT max_statement_time = 5 FOR SET PASSWORD = 'canary'",
    "CHANGE MASTER TO MASTER_HOST = 'h', MASTER_PASSWORD = 'canary'",
    "CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD = 'canary'",
    "START SLAVE USER = 'r' PASSWORD = 'canary'",
    "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'b', PASSWORD 'canary')",
    "CREATE TABLE t (a int) ENGINE = FEDERATED CONNECTION = 'mysql://u:canary@h/d/t'",
    "SELECT AES_ENCRYPT(email, 'canary') FROM customers",
    "SELECT AES_DECRYPT(x, 'canary'), DES_ENCRYPT('x', 'canary')",
    "SELECT PASSWORD('canary')",
    "UPDATE mysql.user SET authentication_string = 'canary' WHERE user = 'bob'",
    "PREPARE s FROM 'ALTER USER bob IDENTIFIED BY ''canary'''",
    "EXECUTE IMMEDIATE 'ALTER USER bob IDENTIFIED BY ''canary'''",
    "SET @statement = 'CREATE USER bob IDENTIFIED BY ''canary'''",
    "SET GLOBAL wsrep_sst_auth = 'bob:canary'",
    "CALL set_password('bob', 'canary')",
    "ALTER USER bob IDENTIFED BY 'canary'",
    "ALTER USER bob IDENTIFIED BY 'canary",
)
ACCOUNTS = ("ALTER USER", "ALTER ROLE", "CREATE USER", "CREATE ROLE", "GRANT", "SET PASSWORD", "CHANGE")

KEPT = (
    "SELECT id FROM users WHERE password = 'plain' AND id = 5",
    "UPDATE users SET password_changed = 'today' WHERE id = 5",
    "INSERT INTO letters VALUES ('please reset my password')",
    "ALTER TABLE users ADD COLUMN password varchar(255) DEFAULT 'none'",
    "SELECT 'https://example.com/a?b=c'",
    "INSERT INTO people VALUES ('ana@example.com', 'https://example.com')",
    "CREATE TABLE t (secret_number int DEFAULT 7)",
)
"""What speaks of passwords and holds none: the values are of rows, and labels are there to protect them."""


def read(text: str, dialect: str) -> Analysis:
    return analyse(text, NameResolution() if dialect == "postgres" else MySqlResolution(), None, dialect=dialect)


def leaves(text: str, analysis: Analysis) -> str:
    """What anybody else may read of a statement: the text, its form without literals, and its facts."""
    facts = encode_ruling(analysis, Decision(Effect.ALLOW, "")).body.decode()
    return "\n".join((*readable(text, analysis), facts))


@pytest.mark.parametrize("text", POSTGRES)
def test_no_credential_is_left_of_a_postgres_statement(text: str) -> None:
    assert CANARY not in leaves(text, read(text, "postgres"))


@pytest.mark.parametrize("text", MYSQL)
def test_no_credential_is_left_of_a_mysql_statement(text: str) -> None:
    assert CANARY not in leaves(text, read(text, "mysql"))


@pytest.mark.parametrize("dialect", ["postgres", "mysql"])
def test_none_is_left_where_a_statement_is_damaged(dialect: str) -> None:
    source = random.Random(11)
    for text in POSTGRES if dialect == "postgres" else MYSQL:
        if not text.startswith(ACCOUNTS) or any(mark in text for mark in ("/*", "--", "#")):
            continue  # what stands in a comment is hidden by where it stands
        for _ in range(60):
            place = source.randrange(len(text))
            end = place + source.choice((0, 1, 1, 4))
            if place < text.index(CANARY) + len(CANARY) and end > text.index(CANARY):
                continue
            broken = text[:place] + source.choice(("", "'", '"', "`", "/*", "--", "\\", "$$", ")", " x ")) + text[end:]
            if not any(word in broken for word in ("PASSWORD", "IDENTIFIED BY")):
                continue
            assert CANARY not in leaves(broken, read(broken, dialect)), broken


@pytest.mark.parametrize("text", KEPT)
@pytest.mark.parametrize("dialect", ["postgres", "mysql"])
def test_other_values_are_left_to_the_settings(text: str, dialect: str) -> None:
    assert conceal(text, read(text, dialect)) is None


def test_whose_account_and_which_rights_can_still_be_read() -> None:
    text = "CREATE USER 'bob'@'%' IDENTIFIED BY 'canary'"
    assert conceal(text, read(text, "mysql")) == "CREATE USER 'bob'@'%' IDENTIFIED BY ?"
    text = "ALTER ROLE \"Bob\" SUPERUSER PASSWORD 'canary'"
    assert conceal(text, read(text, "postgres")) == 'ALTER ROLE "Bob" SUPERUSER PASSWORD ?'
    text = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$UPDATE users SET password = 'canary'; SELECT id FROM t$$"
    body = "$$UPDATE users SET password = ?; SELECT id FROM t$$"
    assert conceal(text, read(text, "postgres")) == f"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS {body}"


def test_what_cannot_be_read_with_certainty_is_withheld_from_there_on() -> None:
    text = "ALTER USER bob IDENTIFIED BY 'a\\' canary"
    assert conceal(text, read(text, "mysql")) == f"ALTER USER bob IDENTIFIED {WITHHELD}"


def test_a_long_text_is_not_searched_for_ever() -> None:
    text = "SELECT set_password('bob', 'canary'), " + ", ".join(["'x'"] * 60_000)
    assert CANARY not in (conceal(text, read(text, "postgres")) or text)


def test_a_bound_value_that_is_a_login_is_known() -> None:
    assert holds_login("host=h password=canary")
    assert holds_login("postgresql://u:canary@h/d")
    assert not holds_login("https://example.com/")
    assert not holds_login(7)
