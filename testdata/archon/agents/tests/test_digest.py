import unittest

from agents.main import digest


class Digest(unittest.TestCase):
    def test_lengths(self):
        notes = [{"title": title} for title in "abcde"]
        self.assertEqual(digest([]), "nothing is known")
        self.assertEqual(digest(notes[:3]), "a, b, c")
        self.assertEqual(digest(notes), "a, b, c and 2 more")
