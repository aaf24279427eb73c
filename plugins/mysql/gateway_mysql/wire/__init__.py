"""The MySQL client/server protocol (version 10 of the handshake, 4.1 of the rest) as pure functions of bytes.

* ``codec``: integers and strings; ``packets``: where one packet ends, splitting and joining at 16 MiB;
* ``capabilities``: what both sides may promise each other; ``handshake``, ``messages``, ``commands``: one frozen
  dataclass per message, ``encode`` and ``decode`` side by side;
* ``scramble``, ``auth``: authentication, both sides, as step objects;
* ``compression``: the framing around packets; ``upstream``: whole conversations with a server as generators.

Nothing here opens a socket, waits, or knows of a policy. Bad input raises ``RemoteProtocolError``, whose text names the
message and the rule but never the value. Names of pages are those of the MySQL source documentation ("Client/Server
Protocol"); MariaDB's additions are in its knowledge base under the same title.
"""
