"""A client of an open session proves once more who it is, since its token expires or has expired.

Drivers do so by themselves when a command is answered with ``ReauthenticationRequired``, and send it again then. It
must be the same principal, in the same groups: what the session may do was decided for that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.errors import AuthenticationError, GatewayError, LocalProtocolError
from gateway_mongodb.errors import error_document
from gateway_mongodb.login import Ask, Login, Proved, Say, Step
from gateway_mongodb.requests import Request
from gateway_mongodb.wire.codec import decode


@dataclass(frozen=True, slots=True)
class Said:
    """The reply to a command of the login. ``over`` True: there are no more tries, and the session ends."""

    request: Request
    document: dict[str, Any] = field(repr=False)
    failure: GatewayError | None = None
    over: bool = False


@dataclass(frozen=True, slots=True)
class Renewed:
    """It is who it was, until ``expires_at``."""

    request: Request
    document: dict[str, Any] = field(repr=False)
    expires_at: float | None


class Renewal:
    """All tries of one session. ``first`` is the login that it was opened with, and ``proved`` what came of it."""

    __slots__ = ("_first", "_login", "_proved", "_request")

    def __init__(self, first: Login, proved: Proved) -> None:
        self._first = first
        self._proved = proved
        self._login = first.begin_again()
        self._request: Request | None = None

    def receive(self, request: Request) -> Renewed | Said | Ask:
        """saslStart or saslContinue."""
        self._request = request
        command = decode(request.msg.body)
        try:
            if request.name == "saslContinue":
                return self._step(self._login.proceed(command))
            if command.get("mechanism") != self._first.mechanism:
                raise AuthenticationError("the client wants to prove itself in another way than before")
            return self._step(self._login.start(command, request.scan.database))
        except GatewayError as error:
            return self._failed(error)

    def answered(self, result: object) -> Renewed | Said | Ask:
        """The host's answer."""
        try:
            return self._step(self._login.answered(result))
        except GatewayError as error:
            return self._failed(error)

    def _step(self, step: Step) -> Renewed | Said | Ask:
        request = self._request
        if request is None:
            raise LocalProtocolError("nobody waits for a reply")
        match step:
            case Ask():
                return step
            case Say(document):
                return Said(request, document)
            case Proved():
                if step.principal != self._proved.principal:
                    raise AuthenticationError("another principal, or other groups, than the session was opened with")
                self._login = self._first.begin_again()
                return Renewed(request, step.document, step.expires_at)

    def _failed(self, error: GatewayError) -> Said:
        request, login = self._request, self._login
        if request is None:
            raise error
        document = error_document(error, reference=login.context.id)
        more = isinstance(error, AuthenticationError) and login.another_try
        login.start_over()
        return Said(request, document, error, over=not more)
