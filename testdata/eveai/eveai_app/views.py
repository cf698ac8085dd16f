"""Every page and route of the front end."""

from pathlib import Path

from flask import Blueprint, abort, jsonify, render_template, request, url_for

from common.queue import make_celery

CONTENT = Path(__file__).resolve().parent.parent / "content" / "pages"

pages = Blueprint("pages", __name__)
queue = make_celery("eveai_app")


@pages.get("/")
def index():
    return page("welcome")


@pages.get("/pages/<name>")
def page(name):
    names = sorted(file.stem for file in CONTENT.glob("*.md"))
    if name not in names:
        abort(404)
    title, _, text = (CONTENT / f"{name}.md").read_text(encoding="utf-8").partition("\n")
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
    return render_template("page.html", title=title.lstrip("# "), paragraphs=paragraphs, names=names)


@pages.get("/healthz")
def healthz():
    return jsonify(status="ok", service="eveai_app")


@pages.post("/tasks")
def enqueue():
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or not isinstance(body.get("text"), str):
        return jsonify(error="expected a JSON object with a text"), 400
    task = queue.send_task("eveai.summarise", [body["text"]])
    return jsonify(id=task.id), 202, {"Location": url_for("pages.result", task_id=task.id)}


@pages.get("/tasks/<uuid:task_id>")
def result(task_id):
    # One look at the backend. An AsyncResult would subscribe to the answer, for a page that asks again anyway.
    task = queue.backend.get_task_meta(str(task_id))
    done = task["status"] == "SUCCESS"
    return jsonify(id=str(task_id), state=task["status"], result=task["result"] if done else None)
