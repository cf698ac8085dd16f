import unittest

from eveai_app import create_app


class Views(unittest.TestCase):
    def setUp(self):
        self.client = create_app().test_client()

    def test_index_shows_the_content(self):
        answer = self.client.get("/")
        self.assertEqual(answer.status_code, 200)
        self.assertIn(b"<h1>Welcome to eveAI</h1>", answer.data)

    def test_unknown_page(self):
        self.assertEqual(self.client.get("/pages/..%2fsecret").status_code, 404)

    def test_healthz(self):
        self.assertEqual(self.client.get("/healthz").json, {"status": "ok", "service": "eveai_app"})

    def test_task_without_text(self):
        self.assertEqual(self.client.post("/tasks", json=["no"]).status_code, 400)
