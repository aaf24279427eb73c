"""``querygate serve`` with an audit that forgets everything: the other end of the scale, for benchmarks alone."""

from __future__ import annotations

from gateway.cli import main
from gateway.domain.audit import StatementRecord
from gateway.protocol.effects import AskCommit
from gateway.server import gateway
from gateway.server.session import Session


class Forgetful:
    """In the place of the gateway's recorder."""

    def __init__(self, *_: object) -> None:
        self.metrics = self.remember = None

    def record(self, session: Session, record: StatementRecord) -> None:
        """Forget it."""

    def commit(self, session: Session, ask: AskCommit) -> None:
        """Nothing is asked of the disk."""
        session.loop.call_soon(session.answered, ask, None)


if __name__ == "__main__":
    vars(gateway)["Recorder"] = Forgetful
    main()
