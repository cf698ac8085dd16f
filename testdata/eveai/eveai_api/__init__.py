"""The JSON API: what other programs call."""

from flask import Flask, jsonify, request
from sqlalchemy.exc import SQLAlchemyError

from common.database import list_documents
from common.text import summarise
from config import settings


def create_app():
    app = Flask(__name__)

    @app.get("/healthz")
    def healthz():
        return jsonify(status="ok", service="eveai_api")

    @app.post("/api/summary")
    def summary():
        body = request.get_json(silent=True)
        if not isinstance(body, dict) or not isinstance(body.get("text"), str):
            return jsonify(error="expected a JSON object with a text"), 400
        return jsonify(summarise(body["text"]))

    @app.get("/api/documents")
    def documents():
        if not settings.DATABASE_URL:
            return jsonify(error="DATABASE_URL is not set"), 503
        try:
            return jsonify(documents=list_documents(settings.DATABASE_URL))
        except SQLAlchemyError as error:
            app.logger.warning("documents: %s", error)
            return jsonify(error="the database cannot be read; were the migrations run?"), 503

    return app
