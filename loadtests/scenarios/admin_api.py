"""Administrators and their programs: mostly lists, some explanations and audit searches, few changes."""

from __future__ import annotations

import uuid

from locust import task

from loadtests.clients.admin import AdminUser

STATEMENTS = (
    "SELECT full_name, email FROM customers",
    "SELECT id, total FROM orders WHERE customer_id = 7",
    "DELETE FROM customers",
)


class AdminApi(AdminUser):
    """Each request counts under its route."""

    @task(8)
    def look(self) -> None:
        """A page of a list."""
        kind = self.random.choice(("principals", "resources", "policies", "classifications"))
        self.ask("GET", f"/v1/{kind}?limit=50", f"GET /v1/{kind}")

    @task(2)
    def sessions(self) -> None:
        """Who is connected."""
        self.ask("GET", "/v1/sessions", "GET /v1/sessions")

    @task(2)
    def explain(self) -> None:
        """What would happen to a statement."""
        body = {"principal": "ana@example.com", "resource": "shop", "statement": self.random.choice(STATEMENTS)}
        self.ask("POST", "/v1/explain", "POST /v1/explain", body)

    @task(1)
    def audit(self) -> None:
        """The newest events."""
        self.ask("GET", "/v1/audit-events?limit=20", "GET /v1/audit-events")

    @task(1)
    def health(self) -> None:
        """What a load balancer asks."""
        self.ask("GET", "/health", "GET /health")

    @task(1)
    def change(self) -> None:
        """A new principal: validated, recorded, and in force as a snapshot when the answer comes."""
        name = f"load-{uuid.uuid4().hex[:12]}@example.com"
        self.ask("POST", "/v1/principals", "POST /v1/principals", {"name": name, "groups": ["analysts"]}, expected=201)
