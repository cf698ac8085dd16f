"""The agents: each turns notes into something shorter."""

import os

import httpx
from fastapi import HTTPException
from pydantic import BaseModel

from common.service import make_service

app = make_service("agents")

MCP = os.environ.get("ARCHON_MCP_URL", "http://127.0.0.1:8051")


class Question(BaseModel):
    about: str


def digest(notes):
    """One line about many notes."""
    if not notes:
        return "nothing is known"
    titles = ", ".join(note["title"] for note in notes[:3])
    more = len(notes) - 3
    return f"{titles} and {more} more" if more > 0 else titles


@app.post("/agents/digest")
async def ask(question: Question):
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "find_notes", "arguments": {"q": question.about}},
    }
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = (await client.post(f"{MCP}/mcp", json=call)).raise_for_status().json()
    except httpx.HTTPError as error:
        raise HTTPException(502, f"the tool server did not answer: {error}") from error
    if "error" in answer:
        raise HTTPException(502, answer["error"]["message"])
    return {"digest": digest(answer["result"]["content"])}
