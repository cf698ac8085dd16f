"""The server: notes, kept in memory."""

from itertools import count
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from common.service import make_service

app = make_service("server")


class NewNote(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    text: str = ""


class Note(NewNote):
    id: int


NOTES: list[Note] = []
NUMBERS = count(1)


@app.post("/api/notes", status_code=201)
def add(note: NewNote) -> Note:
    NOTES.append(Note(id=next(NUMBERS), **note.model_dump()))
    return NOTES[-1]


@app.get("/api/notes")
def find(q: Annotated[str, Query(max_length=200)] = "") -> list[Note]:
    wanted = q.casefold()
    return [note for note in NOTES if wanted in f"{note.title}\n{note.text}".casefold()]
