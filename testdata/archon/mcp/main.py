"""The tool server: JSON-RPC 2.0 on /mcp, in front of the server's notes."""

import os
from typing import Any

import httpx
from fastapi import Body

from common.service import make_service

app = make_service("mcp")

SERVER = os.environ.get("ARCHON_SERVER_URL", "http://127.0.0.1:8181")
TOOLS = [
    {
        "name": "find_notes",
        "description": "Notes whose title or text contains a word",
        "inputSchema": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
    }
]


def answer(request_id, **body):
    return {"jsonrpc": "2.0", "id": request_id, **body}


def failure(request_id, code, message):
    return answer(request_id, error={"code": code, "message": message})


@app.post("/mcp")
async def call(request: Any = Body()):
    if not isinstance(request, dict) or not isinstance(request.get("params", {}), dict):
        return failure(None, -32600, "invalid request")
    request_id, method, params = request.get("id"), request.get("method"), request.get("params", {})
    if method == "tools/list":
        return answer(request_id, result={"tools": TOOLS})
    if method != "tools/call":
        return failure(request_id, -32601, "method not found")
    query = (params.get("arguments") or {}).get("q")
    if params.get("name") != "find_notes" or not isinstance(query, str):
        return failure(request_id, -32602, "invalid params")
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            notes = await client.get(f"{SERVER}/api/notes", params={"q": query})
            notes.raise_for_status()
    except httpx.HTTPError as error:
        return failure(request_id, -32000, f"the server did not answer: {error}")
    return answer(request_id, result={"content": notes.json()})
