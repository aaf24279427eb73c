"""The command line as a user meets it: help with examples, and errors that say what to mend."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from gateway import cli
from gateway.identity.certificates import ensure_certificate
from gateway.testing.servers.ports import free_ports

MINIMAL = """\
listeners: {{postgres: "127.0.0.1:{port}"}}
data_dir: {data}
tls: {{mode: disable}}
resources:
  - {{name: shop-prod, protocol: postgres, address: "127.0.0.1:5432", credentials: {{username: g, password: secret}}}}
"""

# The configuration of the design document, with its two longest comments cut.
DESIGN = """\
listeners: {postgres: "127.0.0.1:6432", mysql: "127.0.0.1:6033", mongodb: "127.0.0.1:27018"}
admin_api: "127.0.0.1:8080"
data_dir: ./data
tls: {certificate: gw.pem, key: gw.key}      # left out: a self-signed pair is made
resources:
  - name: shop-prod
    protocol: postgres
    address: 127.0.0.1:5432
    database: shop
    credentials: {username: gateway, password: {env: SHOP_PASSWORD}}
    tls: {mode: verify-full, ca: ca.pem}
    environment: production
    labels: {team: shop}
principals:
  - {name: ana@example.com, kind: human, groups: [analysts], token: {env: ANA_TOKEN}}
  - {name: copilot, kind: agent, groups: [agents], acts_for: ana@example.com, token: {env: COPILOT_TOKEN}}
classifications:
  - {resource: shop-prod, label: pii.email, columns: [public.customers.email, public.staff.home_email]}
  - {resource: crm-prod, label: pii.contact, paths: [shop.customers.contact.email]}      # MongoDB
policies:
  - name: readers-may-read
    effect: allow
    match: {groups: [analysts, agents], actions: [read]}
  - name: mask-pii
    effect: mask
    match: {labels: ["pii.*"], except_groups: [support]}
    mask: {function: redact}
  - name: no-destruction-in-production
    effect: deny
    match: {environments: [production], actions: [drop, truncate]}
    message: destructive statements are not allowed in production
  - name: no-write-without-where
    effect: deny
    match: {actions: [update, delete], when: "!statement.has_predicate"}
  - name: schema-change-needs-a-human
    effect: require_approval
    match: {environments: [production], actions: [ddl]}
    approval: {approvers: [dba], timeout: 10m}
audit: {durability: {write: before_forward, read: buffered}, literals: keep, sinks: [{type: file}]}
"""


def _commands() -> Iterator[tuple[str, ...]]:
    def walk(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        nested: dict[str, object] | None = getattr(command, "commands", None)
        if nested is None:
            yield path
            return
        for name, child in nested.items():
            yield from walk(child, (*path, name))

    return walk(typer.main.get_command(cli.app), ())


@pytest.mark.parametrize("path", list(_commands()), ids=" ".join)
def test_every_command_shows_an_example(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli.app, [*path, "--help"])
    assert shown.exit_code == 0
    assert "Examples:" in shown.stdout
    assert f"querygate {' '.join(path)}" in shown.stdout.split("Examples:")[1]


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["querygate", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, r"querygate\.yaml: cannot be read: No such file or directory"),
        ("listeners: [1", r"querygate\.yaml:\d+: not valid YAML"),
        (MINIMAL + "resorces: []\n", r'querygate\.yaml:6: resorces: unknown key; did you mean "resources"\?'),
        (
            MINIMAL.replace("password: secret", "password: {{env: NOT_SET_ANYWHERE}}"),
            r"querygate\.yaml:5: resources\[0\]\.credentials\.password: .* variable NOT_SET_ANYWHERE is not set",
        ),
        (
            MINIMAL
            + "policies: [{{name: x, effect: allow, match: {{environments: ['[/x]']}}, '[bold]when[/x]': 1}}]\n",
            r"\[bold\]when\[/x\]",
        ),
    ],
    ids=["missing file", "bad YAML", "unknown key", "missing variable", "markup in a value"],
)
@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_mistakes_are_one_readable_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    text: str | None,
    expected: str,
) -> None:
    path = tmp_path / "querygate.yaml"
    if text is not None:
        path.write_text(text.format(port=free_ports(1)[0], data=tmp_path / "data"))
    assert _run(monkeypatch, command, "--config", str(path)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = [line for line in shown.err.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, lines
    assert re.search(expected, lines[0]), lines[0]
    assert lines[0].startswith("error: ")


def _serve(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("whose", ["listener", "admin API"])
def test_a_port_in_use_is_named(tmp_path: Path, whose: str) -> None:
    config = tmp_path / "querygate.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, other = taken.getsockname()[1], free_ports(1)[0]
        text = MINIMAL.format(port=port if whose == "listener" else other, data=tmp_path / "data")
        if whose == "admin API":
            text += f'admin_api: "127.0.0.1:{port}"\n'
        config.write_text(text)
        done = _serve(config)
    assert done.returncode == 1
    assert "ready" not in done.stdout
    assert "Traceback" not in done.stderr
    said = json.loads(done.stderr.splitlines()[-1])["event"]
    assert f"127.0.0.1:{port}" in said
    assert "Address already in use" in said


def test_a_bad_log_level_is_told_with_the_good_ones(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    assert _run(monkeypatch, "serve", "--log-level", "shout") == 2
    shown = capsys.readouterr().err
    assert "warning" in shown
    assert "Traceback" not in shown


def test_a_certificate_that_is_none_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "gw.pem").write_text("junk")
    (tmp_path / "gw.key").write_text("junk")
    config = tmp_path / "querygate.yaml"
    text = MINIMAL.format(port=free_ports(1)[0], data=tmp_path / "data")
    config.write_text(text.replace("{mode: disable}", "{certificate: gw.pem, key: gw.key}"))
    done = _serve(config)
    assert done.returncode == 2
    assert "gw.pem" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_designs_example_is_accepted_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure_certificate(tmp_path / "gw.pem", tmp_path / "gw.key")
    ensure_certificate(tmp_path / "ca.pem", tmp_path / "ca.key")
    for name in ("SHOP_PASSWORD", "ANA_TOKEN", "COPILOT_TOKEN"):
        monkeypatch.setenv(name, f"qg_{name.lower()}-0123456789abcdef")
    path = tmp_path / "querygate.yaml"
    path.write_text(DESIGN)
    assert _run(monkeypatch, "check-config", "--config", str(path)) == 0
    shown = capsys.readouterr().out
    assert "ok: 1 resources, 2 principals, 3 classifications, 5 policies" in shown
    assert 'there is no resource "crm-prod"' in shown, "the example speaks of one that it does not show"


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(monkeypatch, "version") == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_a_command_loads_nothing_that_only_others_need() -> None:
    unwanted = "{'fastapi', 'httpx2', 'pydantic', 'sqlglot', 'sqlmodel', 'structlog', 'uvloop'}"
    script = f"import sys, gateway.cli; print(sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_program_begins_where_an_interrupt_is_caught() -> None:
    (script,) = entry_points(group="console_scripts", name="querygate")
    assert script.value == "gateway.__main__:main"


INTERRUPTED_IMPORT = """\
import signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "gateway.client.approvals_cli":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["querygate", "approvals", "list"]
from gateway.__main__ import main
main()
"""


def test_ctrl_c_while_modules_are_imported_ends_it_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
