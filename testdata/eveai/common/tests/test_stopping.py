import os
import signal
import subprocess
import sys
import unittest

PROGRAM = """
import signal, time
from common.stopping import announce_sigterm
signal.signal(signal.SIGTERM, lambda *_: exit(7))
announce_sigterm("test")
print("ready", flush=True)
time.sleep(30)
"""


class Stopping(unittest.TestCase):
    def test_line_is_written_and_the_first_handler_still_runs(self):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            os.kill(process.pid, signal.SIGTERM)
            _, errors = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 7)
        self.assertEqual(errors, "eveai test: SIGTERM received, stopping\n")
