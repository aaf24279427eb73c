"""Snapshots, the gateways that pull them, and commands to these."""

import sqlalchemy as sa
from alembic import op

from admin_api.db import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "snapshots",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("documents", sa.String(64), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_snapshots"),
        sa.UniqueConstraint("name", name="uq_snapshots_name"),
    )
    op.create_index("ix_snapshots_documents", "snapshots", ["documents"])
    op.create_table(
        "gateways",
        sa.Column("id", sa.String(60), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("description", sa.String(500), nullable=False),
        sa.Column("credential", sa.String(64), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("created_by", sa.String(500), nullable=False),
        sa.Column("seen_at", Moment(), nullable=True),
        sa.Column("address", sa.String(100), nullable=False),
        sa.Column("report", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_gateways"),
        sa.UniqueConstraint("name", name="uq_gateways_name"),
    )
    op.create_table(
        "gateway_commands",
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("command", sa.JSON(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_gateway_commands"),
    )
    op.create_index("ix_gateway_commands_created_at", "gateway_commands", ["created_at"])


def downgrade() -> None:
    """Back."""
    for table in ("gateway_commands", "gateways", "snapshots"):
        op.drop_table(table)
