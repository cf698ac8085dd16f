"""Worker and beat: the tasks, when they run, and how the processes stop."""

import signal

from celery import signals

from common.queue import make_celery
from common.stopping import announce_sigterm, say_stopping
from config import settings

app = make_celery("eveai_workers")
app.conf.imports = ["eveai_workers.tasks"]
app.conf.beat_schedule = {
    "heartbeat": {"task": "eveai.heartbeat", "schedule": settings.HEARTBEAT_SECONDS},
}


@signals.worker_shutting_down.connect
def on_worker_shutting_down(**_):
    say_stopping("worker")


@signals.worker_process_init.connect
def leave_stopping_to_the_parent(**_):
    # With CELERY_POOL=prefork: `tini -g` signals the whole group. A pool process that died of it would take its task
    # along; ignoring it, the task is finished and the parent ends the pool.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@signals.beat_init.connect
def on_beat_init(**_):
    announce_sigterm("beat")
