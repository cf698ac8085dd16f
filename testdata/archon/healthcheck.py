"""Asks the service in this container whether it is well. Exit code 0 means yes; Docker's HEALTHCHECK runs it."""

import os
import sys
from urllib.request import urlopen

url = f"http://127.0.0.1:{os.environ['PORT']}/health"
try:
    with urlopen(url, timeout=3) as answer:
        healthy = answer.status == 200
except OSError as error:
    sys.exit(f"healthcheck: {url}: {error}")
sys.exit(0 if healthy else 1)
