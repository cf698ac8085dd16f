"""The web front end: pages for people, and the door to the task queue."""

from flask import Flask

from eveai_app.views import pages


def create_app():
    app = Flask(__name__)
    app.register_blueprint(pages)
    return app
