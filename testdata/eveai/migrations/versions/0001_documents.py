"""The documents table."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    documents = op.create_table(
        "documents",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("title", sa.String(200), nullable=False),
    )
    op.bulk_insert(documents, [{"title": "The first document"}])


def downgrade():
    op.drop_table("documents")
