"""OCSF 1.7.0 as far as audit events use it, written down from the schema's own files, and a check against it.

An attribute that stands here as ``!name`` is required. Attributes of a class are those of the base event, of its own
definition, and of the profile ``security_control``; an object or a class has no others, but for ``unmapped``.
"""

from __future__ import annotations

from typing import Any, Final

VERSION: Final = "1.7.0"

_BASE: Final = (
    "!activity_id activity_name !category_uid category_name !class_uid class_name count duration end_time enrichments"
    " message !metadata observables raw_data !severity_id start_time status status_code status_detail status_id"
    " !time timezone_offset !type_uid type_name unmapped"
)
_SECURITY_CONTROL: Final = "action action_id authorizations disposition disposition_id firewall_rule is_alert policy"
_CLASSES: Final = {
    6005: (
        "!actor !src_endpoint dst_endpoint database databucket table query_info http_request type type_id",
        {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
        ("database", "databucket", "table"),
    ),
    3002: (
        "!user actor src_endpoint dst_endpoint service session is_mfa is_remote is_cleartext auth_protocol"
        " auth_protocol_id logon_type logon_type_id certificate http_request",
        {1, 2, 3, 4, 5, 6},
        ("service", "dst_endpoint"),
    ),
    6002: ("!app", {1, 2, 3, 4, 5, 6, 7, 8}, ()),
    6003: ("!actor !api !src_endpoint dst_endpoint http_request resources", {1, 2, 3, 4}, ()),
}
_OBJECTS: Final = {
    "metadata": "!product !version uid event_code correlation_uid profiles labels log_name sequence is_truncated"
    " untruncated_size tenant_uid original_time",
    "product": "name uid vendor_name version",
    "actor": "user session app_name app_uid invoked_by process",
    "user": "name uid type type_id groups domain email_addr full_name",
    "group": "name uid type",
    "session": "uid created_time is_remote issuer is_mfa",
    "endpoint": "ip port name hostname svc_name zone uid type type_id domain",
    "database": "name uid type !type_id groups size",
    "query_info": "!query_string uid name bytes data query_time attributes",
    "policy": "name uid desc group is_applied version type",
    "api": "!operation request response service version group",
    "request": "!uid flags containers",
    "service": "name uid version labels",
    "resource": "name uid type labels owner group",
}
_IS: Final = {
    "src_endpoint": "endpoint",
    "dst_endpoint": "endpoint",
    "app": "product",
    "groups": "group",
    "resources": "resource",
    **{name: name for name in ("metadata", "product", "actor", "user", "session", "database", "query_info", "policy")},
    **{name: name for name in ("api", "request", "service")},
}
_LISTS: Final = {"profiles", "labels", "groups", "resources"}
_NUMBERS: Final = {"time", "duration", "port", "bytes", "sequence", "untruncated_size"}
_ENUMS: Final = {
    "severity_id": {*range(7), 99},
    "status_id": {0, 1, 2, 99},
    "action_id": {0, 1, 2, 3, 4, 99},
    "disposition_id": {*range(28), 99},
}
_TYPES: Final = {"user": {0, 1, 2, 3, 4, 99}, "database": {0, 1, 2, 3, 4, 5, 6, 99}}
_NEED_ONE: Final = {
    "user": ("name", "uid", "account"),
    "endpoint": ("ip", "uid", "name", "hostname", "svc_name", "domain"),
    "policy": ("name", "uid", "type"),
    "product": ("name", "uid"),
}


def problems(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event; empty where it is as the schema says."""
    found: list[str] = []
    class_uid, activity = event.get("class_uid"), event.get("activity_id")
    if class_uid not in _CLASSES:
        return [f"class_uid {class_uid}"]
    own, activities, one_of = _CLASSES[class_uid]
    _check(event, f"{_BASE} {_SECURITY_CONTROL} {own}", "", found)
    if activity not in activities | {0, 99}:
        found.append(f"activity_id {activity}")
    if activity == 99 and not event.get("activity_name"):
        found.append("activity_name says what 99 is")
    if event.get("category_uid") != class_uid // 1000 or event.get("type_uid") != class_uid * 100 + (activity or 0):
        found.append("category_uid, type_uid")
    if one_of and not any(name in event for name in one_of):
        found.append(f"one of {one_of} is needed")
    if event.get("metadata", {}).get("version") != VERSION:
        found.append("metadata.version")
    if "security_control" not in event.get("metadata", {}).get("profiles", []):
        found.append("metadata.profiles")
    return found


def _check(node: dict[str, Any], attributes: str, path: str, found: list[str]) -> None:
    names = attributes.split()
    found += [f"{path}{name[1:]} is missing" for name in names if name[0] == "!" and name[1:] not in node]
    known = {name.lstrip("!") for name in names}
    for name, value in node.items():
        where = f"{path}{name}"
        if name not in known:
            found.append(f"{where} is unknown")
        elif name == "unmapped":
            continue
        elif isinstance(value, list) is not (name in _LISTS):
            found.append(f"{where} is a list or not")
        else:
            for item in value if isinstance(value, list) else [value]:
                _check_value(name, item, where, found)


def _check_value(name: str, value: object, where: str, found: list[str]) -> None:
    kind = _IS.get(name)
    if kind is not None:
        if not isinstance(value, dict):
            found.append(f"{where} is no object")
            return
        _check(value, _OBJECTS[kind], f"{where}.", found)
        if kind in _NEED_ONE and not any(value.get(one) for one in _NEED_ONE[kind]):
            found.append(f"{where} has none of {_NEED_ONE[kind]}")
        if kind in _TYPES and "type_id" in value and value["type_id"] not in _TYPES[kind]:
            found.append(f"{where}.type_id {value['type_id']}")
        if kind == "user" and value.get("type_id") == 99 and not value.get("type"):
            found.append(f"{where}.type says what 99 is")
    elif name in _ENUMS:
        if value not in _ENUMS[name]:
            found.append(f"{where} {value}")
    elif name.endswith("_id") or (name.endswith("_uid") and name != "correlation_uid") or name in _NUMBERS:
        if not isinstance(value, int) or isinstance(value, bool):
            found.append(f"{where} is no number")
    elif name.startswith("is_"):
        if not isinstance(value, bool):
            found.append(f"{where} is not true or false")
    elif not isinstance(value, str) or not (value or name == "query_string"):
        found.append(f"{where} is no text, or empty")
