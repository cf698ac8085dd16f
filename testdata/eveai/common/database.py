"""The tables. `migrations` makes them; nothing here does."""

from sqlalchemy import Integer, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Document(Base):
    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(8), server_default="en")


def list_documents(url):
    """All documents, oldest first."""
    with Session(create_engine(url)) as session:
        return [
            {"id": row.id, "title": row.title, "language": row.language}
            for row in session.scalars(select(Document).order_by(Document.id))
        ]
