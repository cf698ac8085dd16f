"""What the machine is, for whoever reads the figures."""

import os
import platform
import time
from pathlib import Path


def first(path, key):
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")


def about():
    memory = int(first("/proc/meminfo", "MemTotal").split()[0] or 0) * 1024
    return {
        "cores": os.cpu_count(),
        "processor": first("/proc/cpuinfo", "model name"),
        "memory": memory,
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "load": [round(load, 2) for load in os.getloadavg()],
    }
