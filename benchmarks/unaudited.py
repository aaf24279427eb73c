"""``querygate serve`` with an audit that forgets everything: the other end of the scale, for benchmarks alone."""

from __future__ import annotations

from gateway.cli import main
from gateway.domain.audit import StatementRecord
from gateway.server.gateway import Gateway
from gateway.server.session import Session


def forget(self: Gateway, session: Session, record: StatementRecord) -> None:
    """In the place of ``Gateway.record_statement``."""


if __name__ == "__main__":
    Gateway.record_statement = forget  # type: ignore[method-assign]
    main()
