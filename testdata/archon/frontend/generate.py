#!/usr/bin/env python3
"""Makes `site/`: a static front end of a few hundred small files, the same bytes every time.

    generate.py            write site/ anew
    generate.py --check    exit 1 where site/ is not what would be written
"""

import json
import shutil
import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent / "site"
SUBJECTS = ["keel", "plank", "rib", "rivet", "stem", "sail", "oar", "mast", "rudder", "thwart", "strake", "garboard"]
VERBS = ["holds", "meets", "follows", "carries", "covers", "steers", "bends with", "is fastened to"]
NOTES = 240
LONG = "how-the-garboard-strake-is-fitted-to-the-keel-when-the-timber-is-still-green-and-the-workshop-is-cold-in-january"


def sentence(number):
    subject = SUBJECTS[number % len(SUBJECTS)]
    verb = VERBS[number * 7 // 5 % len(VERBS)]
    thing = SUBJECTS[(number * 5 + 3) % len(SUBJECTS)]
    return f"The {subject} {verb} the {thing}."


def html(title, body):
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<title>{title} · Archon</title>\n<link rel="stylesheet" href="/assets/site.css">\n'
        f'<script src="/assets/search.js" defer></script>\n<h1>{title}</h1>\n{body}</html>\n'
    )


def note(number):
    subject = SUBJECTS[number % len(SUBJECTS)]
    title = f"Note {number}: {subject}"
    text = " ".join(sentence(number * 11 + line) for line in range(4 + number % 5))
    body = f'<img src="/assets/icons/{subject}.svg" alt="" width="32">\n<p>{text}</p>\n<a href="/notes/">all notes</a>\n'
    return title, f"notes/{subject}/{number:03}.html", html(title, body)


def icon(number, name):
    points = " ".join(f"{4 + 56 * ((number * 13 + i * 29) % 17) // 16},{4 + 7 * i}" for i in range(9))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><title>{name}</title>'
        f'<polyline points="{points}" fill="none" stroke="#246" stroke-width="4"/></svg>\n'
    )


def pages():
    """Every file of the site: path to text."""
    notes = [note(number) for number in range(1, NOTES + 1)]
    links = "".join(f'<li><a href="/{path}">{title}</a>\n' for title, path, _ in notes)
    files = {path: text for _, path, text in notes}
    files |= {f"assets/icons/{name}.svg": icon(number, name) for number, name in enumerate(SUBJECTS)}
    files |= {
        "index.html": html("Archon", '<p>What is known about boats.</p>\n<input id="q" type="search">\n<ol id="found"></ol>\n'),
        "404.html": html("Not here", '<p><a href="/">Back to the start</a></p>\n'),
        "notes/index.html": html("All notes", f"<ul>\n{links}</ul>\n"),
        "search.json": json.dumps([{"title": title, "path": f"/{path}"} for title, path, _ in notes], indent=0) + "\n",
        "robots.txt": "User-agent: *\nAllow: /\n",
        "assets/site.css": "body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; }\n",
        "assets/search.js": (
            "const box = document.querySelector('#q'), list = document.querySelector('#found');\n"
            "if (box) fetch('/search.json').then(answer => answer.json()).then(notes => {\n"
            "  box.oninput = () => list.replaceChildren(...notes\n"
            "    .filter(note => box.value && note.title.includes(box.value)).slice(0, 20).map(note => {\n"
            "      const item = document.createElement('li'), link = document.createElement('a');\n"
            "      link.href = note.path; link.textContent = note.title; item.append(link); return item;\n"
            "    }));\n"
            "});\n"
        ),
        # Names that a site may have and that archives must carry: too long for a plain tar header, a space, no ASCII.
        f"notes/guides/{LONG}/index.html": html("The garboard strake", f"<p>{sentence(1)}</p>\n"),
        "notes/guides/with a space.html": html("With a space", f"<p>{sentence(2)}</p>\n"),
        "notes/guides/færing.html": html("Færing", f"<p>{sentence(3)}</p>\n"),
        # A log that belongs to the site, where logs are ignored otherwise.
        "notes/guides/ships.log": "A log that is content: .dockerignore brings it back with an exception.\n",
    }
    return files


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    wanted = {path: text.encode() for path, text in pages().items()}
    if sys.argv[1:]:
        found = {str(path.relative_to(SITE)): path.read_bytes() for path in SITE.rglob("*") if path.is_file()}
        wrong = sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
        sys.exit(f"site/ is not what generate.py writes: {', '.join(wrong)}" if wrong else 0)
    shutil.rmtree(SITE, ignore_errors=True)
    for path, data in wanted.items():
        target = SITE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


main()
