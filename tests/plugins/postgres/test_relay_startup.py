"""A session before its first statement: startup packet, proof, routing, the upstream's login."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest

from gateway.domain.identity import AccessToken, Login
from gateway.domain.principal import Principal
from gateway.errors import AccessDenied, AuthenticationError
from gateway.identity.sasl import ScramClient
from gateway.identity.scram import derive_verifier
from gateway.protocol.effects import Ask, AskAuthenticate, AskCancel, AskLogin, AskOpen, AskRuling
from gateway_postgres.wire.authentication import SaslInitialResponse, SaslResponse
from gateway_postgres.wire.codec import frame
from gateway_postgres.wire.startup import CancelRequest, GssEncRequest, SslRequest
from tests.plugins.postgres.transcripts.kit import GREETING, Host, ProbeAnswer, Stage, split

ANA = {"user": "ana@example.com", "database": "shop-prod"}
PASSWORD = frame(ord("p"), b"token\0")


def packet(parameters: Mapping[str, str], version: int = 3 << 16) -> bytes:
    """A startup packet without any check."""
    words = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters.items())
    return raw_packet(struct.pack("!I", version) + words + b"\0")


def raw_packet(body: bytes) -> bytes:
    return struct.pack("!I", 4 + len(body)) + body


class Listening(Host):
    """A host that remembers what it was asked, and can answer otherwise."""

    def __init__(self, *answers: object) -> None:
        super().__init__()
        self.questions: list[Ask] = []
        self.answers = list(answers)

    def answer(self, ask: Ask) -> object:
        self.questions.append(ask)
        for answer in self.answers:
            if isinstance(answer, tuple) and isinstance(ask, answer[0]):
                return answer[1]
        return super().answer(ask)

    def asked_for(self, kind: type) -> Ask | None:
        return next((ask for ask in self.questions if isinstance(ask, kind)), None)


def start(
    parameters: Mapping[str, str], host: Host | None = None, *, version: int = 3 << 16, **changes: object
) -> Stage:
    stage = Stage(host, **changes)
    stage.client(packet(parameters, version))
    return stage


def upstream_startup(stage: Stage) -> dict[str, str]:
    """The startup packet that the database was sent."""
    words = stage._server[8:].removesuffix(b"\0\0").decode().split("\0")
    return dict(zip(words[::2], words[1::2], strict=True))


# --- the packet ------------------------------------------------------------------------------------------------------


def test_a_login_by_bearer_token_leads_to_an_open_session() -> None:
    stage = start(ANA)
    assert stage.settle() == ["client Authentication(3)"]
    stage.client(PASSWORD)
    assert upstream_startup(stage)["user"] == "gateway"
    assert "identified ana@example.com" in stage.settle()
    stage.server(GREETING)
    assert stage.settle() == [
        "server Probe()",
        "client ParameterStatus('client_encoding', 'UTF8') + ParameterStatus('standard_conforming_strings', 'on')"
        " + Key(4711) + Ready('I')",
    ]
    assert stage.relay.cancel_key is not None
    assert stage.relay.upstream_cancel_key == struct.pack("!I", 4711) + b"\1\2\3\4"
    assert not stage.relay.idle, "the state is being asked for"
    stage.server(ProbeAnswer("public", "none", "gateway"))
    assert stage.settle() == []
    assert stage.relay.idle


@pytest.mark.parametrize(
    ("version", "asked", "answer", "secret"),
    [
        (3 << 16, {}, None, 4),
        (3 << 16 | 2, {}, None, 32),
        (3 << 16 | 9, {}, "Negotiate(2)", 32),
        (3 << 16 | 9999, {"_pq_.more": "1"}, "Negotiate(2, '_pq_.more')", 32),
        (3 << 16, {"_pq_.a": "1", "_pq_.b": ""}, "Negotiate(0, '_pq_.a', '_pq_.b')", 4),
    ],
)
def test_versions_and_extensions_are_negotiated(
    version: int, asked: dict[str, str], answer: str | None, secret: int
) -> None:
    stage = start(ANA | asked, version=version)
    assert stage.settle() == [f"client {answer} + Authentication(3)" if answer else "client Authentication(3)"]
    stage.client(PASSWORD)
    assert not {name for name in upstream_startup(stage) if name.startswith("_pq_")}
    stage.server(GREETING)
    (key,) = [body for kind, body in split(stage._client) if kind == "K"]
    assert len(key) == 4 + secret


def test_the_clients_settings_reach_the_database_and_its_names_do_not() -> None:
    settings = {"application_name": "app", "DateStyle": "German", "options": "-c geqo=off", "client_encoding": "latin1"}
    stage = start(ANA | settings)
    stage.client(PASSWORD)
    assert upstream_startup(stage) == {"user": "gateway", "database": "shop", **settings}


def test_a_password_may_come_together_with_the_packet() -> None:
    stage = Stage()
    stage.client(packet(ANA) + PASSWORD)
    assert upstream_startup(stage)["database"] == "shop"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (raw_packet(struct.pack("!I", 3 << 16) + b"user\0ana\0\0user\0root\0\0"), "08P01"),
        (raw_packet(struct.pack("!I", 3 << 16) + b"user\0ana\0user\0root\0\0"), "08P01"),
        (raw_packet(struct.pack("!I", 3 << 16) + b"database\0shop-prod\0\0"), "08P01"),
        (raw_packet(struct.pack("!I", 3 << 16) + b"user\0ana"), "08P01"),
        (raw_packet(struct.pack("!I", 2 << 16) + bytes(20)), "0A000"),
        (raw_packet(struct.pack("!I", 4 << 16) + b"user\0ana\0\0"), "0A000"),
        (raw_packet(b"\0\3"), "08P01"),
        (struct.pack("!I", 3), "08P01"),
        (struct.pack("!I", 10_001), "54000"),
        (struct.pack("!I", 0xFFFFFFFF), "54000"),
        (b"GET / HTTP/1.1\r\n\r\n", "54000"),
        (SslRequest().encode(), "08P01"),
        (GssEncRequest().encode(), "08P01"),
        (packet(ANA | {"replication": "maybe"}), "08P01"),
    ],
)
def test_what_is_no_startup_packet_ends_with_one_error(data: bytes, code: str) -> None:
    stage = Stage()
    stage.client(data)
    ((kind, body),) = split(stage._client)
    assert kind == "E"
    assert b"\0C" + code.encode() + b"\0" in body
    assert stage.closed
    stage.client(packet(ANA))
    assert len(split(stage._client)) == 1, "nothing more is said"


def test_values_stay_in_their_fields() -> None:
    """A parameter that looks like others: only the packet's own NULs separate."""
    stage = start(ANA | {"application_name": "x' user='root"})
    stage.client(PASSWORD)
    assert upstream_startup(stage)["user"] == "gateway"


