import asyncio
import contextlib
import io
import unittest

from common.service import make_service


class Service(unittest.TestCase):
    def test_start_and_stop_are_logged(self):
        app = make_service("test")

        async def run():
            async with app.router.lifespan_context(app):
                pass

        with contextlib.redirect_stderr(io.StringIO()) as log:
            asyncio.run(run())
        self.assertEqual(log.getvalue(), "archon test: started\narchon test: shutdown requested, stopping\n")
