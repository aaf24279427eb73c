"""Commands that the gateway answers itself: what they ask is about the connection, and that is the gateway's."""

from __future__ import annotations

from typing import Any, Final

from gateway.domain.principal import Principal

WHATSMYURI: Final = "whatsmyuri"
CONNECTION_STATUS: Final = "connectionStatus"
LOCAL: Final = frozenset({WHATSMYURI, CONNECTION_STATUS})

NEVER: Final = frozenset(
    {
        "_isSelf",
        "replSetHeartbeat",
        "replSetRequestVotes",
        "replSetUpdatePosition",
        "saslStart",
        "saslContinue",
        "authenticate",
        "getnonce",
        "internalRenameIfOptionsAndIndexesMatch",
        "applyOps",
        "godinsert",
    }
)
"""What members of a replica set say to each other, or what would run operations that nobody looked at."""

TELLS_TOPOLOGY: Final = frozenset({"serverStatus", "replSetGetStatus", "replSetGetConfig", "hostInfo", "explain"})
"""Commands whose replies name members."""
TOPOLOGY_FIELDS: Final = frozenset(
    {"hosts", "passives", "arbiters", "me", "primary", "setName", "setVersion", "host", "name", "syncSourceHost"}
)


def answer(name: str, client: str, principal: Principal) -> dict[str, Any]:
    """The reply to one of ``LOCAL``."""
    if name == WHATSMYURI:
        return {"you": client, "ok": 1.0}
    users = [{"user": member.name, "db": "admin"} for member in principal.chain()[:1]]
    return {"authInfo": {"authenticatedUsers": users, "authenticatedUserRoles": []}, "ok": 1.0}


def without_topology(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """A reply of one of ``TELLS_TOPOLOGY`` without the addresses of members."""
    match name:
        case "serverStatus":
            document.pop("host", None)
            if isinstance(document.get("repl"), dict):
                document["repl"] = _stripped(document["repl"])
        case "replSetGetStatus" | "replSetGetConfig":
            document = _stripped(document)
        case "hostInfo":
            if isinstance(document.get("system"), dict):
                document["system"].pop("hostname", None)
        case _:
            document = _without_server_info(document)
    return document


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stripped(item) for key, item in value.items() if key not in TOPOLOGY_FIELDS}
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    return value


def _without_server_info(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _version(item) if key == "serverInfo" else _without_server_info(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_server_info(item) for item in value]
    return value


def _version(server_info: Any) -> dict[str, Any]:
    return {"version": server_info.get("version")} if isinstance(server_info, dict) else {}