def test_without_tls_nothing_is_asked() -> None:
    host = Listening()
    stage = start(ANA, host, tls=False)
    assert stage.settle() == [
        "client Fatal('28000', 'this gateway accepts encrypted connections only; connect with TLS', reference='s')",
        "session login_failed",
        "close",
    ]
    assert host.questions == []


def test_a_bearer_token_is_never_asked_for_in_clear() -> None:
    stage = start(ANA, tls=False, tls_required=False)
    assert "Fatal('28000'" in stage.settle()[0]


def test_sending_ahead_has_an_end() -> None:
    stage = start(ANA)
    stage.client(frame(ord("p"), bytes(70_000)))
    assert stage.closed


@pytest.mark.parametrize("data", [frame(ord("Q"), b"select 1\0"), frame(ord("p"), b"no end"), frame(ord("S"))])
def test_nothing_but_a_password_is_taken_for_one(data: bytes) -> None:
    stage = start(ANA)
    stage.client(data)
    assert "Fatal(" in stage.settle()[0]


def test_goodbye_and_hanging_up_before_the_proof_are_quiet() -> None:
    stage = start(ANA)
    stage.client(frame(ord("X")))
    assert stage.settle() == ["client Authentication(3)", "close"]
    stage = start(ANA)
    stage.play(">> client eof")
    assert stage.settle() == ["client Authentication(3)", "close"]


# --- proof -----------------------------------------------------------------------------------------------------------


def _token(secret: str) -> AccessToken:
    return AccessToken(
        secret, Principal("ana@example.com"), derive_verifier(secret, salt=b"0123456789abcdef", iterations=4096)
    )


