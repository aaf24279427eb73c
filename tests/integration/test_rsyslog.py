"""The audit arrives at a real rsyslog over TLS, and goes on after it was restarted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from gateway.audit.shipping.syslog import SyslogSink
from gateway.errors import AuditError
from gateway.testing.servers.certificates import write_certificates
from gateway.testing.servers.ports import free_port
from tests.fixtures.missing import missing
from tests.fixtures.waiting import eventually
from tests.gateway.audit.shipping.events import event

CONFIGURATION = """
global(
    workDirectory="{folder}"
    maxMessageSize="256k"
    defaultNetstreamDriverCAFile="{ca}"
    defaultNetstreamDriverCertFile="{certificate}"
    defaultNetstreamDriverKeyFile="{key}"
)
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="text" type="string" string="%app-name% %msgid% %pri% %msg%\\n")
action(type="omfile" file="{folder}/received.log" template="text" asyncWriting="off")
"""


def rsyslogd() -> str:
    found = shutil.which("rsyslogd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        missing("rsyslogd is missing: install the packages rsyslog and rsyslog-gnutls")
    return found


def start(program: str, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "out").open("ab") as out:
        return subprocess.Popen(
            [program, "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "rsyslogd.pid")],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def test_events_arrive_over_tls_and_again_after_a_restart(tmp_path):
    program = rsyslogd()
    files = write_certificates(tmp_path)
    port = free_port()
    (tmp_path / "rsyslog.conf").write_text(
        CONFIGURATION.format(folder=tmp_path, ca=files.ca, certificate=files.certificate, key=files.key, port=port)
    )
    received = tmp_path / "received.log"
    sink = SyslogSink.from_options({"host": "127.0.0.1", "port": port, "ca": str(files.ca)}, tmp_path)

    def output() -> str:
        return (tmp_path / "out").read_text(errors="replace")

    def deliver(number: int) -> None:
        def taken() -> bool:
            try:
                sink.write([event(number)])
            except AuditError:
                return False
            return True

        eventually(taken, told=output)

    def numbers() -> list[int]:
        if not received.exists():
            return []
        lines = received.read_text().split("\n")  # not splitlines(): statements hold more kinds of line ends than one
        return [json.loads(line[line.index("{") :])["metadata"]["sequence"] for line in lines if line.endswith("}")]

    server = start(program, tmp_path)
    try:
        deliver(1)
        deliver(2)
        eventually(lambda: numbers() == [1, 2], told=output)
        assert received.read_text().startswith("querygate statement 110 ")
        server.terminate()
        server.wait(20)
        server = start(program, tmp_path)
        deliver(3)
        deliver(4)
        eventually(lambda: set(numbers()) == {1, 2, 3, 4}, told=output)
        found = numbers()
        assert found.index(3) < found.index(4)
    finally:
        sink.close()
        server.terminate()
        server.wait(20)
