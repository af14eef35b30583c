"""What alembic runs to upgrade the server's tables: within the connection and the transaction that it is given."""

from alembic import context

from slacktide.service.store.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
