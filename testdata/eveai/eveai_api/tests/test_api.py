import unittest

from eveai_api import create_app


class Api(unittest.TestCase):
    def setUp(self):
        self.client = create_app().test_client()

    def test_summary(self):
        answer = self.client.post("/api/summary", json={"text": "Plank over plank."})
        self.assertEqual(answer.json, {"words": 3, "characters": 17, "first": "Plank over plank."})

    def test_summary_without_text(self):
        self.assertEqual(self.client.post("/api/summary", json={}).status_code, 400)

    def test_documents_without_a_database(self):
        self.assertEqual(self.client.get("/api/documents").status_code, 503)