def _scram(stage: Stage, secret: str) -> None:
    """Go through the exchange as a client."""
    client = ScramClient(secret, offered=("SCRAM-SHA-256",), nonce=b"n" * 18, certificate=None)
    stage.client(SaslInitialResponse(client.mechanism, client.begin()).encode())
    (challenge,) = [body for kind, body in split(stage._client) if body[:4] == b"\0\0\0\x0b"]
    stage.client(SaslResponse(client.respond(challenge[4:])).encode())
    final = [body for kind, body in split(stage._client) if body[:4] == b"\0\0\0\x0c"]
    if final:
        client.verify(final[0][4:])


def test_scram_with_one_of_several_tokens() -> None:
    login = Login(b"0123456789abcdef", 4096, (_token("first"), _token("second")))
    stage = start(ANA, Listening((AskLogin, login)))
    _scram(stage, "second")
    lines = stage.settle()
    assert "identified ana@example.com by token second" in lines
    assert lines[1].startswith(
        "client Authentication(10) + Authentication(11) + Authentication(12) + Authentication(0)"
    )


@pytest.mark.parametrize("tokens", [(), ("right",)])
def test_a_wrong_secret_and_an_unknown_user_look_the_same(tokens: tuple[str, ...]) -> None:
    login = Login(b"0123456789abcdef", 4096, tuple(map(_token, tokens)))
    stage = start(ANA, Listening((AskLogin, login)))
    _scram(stage, "wrong")
    assert stage.settle() == [
        "client Authentication(10) + Authentication(11) + Fatal('28P01', 'authentication failed', reference='s')",
        "session login_failed",
        "close",
    ]


def test_a_bad_bearer_token() -> None:
    stage = start(ANA, Listening((AskAuthenticate, AuthenticationError("expired"))))
    stage.client(PASSWORD)
    assert stage.settle() == [
        "client Authentication(3) + Fatal('28P01', 'authentication failed', reference='s')",
        "session login_failed",
        "close",
    ]


# --- where to --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "database", "fixed", "expected"),
    [
        ("ana@example.com", "shop-prod", None, ("ana@example.com", "shop-prod", None)),
        ("ana@example.com", "shop-prod/other", None, ("ana@example.com", "shop-prod", "other")),
        ("ana@example.com", "shop-prod/a/b", None, ("ana@example.com", "shop-prod", "a/b")),
        ("ana@example.com#shop-prod", None, None, ("ana@example.com", "shop-prod", None)),
        ("ana@example.com#shop-prod", "ana@example.com#shop-prod", None, ("ana@example.com", "shop-prod", None)),
        ("ana@example.com#shop-prod", "shop-prod", None, ("ana@example.com", "shop-prod", None)),
        ("ana@example.com#shop-prod", "shop-prod/other", None, ("ana@example.com", "shop-prod", "other")),
        ("ana@example.com#shop-prod", "other", None, ("ana@example.com", "shop-prod", "other")),
        ("ana@example.com", "anything", "shop-own", ("ana@example.com", "shop-own", "anything")),
        ("ana", "ana", "shop-own", ("ana", "shop-own", "ana")),
        ("ana@example.com", None, "shop-own", ("ana@example.com", "shop-own", None)),
    ],
)
def test_routing(user: str, database: str | None, fixed: str | None, expected: tuple[str, str, str | None]) -> None:
    host = Listening()
    names = {"user": user} | ({} if database is None else {"database": database})
    stage = start(names, host, fixed_resource=fixed)
    stage.client(PASSWORD)
    ask = host.asked_for(AskOpen)
    assert isinstance(ask, AskOpen)
    assert (ask.session.user, ask.resource, ask.database) == expected


@pytest.mark.parametrize("names", [{"database": "nowhere"}, {"database": "ana@example.com"}, {}, {"database": "/shop"}])
def test_an_unknown_resource_is_an_unknown_database_and_that_only_after_the_proof(names: dict[str, str]) -> None:
    stage = start({"user": "ana@example.com"} | names)
    assert stage.settle() == ["client Authentication(3)"]
    stage.client(PASSWORD)
    assert stage.settle() == [
        "client Authentication(0) + Fatal('3D000', 'no such database behind this gateway', reference='s')",
        "identified ana@example.com",
        "session refused",
        "close",
    ]


