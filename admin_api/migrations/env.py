"""Alembic's environment: runs on the connection that ``admin_api.migrate`` gives."""

from alembic import context

from admin_api.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    compare_type=True,
    # SQLite cannot alter columns: tables are made anew and copied.
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
