"""Events as the reader gives them, for receivers to take."""

from __future__ import annotations

import json
from typing import Any


def event(number: int = 1, **changes: Any) -> bytes:
    """A statement's event as a line."""
    content: dict[str, Any] = {
        "metadata": {"sequence": number, "uid": f"s1-{number}", "event_code": "statement", "version": "1.7.0"},
        "time": 1_700_000_000_000 + number,
        "duration": 2,
        "severity_id": 1,
        "status_id": 1,
        "status_detail": "success",
        "action_id": 1,
        "class_uid": 6005,
        "query_info": {"query_string": "SELECT 'ä\u2028'", "uid": "f1", "bytes": 10},
        "actor": {"user": {"name": "ana@example.com"}, "session": {"uid": "s1"}},
        "src_endpoint": {"ip": "127.0.0.1", "port": 5},
        "dst_endpoint": {"name": "shop-prod", "hostname": "db.example.com", "port": 5432, "svc_name": "postgres"},
        "database": {"name": "shop"},
        "policy": {"name": "analysts-may-read"},
        "unmapped": {
            "session": {"acts_for": []},
            "duration_us": 2500,
            "rows": 3,
            "masked_cells": 2,
            "masked_by_label": {"pii.email": 2},
            "statements": [{"kind": "select", "actions": ["read"], "reads": ["public.customers"]}],
        },
    }
    return json.dumps(content | changes, ensure_ascii=False).encode() + b"\n"
