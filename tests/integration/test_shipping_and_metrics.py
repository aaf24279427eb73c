"""What a gateway ships and counts, from outside: a real client, a real receiver, and what Prometheus would read."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from gateway import cli
from gateway.testing.servers.ports import free_port
from gateway.testing.shop import Shop
from tests.fixtures.gateway import ANALYST, Config, StartGateway
from tests.fixtures.waiting import eventually
from tests.gateway.audit.shipping.receivers import http_receiver

DASHBOARD = Path(__file__).parents[2] / "examples" / "grafana-dashboard.json"


def scrape(port: int) -> dict[str, float]:
    """Every sample, as ``name{label=value,…}``."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}"] = sample.value
    return samples


@pytest.mark.timeout(180)
def test_events_are_shipped_and_statements_counted(start_gateway: StartGateway, shop_database: Shop):
    admin = free_port()
    with http_receiver() as receiver:

        def change(config: Config) -> None:
            config["admin_api"] = f"127.0.0.1:{admin}"
            config["audit"]["sinks"] = [{"type": "webhook", "name": "ops", "url": receiver.url, "gzip": True}]

        gateway = start_gateway(shop_database, change=change)
        with psycopg.connect(gateway.conninfo(ANALYST), autocommit=True) as session:
            for _ in range(3):
                session.execute("SELECT email FROM customers ORDER BY id LIMIT 2").fetchall()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("DELETE FROM orders")

        def texts() -> list[str]:
            events = [json.loads(line) for line in receiver.lines()]
            return [event["query_info"]["query_string"] for event in events if "query_info" in event]

        eventually(lambda: "DELETE FROM orders" in texts(), within=40)
        assert texts().count("SELECT email FROM customers ORDER BY id LIMIT 2") == 3
        samples = scrape(admin)
        where = "protocol=postgres,resource=shop-prod"
        assert samples[f"querygate_statement_duration_seconds_count{{outcome=refused,{where}}}"] == 1
        assert samples[f"querygate_rows_total{{outcome=success,{where}}}"] >= 6
        assert samples[f"querygate_masked_cells_total{{outcome=success,{where}}}"] == 6
        assert samples[f"querygate_masked_cells_by_label_total{{label=pii.email,{where}}}"] == 6
        assert samples["querygate_ready{}"] == 1
        eventually(lambda: scrape(admin)["querygate_audit_behind{sink=ops}"] <= 2)  # a session's end may be on its way
        names = {re.sub(r"\{.*", "", name) for name in samples}
        used = set(re.findall(r"querygate_[a-z_]+", DASHBOARD.read_text()))
        assert used <= names, "the dashboard asks for what is not there"
        gateway.process.stop()
        events = [json.loads(line) for line in receiver.lines()]
        assert events[-1]["metadata"]["event_code"] in ("audit.closed", "audit.checkpoint"), "the end was shipped, too"
        numbers = [event["metadata"]["sequence"] for event in events]
        assert numbers == sorted(set(numbers))


@pytest.mark.timeout(180)
def test_a_receiver_that_refuses_is_seen_and_its_new_token_taken_over(start_gateway: StartGateway, shop_database: Shop):
    admin = free_port()

    def health() -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/health", timeout=10) as answer:
            return list(json.loads(answer.read())["sinks"])

    def wait(state: str) -> None:
        eventually(lambda: [(item["name"], item["state"]) for item in health()] == [("ops", state)], within=60)

    with http_receiver() as receiver:
        receiver.judge = lambda request: 200 if request.headers["authorization"] == "Bearer new" else 401

        def change(config: Config) -> None:
            config["admin_api"] = f"127.0.0.1:{admin}"
            token = {"file": "token"}
            config["audit"]["sinks"] = [{"type": "webhook", "name": "ops", "url": receiver.url, "token": token}]

        gateway = start_gateway(shop_database, change=change, files={"token": "old"})
        with psycopg.connect(gateway.conninfo(ANALYST), autocommit=True) as session:
            session.execute("SELECT 'refused at first' FROM orders LIMIT 1").fetchall()
        wait("refused")
        samples = scrape(admin)
        assert samples["querygate_audit_refused{sink=ops}"] == samples["querygate_audit_failing{sink=ops}"] == 1
        assert samples["querygate_audit_behind{sink=ops}"] > 0
        assert samples["querygate_ready{}"] == 1
        (gateway.folder / "token").write_text("new")
        os.kill(gateway.process.pid, signal.SIGHUP)
        wait("ok")
        eventually(lambda: b"refused at first" in b"".join(receiver.lines()), within=60)
        numbers = [json.loads(line)["metadata"]["sequence"] for line in receiver.lines()]
        assert numbers[0] == 0
        assert numbers == sorted(set(numbers)), "everything from the beginning, once and in order"
        assert scrape(admin)["querygate_audit_refused{sink=ops}"] == 0


