ARG BASE=registry.example.com/eveai/eveai-base:latest
FROM ${BASE}

ENV ROLE=web

COPY --chown=appuser:appuser eveai_app /app/eveai_app
COPY --chown=appuser:appuser migrations /app/migrations
COPY --chown=appuser:appuser content /app/content
