"""Sets gevent's clock right before users start."""

from __future__ import annotations

import gevent
from locust import events


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust is untyped
def set_clock(**_: object) -> None:
    """gevent's loop last looked at the clock before the imports; a run's end would come that much too early."""
    gevent.get_hub().loop.update_now()
