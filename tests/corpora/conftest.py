"""The stage of the corpora's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.testing.servers import ServerUnavailable
from tests.corpora import adversarial, ordinary
from tests.corpora.stage import Stage, set_up
from tests.fixtures.missing import missing

OTHER_DATABASES = ("probes", "generated")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """One server, one gateway and a copy of the vault for every purpose."""
    try:
        with set_up(*adversarial.DATABASES, *ordinary.DATABASES, *OTHER_DATABASES) as found:
            yield found
    except ServerUnavailable as error:
        missing(str(error))
