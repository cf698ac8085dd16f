"""The task queue, as those see it who only send: the web services do not hold the tasks' code."""

from celery import Celery

from config import settings


def make_celery(name):
    """A Celery application on the configured broker."""
    app = Celery(name, broker=settings.BROKER_URL, backend=settings.RESULT_BACKEND)
    app.conf.update(
        task_default_queue=settings.QUEUE,
        task_serializer="json",
        accept_content=["json"],
        result_serializer="json",
        result_expires=3600,
        broker_connection_retry_on_startup=True,
        timezone="UTC",
    )
    return app
