"""The Celery application: `celery --app eveai_workers` finds `app` here."""

from eveai_workers.celery_app import app

__all__ = ["app"]
