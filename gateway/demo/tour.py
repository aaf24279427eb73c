"""The tour: what each person sees, what nobody can do, and the proof of it. Every line is a promise that is checked."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console

from gateway.client.session import VARIABLE
from gateway.demo.control import APPROVER
from gateway.demo.mariadb import play_mariadb
from gateway.demo.mongodb import play_mongodb
from gateway.demo.stage import AGENT, ANALYST, MARIADB, MONGODB, SUPPORT, Stage
from gateway.demo.teller import Teller, short
from gateway.server.tasks import Tasks

_POLICIES: Final = re.compile(r" \[[^\]]*\]")
"""What the audit's lines say of the policies that decided: more than a line has room for."""


class Tour:
    """Plays the story on a stage."""

    def __init__(self, stage: Stage, console: Console) -> None:
        self._stage = stage
        self.teller = Teller(console)
        self._secrets = self._sensitive_values()

    def _sensitive_values(self) -> set[str]:
        text = self._stage.shop.psql("COPY (SELECT email, tax_number, card_number FROM customers) TO STDOUT")
        return {value for line in text.splitlines() for value in line.split("\t") if value and value != "\\N"}

    # --- the story ----------------------------------------------------------------------------------------------

    async def play(self) -> bool:
        """Whether every promise was kept."""
        await self._what_each_person_sees()
        await self._getting_around()
        await self._destruction()
        await self._writing()
        await self._approval()
        play_mariadb(self._stage, self.teller)
        await asyncio.to_thread(play_mongodb, self._stage, self.teller)
        self._proof()
        return not self.teller.broken

    async def _what_each_person_sees(self) -> None:
        self.teller.chapter("The same question, asked by three people")
        statement = "SELECT full_name, email, tax_number, card_number FROM customers ORDER BY id LIMIT 2"
        for who, what, hidden in (
            (SUPPORT, "support reads e-mail and tax number; of a card only the last four digits", (3,)),
            (ANALYST, "an analyst sees neither e-mail, tax number nor card", (1, 2, 3)),
            (AGENT, "an agent that acts for the analyst sees no more than she does", (1, 2, 3)),
        ):
            session = await self._connect(who)
            rows = [tuple(row.values()) for row in await session.fetch(statement)]
            self.teller.person(who)
            self.teller.show(statement, ("full_name", "email", "tax_number", "card_number"), rows)
            clear = {index for row in rows for index, value in enumerate(row) if str(value).strip() in self._secrets}
            self.teller.promise(what, clear == {1, 2, 3} - set(hidden), f"in clear: columns {sorted(clear)}")
            await session.close()

    async def _getting_around(self) -> None:
        self.teller.chapter("The analyst tries to get around the mask")
        session = await self._connect(ANALYST)
        attempts = (
            "SELECT reverse(email) FROM customers",
            "SELECT substr(email, 1, 5), substr(email, 6) FROM customers",
            "SELECT harmless AS city FROM (SELECT email AS harmless FROM customers) AS x",
            "SELECT full_name || ' <' || email || '>' FROM customers",
            "SELECT c FROM customers c",
            "SELECT to_jsonb(c) FROM customers c",
            "SELECT string_agg(email, ',') FROM customers",
            "WITH a(b) AS (SELECT email FROM customers) SELECT upper(b) FROM a",
            "SELECT city FROM orders o, LATERAL (SELECT email AS city FROM customers WHERE id = o.customer_id) l",
            "SELECT email::int FROM customers",
            "CREATE TABLE mine AS SELECT email FROM customers",
            "UPDATE customers SET full_name = email WHERE id = 1 RETURNING full_name",
            "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT email FROM customers LIMIT 1); END $$",
            "SELECT histogram_bounds::text FROM pg_stats WHERE tablename = 'customers'",
            "SELECT query_to_xml('SELECT email FROM customers', true, false, '')::text",
        )
        for statement in attempts:
            answer = await self._attempt(session, statement)
            leaked = [value for value in self._secrets if value in answer or value[::-1] in answer]
            self.teller.promise(f"{statement}  [dim]{short(answer)}[/]", not leaked, "LEAKED")
        await session.close()

    async def _destruction(self) -> None:
        self.teller.chapter("Nobody destroys production")
        for who, statement in (
            (SUPPORT, "DROP TABLE orders"),
            (SUPPORT, "TRUNCATE order_items"),
            (SUPPORT, "UPDATE customers SET vip = true"),
            (SUPPORT, "DELETE FROM order_items WHERE 1 = 1"),
            (AGENT, "INSERT INTO products (sku, name, category, price) VALUES ('X', 'X', 'X', 1)"),
        ):
            session = await self._connect(who)
            before = self._census()
            answer = await self._attempt(session, statement)
            refused = "access denied" in answer or "not allowed" in answer or "needs a WHERE" in answer
            self.teller.promise(f"{who}: {statement}  [dim]{short(answer)}[/]", refused and self._census() == before)
            await session.close()

    async def _writing(self) -> None:
        self.teller.chapter("Ordinary work goes on")
        session = await self._connect(SUPPORT)
        answer = await session.execute("UPDATE customers SET vip = true WHERE id = 7")
        self.teller.promise(f"{SUPPORT}: changes one customer by its id  [dim]{answer}[/]", answer == "UPDATE 1")
        async with session.transaction():
            refused = await self._attempt(session, "SELECT 1/0", savepoint=True)
            total = await session.fetchval("SELECT count(*) FROM orders WHERE customer_id = $1", 7)
        self.teller.promise(
            f"transactions, prepared statements and savepoints work as ever  [dim]{total} orders[/]",
            "division by zero" in refused and isinstance(total, int),
        )
        await session.close()

    async def _approval(self) -> None:
        self.teller.chapter("A schema change waits for a human, on a live session")
        session, another = await self._connect(SUPPORT), await self._connect(SUPPORT)
        told: asyncio.Queue[str] = asyncio.Queue()
        session.add_log_listener(lambda _, notice: told.put_nowait(notice.message))
        tasks = Tasks()
        for statement, verdict, why in (
            ("ALTER TABLE products ADD COLUMN note text", "approve", "reviewed in CHG-7"),
            ("ALTER TABLE products DROP COLUMN sku", "reject", "the shop needs it"),
        ):
            self.teller.person(SUPPORT)
            change = tasks.start(self._attempt(session, statement), name=statement)
            notice = await asyncio.wait_for(told.get(), 20)
            waits = not change.done() and await another.fetchval("SELECT true")
            self.teller.promise(f"{statement}  [dim]{notice}[/]", waits)
            self.teller.person(APPROVER)
            request = notice.rpartition("request ")[2].split()[0]
            shown = await asyncio.to_thread(self._querygate, "approvals", "show", request)
            for line in shown.stdout.splitlines():
                if line.startswith(("who", "does", "writes", "policy")):
                    self.teller.quote(line)
            await asyncio.to_thread(self._querygate, "approvals", verdict, request, "--reason", why)
            answer = await asyncio.wait_for(change, 20)
            columns = self._columns("products")
            if verdict == "approve":
                self.teller.promise("approved: the session goes on, and the column is there", "note" in columns, answer)
            else:
                self.teller.promise(f"rejected: [dim]{short(answer)}[/]", why in answer and "sku" in columns, answer)
        await session.close()
        await another.close()

    def _proof(self) -> None:
        self.teller.chapter("The audit knows all of it")
        tail = self._audit("tail", "--lines", "8", "--outcome", "refused")
        for line in tail.stdout.splitlines():
            self.teller.quote(_POLICIES.sub("", line, 1)[:150])
        self.teller.promise("every refusal is there, with the person behind it", tail.stdout.count("refused") >= 8)
        if self._stage.mariadb is not None:
            there = self._audit("tail", "--resource", MARIADB, "--outcome", "refused", "--text", "DROP TABLE")
            self.teller.promise("MariaDB's are in the same trail", SUPPORT in there.stdout, there.stdout)
        if self._stage.mongodb is not None:
            there = self._audit("tail", "--resource", MONGODB, "--outcome", "refused", "--text", "dropDatabase")
            self.teller.promise("and so are MongoDB's", SUPPORT in there.stdout, there.stdout)
        decided = self._audit("tail", "--principal", APPROVER, "--lines", "100").stdout
        both = "approval.approved" in decided and "approval.rejected" in decided
        self.teller.promise(f"so is what {APPROVER} approved and rejected", both, decided)
        agent = self._audit("tail", "--principal", AGENT)
        self.teller.promise(f"so is whom the agent acted for ({ANALYST})", ANALYST in agent.stdout)
        verified = self._audit("verify")
        intact = verified.returncode == 0
        self.teller.promise("the trail verifies: nothing changed, dropped or reordered", intact, verified.stdout)
        segments = [(path, path.read_bytes()) for path in (self._stage.data_dir / "audit").glob("*.jsonl")]
        segment, original = next(each for each in segments if b"DROP TABLE orders" in each[1])
        segment.write_bytes(original.replace(b"DROP TABLE orders", b"DROP TABLE 0rders", 1))
        tampered = self._audit("verify")
        segment.write_bytes(original)
        self.teller.promise("one changed byte in it is found", tampered.returncode == 1, tampered.stdout)

    # --- helpers ------------------------------------------------------------------------------------------------

    async def _connect(self, who: str) -> Any:
        import asyncpg

        return await asyncpg.connect(
            host="127.0.0.1",
            port=self._stage.port,
            user=who,
            password=self._stage.tokens[who],
            database="shop-prod",
            ssl=self._stage.trust(),
        )

    async def _attempt(self, session: Any, statement: str, *, savepoint: bool = False) -> str:
        """Everything that the client gets to see of a statement, as text."""
        import asyncpg

        seen: list[str] = []
        listener: Callable[[object, object], None] = lambda _, message: seen.append(str(message))  # noqa: E731
        session.add_log_listener(listener)
        try:
            if savepoint:
                async with session.transaction():
                    seen += [str(tuple(row.values())) for row in await session.fetch(statement)]
            else:
                seen += [str(tuple(row.values())) for row in await session.fetch(statement)]
        except asyncpg.PostgresError as error:
            seen += [str(value) for value in error.as_dict().values()]
            seen.insert(0, str(error))
        finally:
            session.remove_log_listener(listener)
        return "\n".join(seen) or "no rows"

    def _census(self) -> str:
        """How much there is in the shop, and how many are VIPs."""
        return self._stage.shop.psql(
            "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_items),"
            " (SELECT count(*) FROM products), (SELECT count(*) FROM customers WHERE vip)"
        )

    def _columns(self, table: str) -> list[str]:
        return self._stage.shop.psql(
            f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"  # noqa: S608 - ours
        ).split()

    def _audit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._querygate("audit", *arguments, "--data-dir", str(self._stage.data_dir))

    def _querygate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Our own command, with the approver's login."""
        command = [sys.executable, "-m", "gateway", *arguments]
        environment = os.environ | {VARIABLE: str(self._stage.session)}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def play(stage: Stage, console: Console) -> int:
    """The tour's exit status: 0 if every promise was kept."""
    tour = Tour(stage, console)
    kept = asyncio.run(tour.play())
    teller = tour.teller
    if kept:
        console.print(f"\n[bold green]All {teller.kept} promises kept.[/]")
        return 0
    console.print(f"\n[bold red]{len(teller.broken)} promises broken, {teller.kept} kept.[/]")
    return 1
