import unittest

from common.text import summarise


class Summarise(unittest.TestCase):
    def test_counts_and_first_sentence(self):
        self.assertEqual(
            summarise("Keel first. Then planks, lapped."),
            {"words": 5, "characters": 32, "first": "Keel first."},
        )

    def test_empty(self):
        self.assertEqual(summarise(""), {"words": 0, "characters": 0, "first": ""})
