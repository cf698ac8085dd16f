//! Python packages.

use crate::code::Page;

pub(crate) const NO_PYTHON: Page = Page {
    title: "the image's Python is not known",
    meaning: "Which wheels fit depends on the interpreter, its version and the C library of the image, and one of them cannot \
              be told, or is not what the recipe says.",
    why: "The layer with Python comes later or not at all, or the interpreter lies at an unusual place.",
    remedy: "Put Python into a layer or base below, or give `version` and `target` (or `venv`).",
    example: "[[images.web.layers]]\ndebian = { packages = [\"python3\"] }\n[[images.web.layers]]\n\
              python = { requirements = \"requirements.txt\" }",
};

pub(crate) const REQUIREMENTS: Page = Page {
    title: "a file that asks for Python packages cannot be read",
    meaning: "A line of the requirements file, the `pyproject.toml` or its lock is not understood.",
    why: "A typo, an option that has no meaning here (`-e`, a path of source code), or hashes on some lines only.",
    remedy: "Mend the line that the message names. Source code is built into a wheel first, and taken with `wheels`.",
    example: "python = { requirements = \"requirements.txt\", wheels = [\"dist/*.whl\"] }",
};

pub(crate) const NO_WHEEL: Page = Page {
    title: "there is no wheel that fits",
    meaning: "A package has no wheel for the image's Python and platform. Source archives are never taken: they would have to \
              run code.",
    why: "An old package, a new Python, another architecture, or musl in place of glibc.",
    remedy: "Take another version, or build the wheel in the pipeline (`pip wheel`) and name it in `wheels`.",
    example: "$ pip wheel --no-deps -w wheels/ legacy-package==1.2",
};

pub(crate) const UNRESOLVABLE: Page = Page {
    title: "the Python packages do not fit together",
    meaning: "What is asked for cannot all be had: versions contradict each other, or need another Python.",
    why: "Two packages need different versions of a third, or `requires-python` leaves out the image's.",
    remedy: "The message has uv's reasons. Loosen a pin, or change the image's Python.",
    example: "$ lapstrake lock --update flask",
};

pub(crate) const UV: Page = Page {
    title: "`uv` cannot be used",
    meaning: "Requirements without hashes are resolved by `uv` while locking, and it is not there, failed, or did not end.",
    why: "It is not installed, `LAPSTRAKE_UV` names another path, or it finds no Python.",
    remedy: "Install uv where locks are made (building from a lock needs none; a build that has to pin does), or give a `pylock.toml` or requirements with hashes.",
    example: "$ pip install uv && lapstrake lock",
};

pub(crate) const MANAGED: Page = Page {
    title: "another package manager looks after this Python",
    meaning: "The directory of the image's Python has the file `EXTERNALLY-MANAGED`.",
    why: "The interpreter belongs to a distribution, whose packages would be written over.",
    remedy: "Give `venv` or `target`, or write `break_system_packages = true`.",
    example: "python = { requirements = \"requirements.txt\", venv = \"/venv\" }",
};

pub(crate) const WHEEL: Page = Page {
    title: "a wheel is refused",
    meaning: "A wheel's name, its zip, its `RECORD` or its metadata breaks a rule, or is not what its file name says.",
    why: "It was put together by a tool that is not careful, renamed, or cut off.",
    remedy: "Build it again. `python3 -m zipfile -l FILE` lists what is in it.",
    example: "$ python3 -m build --wheel",
};

pub(crate) const PYLOCK: Page = Page {
    title: "the Python lock does not hold for this image",
    meaning: "`pylock.toml` or `uv.lock` was made for other environments, lacks what is asked for, or is not understood.",
    why: "It was made on another platform without the others, or an extra or group has another name.",
    remedy: "Make it anew for all environments, and name extras and groups that it has.",
    example: "$ uv lock && lapstrake lock",
};

pub(crate) const NO_INDEX: Page = Page {
    title: "nothing says where the Python index is",
    meaning: "Neither the recipe nor this machine names the index that the lock names, and no pip or uv is here to ask.",
    why: "A runner without Python, or an index of a company that is configured elsewhere only.",
    remedy: "Set `LAPSTRAKE_PYTHON_INDEX`, `index` in the recipe, or `index-url` of pip or uv.",
    example: "$ LAPSTRAKE_PYTHON_INDEX=https://index.example.com/simple lapstrake lock",
};

pub(crate) const INDEX: Page = Page {
    title: "the Python index answers with what is no index",
    meaning: "The page is neither of the JSON nor of the HTML form of the protocol, is of another package, or does not have \
              the locked file any more.",
    why: "The address lacks `/simple`, a login page stands in front, or a file was removed.",
    remedy: "Look at the address that the message names in a browser, and lock again where a file is gone.",
    example: "$ curl -H 'Accept: application/vnd.pypi.simple.v1+json' https://index.example.com/simple/flask/",
};

pub(crate) const COMPILE: Page = Page {
    title: "bytecode cannot be made",
    meaning: "`compile = true` needs a CPython of exactly the image's version, from this machine or pinned from Debian.",
    why: "There is none, it could not be run, or a file is too large or does not compile.",
    remedy: "Add the suites that have that Python, install it, or leave `compile` out.",
    example: "[debian]\nsuites = [\"trixie\"]",
};