def test_a_session_that_a_policy_refuses() -> None:
    stage = start(ANA, Listening((AskOpen, AccessDenied("office hours", message="come back at nine"))))
    stage.client(PASSWORD)
    assert "Fatal('42501', 'come back at nine', reference='s')" in stage.settle()[0]


def test_replication_is_refused_unless_a_policy_names_it() -> None:
    stage = start(ANA | {"replication": "database"})
    stage.client(PASSWORD)
    lines = stage.settle()
    assert "Fatal('42501', 'access denied by policy', reference='s')" in lines[0]
    assert stage.closed


def test_replication_that_a_policy_allows() -> None:
    host = Listening()
    host.holds.add("bypass")
    stage = start(ANA | {"replication": "true"}, host)
    stage.client(PASSWORD)
    assert upstream_startup(stage)["replication"] == "true"
    stage.settle()
    stage.server(GREETING)
    assert stage.settle()[0].startswith("client "), "no probe: the database would not understand it"
    for line, expected in [
        (">> client Query('START_REPLICATION 0/0')", ["server Query('START_REPLICATION 0/0')"]),
        (">> server CopyBoth() + CopyData('w')", ["client CopyBoth() + CopyData('w')"]),
        (">> client CopyData('r') + CopyDone()", ["server CopyData('r') + CopyDone()"]),
        (
            ">> server CopyDone() + CommandComplete('START_STREAMING') + Ready('I')",
            [
                "client CopyDone() + CommandComplete('START_STREAMING') + Ready('I')",
                "catalog changed",
                "record success 'START_REPLICATION 0/0'",
            ],
        ),
    ]:
        stage.play(line)
        assert [said for said in stage.settle() if said != "catalog changed"] == [
            said for said in expected if said != "catalog changed"
        ]
    assert sum(isinstance(ask, AskRuling) for ask in host.questions) == 2


# --- the upstream's login and the rest -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("Fatal('3D000', 'database \"x\" does not exist')", "Fatal('3D000', 'database \"x\" does not exist'"),
        (
            "Fatal('28P01', 'password authentication failed for user \"gateway\"')",
            "Fatal('08006', 'the gateway could not log in",
        ),
        (
            "Fatal('53300', 'sorry, too many clients already for gateway')",
            "Fatal('53300', 'the database has too many connections'",
        ),
        ("Raw('R', b'\\0\\0\\0\\3')", "Fatal('08006'"),
        ("Raw('D', b'')", "Fatal('08006'"),
        ("Bytes(b'HTTP/1.1 400 Bad Request\\r\\n')", "Fatal('08006'"),
    ],
)
def test_a_database_that_does_not_let_the_gateway_in(answer: str, code: str) -> None:
    stage = start(ANA)
    stage.client(PASSWORD)
    stage.settle()
    stage.play(f">> server {answer}")
    lines = stage.settle()
    assert code in lines[0]
    assert 'gateway"' not in lines[0]
    assert stage.closed


def test_a_database_that_hangs_up_during_the_login() -> None:
    stage = start(ANA)
    stage.client(PASSWORD)
    stage.settle()
    stage.play(">> server eof")
    assert "Fatal('08006', 'the database is not available', reference='s')" in stage.settle()[0]


def test_what_the_client_sends_before_it_may_waits_for_the_session() -> None:
    stage = start(ANA)
    stage.client(PASSWORD + frame(ord("Q"), b"select 1\0"))
    stage.settle()
    stage.server(GREETING + ProbeAnswer("public", "none", "gateway"))
    assert stage.settle()[0] == "server Probe() + Query('select 1')"


def test_a_cancel_request_is_handed_on_and_never_answered() -> None:
    host = Listening()
    stage = Stage(host, tls=False)
    stage.client(CancelRequest(4711, b"secret").encode())
    assert stage.settle() == ["close"]
    ask = host.asked_for(AskCancel)
    assert isinstance(ask, AskCancel)
    assert ask.key == struct.pack("!I", 4711) + b"secret"


@pytest.mark.parametrize("data", [b"", PASSWORD])
def test_the_gateway_may_end_it_at_any_time(data: bytes) -> None:
    stage = start(ANA)
    stage.client(data)
    stage.settle()
    stage.play(">> terminate")
    lines = stage.settle()
    assert "client Fatal('57P01', 'the gateway is ending this session; connect again', reference='s')" in lines
    assert lines[-1] == "close"
