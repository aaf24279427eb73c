"""The PostgreSQL wire protocol, versions 3.0 to 3.2, as pure functions of bytes.

* ``framing``: where one message ends, under mandatory limits;
* ``startup``, ``frontend``, ``backend``: one frozen dataclass per message, ``encode`` and ``decode`` side by side;
* ``scram``, ``auth``: authentication, both sides, as step objects;
* ``upstream``: a whole conversation with a server (log in, read something) as a generator.

Nothing here opens a socket, waits, or knows of a policy. Bad input raises ``RemoteProtocolError``, whose text names the
message and the rule but never the value. Chapter numbers are those of PostgreSQL's manual ("Frontend/Backend
Protocol", 54 in version 18).
"""
