"""Which of several installations is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from gateway.testing.servers.errors import ServerUnavailable
from gateway.testing.servers.installation import Installation, Source, choose


def _installation(name: str, version: int = 15, *, tls: bool = True) -> Installation:
    return Installation(Path("/") / name, (version, 0), tls, name)


def _gives(*found: Installation) -> Callable[[], Iterable[Installation]]:
    return lambda: found


def _fails() -> Iterable[Installation]:
    raise ServerUnavailable("it is broken")


def _must_not_be_asked() -> Iterable[Installation]:
    raise AssertionError("asked without need")


PLAIN = Source("wheel", _gives(_installation("wheel", 18, tls=False), _installation("wheel16", 16, tls=False)))
TLS = Source("system", _gives(_installation("system")))
DOWNLOAD = Source("download", _gives(_installation("download", 17)), remote=True, hint="get it")
EXPENSIVE = Source("download", _must_not_be_asked, remote=True)


def test_a_build_with_tls_is_preferred_to_an_earlier_one_without() -> None:
    assert choose("x", [PLAIN, TLS, EXPENSIVE]).source == "system"


def test_nothing_is_downloaded_where_something_works() -> None:
    assert choose("x", [PLAIN, EXPENSIVE]).source == "wheel"


def test_tls_is_downloaded_when_asked_for() -> None:
    assert choose("x", [PLAIN, DOWNLOAD], tls=True).source == "download"


def test_the_first_is_taken_where_tls_is_not_wanted() -> None:
    assert choose("x", [PLAIN, TLS], tls=False).source == "wheel"


def test_a_version_is_found_behind_others() -> None:
    assert choose("x", [TLS, PLAIN, EXPENSIVE], version=16).source == "wheel16"


def test_a_broken_source_does_not_hide_the_next() -> None:
    assert choose("x", [Source("broken", _fails), TLS]).source == "system"


def test_the_error_lists_what_was_tried_and_what_helps() -> None:
    with pytest.raises(ServerUnavailable) as caught:
        choose("Thing", [Source("broken", _fails, hint="mend it"), PLAIN, DOWNLOAD], version=9, tls=True)
    message = str(caught.value)
    assert message.startswith("no Thing 9 with TLS on this machine")
    assert "mend it" in message
    assert "get it" in message
    assert "broken: it is broken" in message
    assert "wheel: version 18, without TLS" in message
    assert "download: version 17, with TLS" in message
