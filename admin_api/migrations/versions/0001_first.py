"""The tables of the first version."""

import sqlalchemy as sa
from alembic import op

from admin_api.db import Moment

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_DOCUMENTS = ("resources", "principals", "classifications", "policies")


def upgrade() -> None:
    """Forward."""
    for table in _DOCUMENTS:
        op.create_table(
            table,
            sa.Column("id", sa.String(60), nullable=False),
            sa.Column("name", sa.String(1000), nullable=False),
            sa.Column("version", sa.Integer(), nullable=False),
            sa.Column("document", sa.JSON(), nullable=False),
            *_authorship(),
            sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
            sa.UniqueConstraint("name", name=f"uq_{table}_name"),
        )
    op.create_table(
        "policy_versions",
        sa.Column("id", sa.String(60), nullable=False),
        sa.Column("name", sa.String(1000), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.String(500), nullable=False),
        sa.Column("note", sa.String(1000), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policy_versions"),
        sa.UniqueConstraint("name", "version", name="uq_policy_versions_name_version"),
    )
    op.create_index("ix_policy_versions_name", "policy_versions", ["name"])
    op.create_table(
        "groups",
        sa.Column("id", sa.String(60), nullable=False),
        sa.Column("name", sa.String(1000), nullable=False),
        sa.Column("description", sa.String(1000), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        *_authorship(),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
        sa.UniqueConstraint("name", name="uq_groups_name"),
    )
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.String(60), nullable=False),
        sa.Column("principal", sa.String(1000), nullable=False),
        sa.Column("verifier", sa.String(500), nullable=False),
        sa.Column("resources", sa.JSON(), nullable=False),
        sa.Column("description", sa.String(500), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.String(500), nullable=False),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.Column("revoked_by", sa.String(500), nullable=False),
        sa.Column("last_used_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_access_tokens"),
    )
    op.create_index("ix_access_tokens_principal", "access_tokens", ["principal"])
    op.create_table(
        "admins",
        sa.Column("id", sa.String(60), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("password", sa.String(300), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        *_authorship(),
        sa.Column("last_login_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_admins"),
        sa.UniqueConstraint("name", name="uq_admins_name"),
    )
    op.create_table(
        "admin_sessions",
        sa.Column("id", sa.String(60), nullable=False),
        sa.Column("admin_id", sa.String(60), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("client_address", sa.String(100), nullable=False),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.Column("revoked_because", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_admin_sessions"),
    )
    op.create_index("ix_admin_sessions_admin_id", "admin_sessions", ["admin_id"])
    op.create_table(
        "refresh_tokens",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("session_id", sa.String(60), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("used_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_refresh_tokens"),
    )
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"])
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(60), nullable=False),
        sa.Column("private_key", sa.String(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_keys"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("headers", sa.String(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "store_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_store_revision"),
    )


def downgrade() -> None:
    """Back."""
    for table in (
        "store_revision",
        "idempotency_keys",
        "signing_keys",
        "refresh_tokens",
        "admin_sessions",
        "admins",
        "access_tokens",
        "groups",
        "policy_versions",
        *reversed(_DOCUMENTS),
    ):
        op.drop_table(table)


def _authorship() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.String(500), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("updated_by", sa.String(500), nullable=False),
    ]
