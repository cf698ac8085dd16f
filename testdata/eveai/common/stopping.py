"""One line in the log when the platform asks a server to stop."""

import os
import signal


def say_stopping(server):
    """Write the line. It goes straight to the descriptor, since a signal handler may not wait for a lock."""
    os.write(2, f"eveai {server}: SIGTERM received, stopping\n".encode())


def announce_sigterm(server):
    """Write the line on SIGTERM, then do what would have been done without us."""
    before = signal.getsignal(signal.SIGTERM)

    def handler(signum, frame):
        say_stopping(server)
        if callable(before):
            before(signum, frame)

    signal.signal(signal.SIGTERM, handler)
