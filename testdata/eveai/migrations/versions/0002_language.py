"""Each document gets a language."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("documents", sa.Column("language", sa.String(8), nullable=False, server_default="en"))


def downgrade():
    op.drop_column("documents", "language")
