import unittest

import click_plugins

from eveai_workers import app
from eveai_workers.tasks import summarise_text


class Tasks(unittest.TestCase):
    def test_names_that_others_send(self):
        app.loader.import_default_modules()
        self.assertLessEqual({"eveai.summarise", "eveai.heartbeat"}, set(app.tasks))

    def test_every_scheduled_task_exists(self):
        for entry in app.conf.beat_schedule.values():
            self.assertIn(entry["task"], app.tasks)

    def test_summarise(self):
        self.assertEqual(summarise_text("One. Two.")["first"], "One.")

    def test_the_patched_package_is_the_one_imported(self):
        self.assertTrue(click_plugins.PATCHED)
