"""The gateway's configuration for the benchmarks: every stage of a statement's life has work to do.

The principal may read by a policy, is under masks, and every statement is audited into files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from benchmarks.data import DATABASE, MASKED, RESOURCE, ROLE

PRINCIPAL = "ana@example.com"
TOKEN_VARIABLE = "BENCH_TOKEN"
PASSWORD_VARIABLE = "BENCH_PASSWORD"


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs between gateways under test."""

    name: str = "gateway"
    tls: bool = False
    read_durability: str = "buffered"
    holds: bool = False
    """Whether what reads the customers waits for an approval."""
    audited: bool = True
    """Without, a gateway that the product does not have: nothing is recorded. Only to know what recording costs."""


def configuration(variant: Variant, *, port: int, upstream_port: int) -> str:
    """The configuration file's text (JSON, which is YAML too)."""
    labels = list(MASKED)
    document: dict[str, object] = {
        "listeners": {"postgres": f"127.0.0.1:{port}"},
        "data_dir": "./data",
        "resources": [
            {
                "name": RESOURCE,
                "protocol": "postgres",
                "address": f"127.0.0.1:{upstream_port}",
                "database": DATABASE,
                "credentials": {"username": ROLE, "password": {"env": PASSWORD_VARIABLE}},
                "tls": {"mode": "disable"},
                "environment": "production",
            }
        ],
        "principals": [
            {"name": PRINCIPAL, "kind": "human", "groups": ["analysts"], "token": {"env": TOKEN_VARIABLE}},
        ],
        "classifications": [
            {
                "resource": RESOURCE,
                "label": label,
                "columns": [f"public.people_masked.{column}", f"public.customers.{column}"],
            }
            for label, column in MASKED.items()
        ],
        "policies": [
            {
                "name": "analysts-may-read",
                "effect": "allow",
                "match": {"groups": ["analysts"], "actions": ["read", "set", "show", "transaction", "prepare"]},
            },
            {
                "name": "mask-email",
                "effect": "mask",
                "match": {"labels": [labels[0]], "except_groups": ["support"]},
                "mask": {"function": "redact"},
            },
            {
                "name": "mask-cards",
                "effect": "mask",
                "match": {"labels": [labels[1]], "except_groups": ["support"]},
                "mask": {"function": "partial", "last": 4},
            },
            {
                "name": "no-write-without-where",
                "effect": "deny",
                "match": {"actions": ["update", "delete"], "when": "!statement.has_predicate"},
            },
        ],
        "audit": {"durability": {"write": "before_forward", "read": variant.read_durability}, "min_free": "64MiB"},
        "limits": {"max_sessions": 5000},
    }
    if variant.holds:
        policies = document["policies"]
        assert isinstance(policies, list)
        policies.append(
            {
                "name": "customers-wait",
                "effect": "require_approval",
                "match": {"objects": ["public.customers"]},
                "approval": {"approvers": ["dba"], "timeout": "1h"},
            }
        )
    if not variant.tls:
        document["tls"] = {"mode": "disable"}
    return json.dumps(document, indent=2)
