"""The part of the tour that is played on MariaDB: the same people and policies, with MariaDB's own shell."""

from __future__ import annotations

import os
import subprocess
from typing import Final

from typing_extensions import override

from gateway.demo.play import Play
from gateway.demo.stage import AGENT, MARIADB, SUPPORT, MariaDbStage, Stage
from gateway.demo.teller import Teller

_ATTEMPTS: Final = (
    "SELECT reverse(email) FROM customers",
    "SELECT /*!50000 email */ AS city FROM customers",
    "SELECT concat(full_name, ' <', email, '>') FROM customers",
    "SELECT group_concat(email) FROM customers",
    "SET @e = (SELECT email FROM customers LIMIT 1); SELECT @e",
    "SELECT extractvalue(1, concat('~', (SELECT email FROM customers LIMIT 1)))",
    "EXECUTE IMMEDIATE concat('SELECT em', 'ail FROM customers')",
)
_DESTRUCTION: Final = (
    (SUPPORT, "DROP TABLE orders"),
    (SUPPORT, "UPDATE customers SET vip = 1"),
    (SUPPORT, "DELETE FROM order_items WHERE 1 = 1"),
    (AGENT, "INSERT INTO products (sku, name, category, price) VALUES ('X', 'X', 'X', 1)"),
)


def play_mariadb(stage: Stage, teller: Teller) -> None:
    """Tell it, or why it cannot be told."""
    teller.chapter("The same policies in front of MariaDB")
    if stage.mariadb is None:
        teller.remark(f"left out: {stage.mariadb_missing}")
        return
    play = _Play(stage, stage.mariadb, teller)
    play.play([(text, text) for text in _ATTEMPTS], [(who, text, text) for who, text in _DESTRUCTION])


class _Play(Play[str]):
    question = "SELECT full_name, email, tax_number, card_number FROM customers ORDER BY id LIMIT 2"
    fields = ("full_name", "email", "tax_number", "card_number")

    def __init__(self, stage: Stage, mariadb: MariaDbStage, teller: Teller) -> None:
        text = mariadb.shop.sql("SELECT email, tax_number, card_number FROM customers")
        cells = (value for line in text.splitlines() for value in line.split("\t"))
        super().__init__(teller, (value for value in cells if value not in ("", "NULL")))
        self._stage = stage
        self._mariadb = mariadb

    @override
    def _rows(self, who: str) -> list[list[str]]:
        answer, _ = self._ask(who, self.question)
        return [line.split("\t") for line in answer.splitlines()]

    @override
    def _writing(self) -> None:
        answer, _ = self._ask(SUPPORT, "UPDATE customers SET vip = 1 WHERE id = 7; SELECT row_count() >= 0")
        self._teller.promise(f"{SUPPORT}: changes one customer by its id", answer == "1", answer)

    @override
    def _ask(self, who: str, command: str) -> tuple[str, bool]:
        installation = self._mariadb.shop.server.installation
        done = subprocess.run(
            [*self._mariadb.client(who, self._stage.certificate), "--batch", "--skip-column-names", MARIADB],
            input=command,
            capture_output=True,
            text=True,
            env=os.environ | installation.environment() | {"MYSQL_PWD": self._stage.tokens[who]},
            timeout=60,
            check=False,
        )
        lines = (done.stdout + done.stderr).strip().splitlines()
        lines.sort(key=lambda line: not line.startswith("ERROR"))  # the shell repeats a statement before its error
        answer = "\n".join(lines) or "no rows"
        return answer, answer.startswith("ERROR 1142")

    @override
    def _census(self) -> str:
        return self._mariadb.shop.sql(
            "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_items),"
            " (SELECT count(*) FROM products), (SELECT count(*) FROM customers WHERE vip)"
        )
