#!/usr/bin/env bash
# Becomes the process that ROLE names. Nothing else: no set-up, no migrations, no change of directory or owner.
set -euo pipefail

app_module() {
    for package in eveai_app eveai_api; do
        if [ -d "$package" ]; then
            echo "$package.wsgi:app"
            return
        fi
    done
    echo "start.sh: no web application here, and APP_MODULE is not set" >&2
    return 1
}

loglevel=${LOGLEVEL:-info}
case "${ROLE:-web}" in
web)
    module=${APP_MODULE:-$(app_module)}
    exec gunicorn "$module" \
        --config config/gunicorn_conf.py \
        --bind "0.0.0.0:${PORT:-8080}" \
        --workers "${WORKERS:-2}" \
        --worker-class "${WORKER_CLASS:-gevent}" \
        --worker-connections "${WORKER_CONN:-100}" \
        --log-level "$loglevel"
    ;;
worker)
    # Threads: the tasks wait for others most of the time, one process stops at once, and no semaphores in /dev/shm.
    exec celery --app "${CELERY_APP:-eveai_workers}" worker \
        --pool "${CELERY_POOL:-threads}" \
        --concurrency "${CELERY_CONCURRENCY:-4}" \
        --queues "${CELERY_QUEUES:-eveai}" \
        --max-tasks-per-child "${CELERY_MAX_TASKS_PER_CHILD:-1000}" \
        --without-gossip --without-mingle \
        --loglevel "$loglevel"
    ;;
beat)
    exec celery --app "${CELERY_APP:-eveai_workers}" beat \
        --schedule "${CELERY_BEAT_SCHEDULE:-/tmp/celerybeat-schedule}" \
        --max-interval "${CELERY_BEAT_MAX_INTERVAL:-60}" \
        --pidfile= \
        --loglevel "$loglevel"
    ;;
*)
    echo "start.sh: unknown ROLE '$ROLE': expected web, worker or beat" >&2
    exit 1
    ;;
esac
