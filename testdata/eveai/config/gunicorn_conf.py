"""Hooks of gunicorn. The numbers come from scripts/start.sh."""

from common.stopping import announce_sigterm

# The root is read-only and has no home: the workers' heartbeat files go to /tmp, and there is no control socket.
worker_tmp_dir = "/tmp"
control_socket_disable = True
graceful_timeout = 2
accesslog = "-"
errorlog = "-"


def when_ready(server):
    announce_sigterm("web")


def on_exit(server):
    server.log.info("eveai web: stopped")