@pytest.mark.timeout(180)
def test_a_sink_that_is_taken_out_is_told_from_one_that_fails_until_it_is_forgotten(
    start_gateway: StartGateway, shop_database: Shop
):
    admin = free_port()

    def health() -> dict[str, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/health", timeout=10) as answer:
            return {item["name"]: item["state"] for item in json.loads(answer.read())["sinks"]}

    def wait(states: dict[str, str]) -> None:
        eventually(lambda: health() == states, within=60, told=gateway.process.log)

    with http_receiver() as receiver:
        receiver.judge = lambda request: 401 if b"old" in request.headers["authorization"].encode() else 200

        def sink(name: str) -> dict[str, Any]:
            return {"type": "webhook", "name": name, "url": receiver.url, "token": {"file": f"{name}-token"}}

        def change(config: Config) -> None:
            config["admin_api"] = f"127.0.0.1:{admin}"
            config["audit"]["sinks"] = [sink("old")]

        gateway = start_gateway(shop_database, change=change, files={"old-token": "old", "new-token": "new"})
        path = gateway.folder / "querygate.yaml"
        environment = {"SHOP_PASSWORD": shop_database.password, "TEST_TOKEN": gateway.token}

        def command(*words: str) -> Any:
            return CliRunner().invoke(cli.app, ["audit", *words, "--config", str(path)], env=environment)

        def configure(*names: str) -> None:
            config = json.loads(path.read_text())
            config["audit"]["sinks"] = [sink(name) for name in names] or [{"type": "file"}]
            path.write_text(json.dumps(config))
            os.kill(gateway.process.pid, signal.SIGHUP)

        wait({"old": "refused"})
        assert command("sinks").exit_code == 1
        configure("new")
        wait({"new": "ok", "old": "removed"})
        assert "an audit sink is not configured any more" in gateway.process.log()
        assert not [name for name in scrape(admin) if "sink=old" in name], "nobody is woken for it"
        listed = command("sinks")
        assert listed.exit_code == 0, listed.output
        assert "old: not configured any more" in listed.stdout
        refused = command("forget", "new")
        assert (refused.exit_code, "it would get everything again" in refused.stderr) == (2, True)
        assert command("forget", "old").exit_code == 0
        assert command("forget", "old").exit_code == 2
        wait({"new": "ok"})
        configure()
        wait({"new": "removed"})
        before = len(receiver.lines())
        with psycopg.connect(gateway.conninfo(ANALYST), autocommit=True) as session:
            session.execute("SELECT 'for nobody' FROM orders LIMIT 1").fetchall()
        gateway.process.stop()
        assert b"for nobody" not in b"".join(receiver.lines()[before:])


def test_a_log_is_shipped_by_one_process_which_ends_with_its_gateway(tmp_path: Path):
    (tmp_path / "data" / "audit").mkdir(parents=True)
    config = tmp_path / "querygate.yaml"
    config.write_text(
        json.dumps(
            {
                "listeners": {"postgres": "127.0.0.1:1"},
                "data_dir": "data",
                "audit": {"sinks": [{"type": "archive", "path": "archive"}]},
            }
        )
    )
    command = [sys.executable, "-m", "gateway.cli", "audit", "ship", "--config", str(config)]
    first = subprocess.Popen([*command, "--follow-parent"], stdin=subprocess.PIPE)
    try:
        eventually((tmp_path / "data" / "audit" / "shipping").exists, within=60)
        while True:
            second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            if second.returncode:
                break
        assert "already" in second.stderr
        assert first.stdin is not None
        first.stdin.close()
        assert first.wait(60) == 0
    finally:
        first.kill()
        first.wait()
