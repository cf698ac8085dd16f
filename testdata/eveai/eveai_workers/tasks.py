"""The tasks, under the names by which they are sent."""

from celery.utils.log import get_task_logger

from common.text import summarise
from eveai_workers.celery_app import app

log = get_task_logger(__name__)


@app.task(name="eveai.summarise")
def summarise_text(text):
    return summarise(text)


@app.task(name="eveai.heartbeat", ignore_result=True)
def heartbeat():
    log.info("eveai worker: heartbeat from beat")
