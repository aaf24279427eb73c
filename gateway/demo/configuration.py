"""The demo's files, written as a user would write them: what the process is, and what it decides by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

_PROCESS = Template("""\
# What the demo's gateway is. What it decides by is in the store of its control plane, and came from documents.yaml.
listeners: {$listeners}
admin_api: "127.0.0.1:$admin_port"
data_dir: ./data
# tls is left out: a self-signed certificate is made in data_dir
control_plane: {secrets: {env: ["*_PASSWORD", "*_TOKEN"]}}
audit:
  durability: {write: before_forward, read: buffered}
  literals: keep
  checkpoint_interval: 500ms
""")
_DOCUMENTS = Template("""\
# What the demo decides by. Look around, change it, and put it in force: querygate apply -f documents.yaml
resources:
${resources}principals:
  - {name: $approver, kind: human, groups: [dba]}
  - {name: ana@example.com, kind: human, groups: [analysts], token: {env: ANA_TOKEN}}
  - {name: sam@example.com, kind: human, groups: [support], token: {env: SAM_TOKEN}}
  - {name: copilot, kind: agent, groups: [agents], acts_for: ana@example.com, token: {env: COPILOT_TOKEN}}
classifications:
${classifications}policies:
  - name: people-may-read
    effect: allow
    match: {groups: [analysts, agents, support], actions: [read, explain, session]}
  - name: people-may-write
    effect: allow
    match: {groups: [analysts, support], actions: [insert, update, delete, ddl]}
  - name: schema-change-needs-a-human
    effect: require_approval
    match: {environments: [production], actions: [ddl]}
    approval: {approvers: [dba], timeout: 10m}
  - name: mask-personal-data
    effect: mask
    match: {labels: ["pii.*"], except_groups: [support]}
    mask: {function: redact}
  - name: mask-cards-for-support
    effect: mask
    match: {labels: ["pci.*"], groups: [support]}
    mask: {function: partial, last: 4}
  - name: mask-cards
    effect: mask
    match: {labels: ["pci.*"], except_groups: [support]}
    mask: {function: redact}
  - name: no-destruction-in-production
    effect: deny
    match: {environments: [production], actions: [drop, truncate]}
    message: destructive statements are not allowed in production
  - name: no-write-without-where
    effect: deny
    match: {actions: [update, delete], when: "!statement.has_predicate"}
    message: an UPDATE or DELETE needs a WHERE that leaves something out
  - name: short-answers-for-agents
    effect: limit
    match: {kinds: [agent]}
    limit: {rows: 1000, timeout: 30s}
""")


_RESOURCE = Template("""\
  - name: $name
    protocol: $protocol
    address: localhost:$port
    database: shop
    credentials: {username: gateway, password: {env: $variable}}
    tls: $tls
    environment: production
    labels: {team: shop}
""")
_CLASSIFIED = """\
  - {resource: shop-prod, label: pii.email, columns: [public.customers.email, public.staff.home_email]}
  - {resource: shop-prod, label: pii.tax_number, columns: [public.customers.tax_number]}
  - {resource: shop-prod, label: pii.phone, columns: [public.customers.phone]}
  - {resource: shop-prod, label: pci.card, columns: [public.customers.card_number]}
  - {resource: shop-mariadb, label: pii.email, columns: [shop.customers.email, shop.staff.home_email]}
  - {resource: shop-mariadb, label: pii.tax_number, columns: [shop.customers.tax_number]}
  - {resource: shop-mariadb, label: pii.phone, columns: [shop.customers.phone]}
  - {resource: shop-mariadb, label: pci.card, columns: [shop.customers.card_number]}
  - {resource: shop-mongodb, label: pii.email, paths: [shop.customers.contact.email, shop.staff.home_email]}
  - {resource: shop-mongodb, label: pii.tax_number, paths: [shop.customers.tax_number]}
  - {resource: shop-mongodb, label: pii.phone, paths: [shop.customers.contact.phones.number]}
  - {resource: shop-mongodb, label: pci.card, paths: [shop.customers.cards.number]}
"""
_NAMES = {
    "postgres": ("shop-prod", "SHOP_PASSWORD"),
    "mysql": ("shop-mariadb", "MARIADB_PASSWORD"),
    "mongodb": ("shop-mongodb", "MONGODB_PASSWORD"),
}
"""By protocol: the resource's name, and the variable that holds its password."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where a database is, and where the gateway listens for it. ``ca`` None means that it has no TLS."""

    listen: int
    port: int
    ca: Path | None

    @property
    def tls(self) -> str:
        """How the gateway connects to it."""
        return f"{{mode: verify-full, ca: {self.ca}}}" if self.ca is not None else "{mode: disable}"


def process(databases: Mapping[str, Database], admin_port: int) -> str:
    """The text of the configuration file for databases by protocol."""
    return _PROCESS.substitute(
        listeners=", ".join(f'{protocol}: "127.0.0.1:{database.listen}"' for protocol, database in databases.items()),
        admin_port=admin_port,
    )


def documents(databases: Mapping[str, Database], approver: str) -> str:
    """The text of the documents for databases by protocol; they speak of no others."""
    names = {_NAMES[protocol][0] for protocol in databases}
    resources = "".join(
        _RESOURCE.substitute(
            name=_NAMES[protocol][0],
            protocol=protocol,
            port=database.port,
            variable=_NAMES[protocol][1],
            tls=database.tls,
        )
        for protocol, database in databases.items()
    )
    classified = [line for line in _CLASSIFIED.splitlines(True) if any(f"resource: {name}," in line for name in names)]
    return _DOCUMENTS.substitute(approver=approver, resources=resources, classifications="".join(classified))
