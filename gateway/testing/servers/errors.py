"""What can go wrong with a server for tests."""

from __future__ import annotations


class ServerUnavailable(RuntimeError):
    """No server program that fits was found. ``str()`` lists what was tried and how to get one."""


class ServerFailed(RuntimeError):
    """A server program was found but did not do what it should. ``str()`` ends with the tail of its log."""
