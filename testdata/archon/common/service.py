"""What the three services share: how one starts, stops and says that it is well."""

import sys
from contextlib import asynccontextmanager

from fastapi import FastAPI


def say(line):
    print(line, file=sys.stderr, flush=True)


def make_service(name):
    """A FastAPI application that logs its start and its stop, and answers /health."""

    @asynccontextmanager
    async def lifespan(_app):
        say(f"archon {name}: started")
        yield
        say(f"archon {name}: shutdown requested, stopping")

    app = FastAPI(title=f"archon {name}", lifespan=lifespan)

    @app.get("/health")
    def health():
        return {"status": "ok", "service": name}

    return app
