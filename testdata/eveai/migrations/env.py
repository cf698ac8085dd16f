"""How Alembic reaches the database: DATABASE_URL, and nothing from a file."""

import os
from logging.config import fileConfig

from alembic import context
from sqlalchemy import create_engine, pool

from common.database import Base

fileConfig(context.config.config_file_name, disable_existing_loggers=False)

url = os.environ.get("DATABASE_URL")
if not url:
    raise SystemExit("migrations: DATABASE_URL is not set")

if context.is_offline_mode():
    context.configure(url=url, target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
