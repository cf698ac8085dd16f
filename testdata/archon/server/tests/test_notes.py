import unittest

from server.main import NOTES, NewNote, add, find


class Notes(unittest.TestCase):
    def tearDown(self):
        NOTES.clear()

    def test_found_by_title_and_text_whatever_the_case(self):
        add(NewNote(title="Keel", text="oak"))
        add(NewNote(title="Plank", text="larch"))
        self.assertEqual([note.title for note in find("OAK")], ["Keel"])
        self.assertEqual(len(find("")), 2)
