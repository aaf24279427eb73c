"""The demo's configuration file, written as a user would write one."""

from __future__ import annotations

from pathlib import Path
from string import Template

_TEXT = Template("""\
# The demo's configuration. Look around, change it, and send the gateway a SIGHUP to have it read again.
listeners: {postgres: "127.0.0.1:$port"}
admin_api: "127.0.0.1:$admin_port"
data_dir: ./data
$tls
resources:
  - name: shop-prod
    protocol: postgres
    address: localhost:$database_port
    database: shop
    credentials: {username: gateway, password: {env: SHOP_PASSWORD}}
    tls: $upstream_tls
    environment: production
    labels: {team: shop}
principals:
  - {name: ana@example.com, kind: human, groups: [analysts], token: {env: ANA_TOKEN}}
  - {name: sam@example.com, kind: human, groups: [support], token: {env: SAM_TOKEN}}
  - {name: copilot, kind: agent, groups: [agents], acts_for: ana@example.com, token: {env: COPILOT_TOKEN}}
classifications:
  - {resource: shop-prod, label: pii.email, columns: [public.customers.email, public.staff.home_email]}
  - {resource: shop-prod, label: pii.tax_number, columns: [public.customers.tax_number]}
  - {resource: shop-prod, label: pii.phone, columns: [public.customers.phone]}
  - {resource: shop-prod, label: pci.card, columns: [public.customers.card_number]}
policies:
  - name: people-may-read
    effect: allow
    match: {groups: [analysts, agents, support], actions: [read, explain, session]}
  - name: people-may-write
    effect: allow
    match: {groups: [analysts, support], actions: [insert, update, delete, ddl]}
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
audit: {durability: {write: before_forward, read: buffered}, literals: keep, sinks: [{type: file}]}
""")


def configuration(*, port: int, admin_port: int, database_port: int, ca: Path | None) -> str:
    """The file's text. ``ca`` None means that the database has no TLS."""
    return _TEXT.substitute(
        port=port,
        admin_port=admin_port,
        database_port=database_port,
        tls="# tls is left out: a self-signed certificate is made in data_dir",
        upstream_tls=f"{{mode: verify-full, ca: {ca}}}" if ca is not None else "{mode: disable}",
    )
