"""How snapshots scale: building, size, pulling and applying at many gateways, principals and policies. Bounded in time.

    python -m benchmarks.snapshots --gateways 200 --principals 10000 --policies 1000

Everything is CPU time of this process, so that a busy machine tells the same. A pull counts both ends of HTTP; what a
gateway spends besides to verify and to apply a snapshot is told apart. Of the two figures for statements, the first is
with policies by team, the second with all policies for everybody.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from fastapi import FastAPI, Response

from gateway.config.documents import ConfigDocument
from gateway.config.loader import build_config
from gateway.control.document import SnapshotDocument
from gateway.control.signing import SignedSnapshot, SnapshotSigner
from gateway.domain.decision import AccessRequest, SessionContext
from gateway.domain.identity import ScramVerifier
from gateway.domain.principal import Principal
from gateway.domain.resource import Resource
from gateway.domain.statement import Action, Analysis, ObjectRef, Predicate, StatementFacts
from gateway.identity.scram import format_verifier
from gateway.policy.compile import CompiledPolicySet, compile_policies
from gateway.policy.documents import PolicyDocument
from gateway.policy.evaluate import evaluate_chain
from gateway.policy.snapshot import Snapshot

T = TypeVar("T")
TEAMS = 50
RESOURCES = 40
STATEMENTS = 1000


def sections(principals: int, policies: int) -> dict[str, list[dict[str, Any]]]:
    """A company: teams with resources of their own, people with a token each, policies by team and table."""
    people: list[dict[str, Any]] = [
        {"name": f"person-{number}@example.com", "kind": "human", "groups": [f"team-{number % TEAMS}", "staff"]}
        for number in range(principals)
    ]
    return {
        "resources": [
            {
                "name": f"resource-{number}",
                "protocol": "postgres",
                "address": f"db-{number}.example.com:5432",
                "credentials": {"username": "gateway", "password": {"env": "QUERYGATE_SECRET_DB"}},
                "environment": "production" if number % 2 else "staging",
                "labels": {"team": f"team-{number % TEAMS}"},
            }
            for number in range(RESOURCES)
        ],
        "principals": people,
        "tokens": [
            {"id": f"tok-{number:06d}", "principal": person["name"], "verifier": verifier(person["name"])}
            for number, person in enumerate(people)
        ],
        "classifications": [
            {"resource": f"resource-{number}", "label": "pii.email", "columns": ["public.customers.email"]}
            for number in range(RESOURCES)
        ],
        "policies": [policy(number) for number in range(policies)],
    }


def verifier(name: str) -> str:
    """One that is everybody's own, since what repeats compresses too well."""
    salt, stored, server = (hashlib.sha256(f"{part} {name}".encode()).digest() for part in ("salt", "stored", "server"))
    return format_verifier(ScramVerifier(salt[:16], 4096, stored, server))


def policy(number: int, group: str | None = None) -> dict[str, Any]:
    """One of many: about one team (or ``group``) and one table, one in ten has a condition."""
    match: dict[str, Any] = {"groups": [group or f"team-{number % TEAMS}"], "objects": [f"public.table_{number}"]}
    if number % 10 == 0:
        match["when"] = "statement.has_predicate"
    effect = "allow" if number % 3 else "deny"
    return {"name": f"policy-{number}", "effect": effect, "match": {**match, "actions": ["read", "update"]}}


def measure(work: Callable[[], T]) -> tuple[T, float]:
    """The outcome and CPU seconds."""
    start = time.process_time()
    outcome = work()
    return outcome, time.process_time() - start


async def pull(signed: bytes, gateways: int) -> float:
    """CPU seconds of ``gateways`` pulls over HTTP without a network, client and server together."""
    app = FastAPI()
    compressed = zlib.compress(signed, 6)

    @app.get("/snapshot")
    async def read() -> Response:
        return Response(compressed, headers={"Content-Encoding": "deflate"})

    transport = httpx2.ASGITransport(app=app)
    start = time.process_time()
    async with httpx2.AsyncClient(transport=transport, base_url="http://control") as client:
        for _ in range(gateways):
            answer = await client.get("/snapshot")
            if answer.content != signed:
                raise RuntimeError("another snapshot came than was sent")
    return time.process_time() - start


def first_sight(policies: CompiledPolicySet, people: Sequence[Principal], resource: Resource) -> tuple[float, float]:
    """CPU seconds of the first statement of a person, and of each further one that was never seen."""
    spent: tuple[list[float], list[float]] = ([], [])
    for number in range(STATEMENTS):
        principal = people[number // 2 % len(people)]
        facts = StatementFacts(
            "select",
            frozenset({Action.READ}),
            objects_read=frozenset({ObjectRef("public", f"table_{number}")}),
            predicate=Predicate.PRESENT,
        )
        session = SessionContext("s", "postgres", "10.0.0.1:1", tls=True, user=principal.name)
        request = AccessRequest(principal, resource, session, Analysis((facts,)), "")
        _, took = measure(lambda request=request: evaluate_chain(policies, request, now=datetime.now(UTC)))  # type: ignore[misc]
        spent[number % 2].append(took)
    return statistics.median(spent[0]), statistics.median(spent[1])


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateways", type=int, default=200)
    parser.add_argument("--principals", type=int, default=10_000)
    parser.add_argument("--policies", type=int, default=1_000)
    options = parser.parse_args()
    documents = sections(options.principals, options.policies)
    signer = SnapshotSigner(bytes(32))

    def build() -> bytes:
        document = SnapshotDocument.build(number=1, created=datetime.now(UTC), sections=documents)
        return signer.sign(document).encode()

    signed, build_time = measure(build)
    compressed, compress_time = measure(lambda: zlib.compress(signed, 6))
    decoded, verify_time = measure(lambda: SignedSnapshot.decode(signed, trusted=signer.public_key))
    stored = {name: items for name, items in decoded.document.sections.items() if name != "issuers"}
    base = ConfigDocument.model_validate({"listeners": {"postgres": "127.0.0.1:6432"}, "tls": {"mode": "disable"}})
    environ = {"QUERYGATE_SECRET_DB": "x"}
    config, config_time = measure(
        lambda: build_config(base, stored, path=Path("querygate.yaml"), environ=environ, protocols=["postgres"])
    )
    snapshot, snapshot_time = measure(lambda: Snapshot.from_config(config))
    pulls = asyncio.run(pull(signed, options.gateways))
    people = list(snapshot.principals.values())
    by_team = first_sight(snapshot.policies, people, snapshot.resources["resource-1"])
    everybody = [PolicyDocument.model_validate(policy(number, "staff")) for number in range(options.policies)]
    for_all = first_sight(compile_policies(everybody), people, snapshot.resources["resource-1"])
    print(
        json.dumps(
            {
                "gateways": options.gateways,
                "principals": options.principals,
                "policies": options.policies,
                "build_and_sign_ms": round(build_time * 1e3, 1),
                "compress_ms": round(compress_time * 1e3, 1),
                "size_bytes": len(signed),
                "compressed_bytes": len(compressed),
                "verify_and_parse_ms": round(verify_time * 1e3, 1),
                "check_and_compile_ms": round(config_time * 1e3, 1),
                "put_together_ms": round(snapshot_time * 1e3, 1),
                "pull_ms_per_gateway": round(pulls / options.gateways * 1e3, 2),
                "all_pulls_ms": round(pulls * 1e3),
                "first_statement_of_a_person_us": [round(sight[0] * 1e6, 1) for sight in (by_team, for_all)],
                "statement_at_first_sight_us": [round(sight[1] * 1e6, 1) for sight in (by_team, for_all)],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
