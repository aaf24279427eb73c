"""Starting and ending a gateway as a process, shown with stand-ins for the gateway."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.testing.gateway_process import GatewayProcess
from gateway.testing.servers import ServerFailed
from gateway.testing.servers.ports import free_port, free_ports, listening

READY = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("config", sys.argv[1], os.getcwd(), os.environ["COLOUR"])
print("ready")
signal.pause()
"""
LISTENS = """
import os, signal, socket
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
signal.pause()
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "querygate.yaml"
    path.write_text("")
    return path


def _command(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


def test_it_is_ready_when_it_says_so_and_ends_when_asked(config: Path) -> None:
    gateway = GatewayProcess.start(config, command=_command(READY), environment={"COLOUR": "blue"})
    assert f"config {config} {config.parent} blue" in gateway.log()
    assert gateway.stop() == 3
    assert not gateway.running()


def test_an_old_log_does_not_make_it_ready(config: Path) -> None:
    config.with_name("gateway.log").write_text("ready\n")
    with pytest.raises(ServerFailed, match="not ready in"):
        GatewayProcess.start(config, command=_command("import time; time.sleep(30)"), timeout=0.5)


def test_it_is_ready_when_it_listens(config: Path) -> None:
    port = free_port()
    with GatewayProcess.start(
        config, command=_command(LISTENS), ports=[port], environment={"PORT": str(port)}
    ) as gateway:
        assert listening(port)
        gateway.kill()
        assert not gateway.running()
        assert not listening(port)


def test_an_early_end_is_told_with_the_log(config: Path) -> None:
    with pytest.raises(ServerFailed, match=r"(?s)status 2.*querygate.yaml:3: no such key"):
        GatewayProcess.start(config, command=_command("print('querygate.yaml:3: no such key'); exit(2)"))


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20
