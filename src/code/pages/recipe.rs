//! What a recipe says.

use crate::code::Page;

pub(crate) const RECIPE_FILE: Page = Page {
    title: "the recipe cannot be read",
    meaning: "The file of the recipe is not there, may not be read, is no text, or is far too long.",
    why: "The command was run in another directory, `-f` names another file, or there is no recipe yet. A recipe is \
          UTF-8 text.",
    remedy: "Go to the directory of `lapstrake.toml`, or name it with `-f`. `lapstrake init` starts one, `lapstrake \
             init Dockerfile` makes one of what is there.",
    example: "$ lapstrake -f deploy/lapstrake.toml build\n$ lapstrake init Dockerfile",
};

pub(crate) const NOT_TOML: Page = Page {
    title: "the recipe is not TOML",
    meaning: "The text breaks a rule of TOML, so that nothing can be said about what it means.",
    why: "Quotes around a string are missing, a list or a string has no end, a `:` stands where `=` belongs, or a key is \
          written twice.",
    remedy: "Mend what is underlined. Octal modes, times and references are strings, in quotes.",
    example: "user = app        # no\nuser = \"app\"",
};

pub(crate) const UNKNOWN_KEY: Page = Page {
    title: "there is no such key",
    meaning: "A table of the recipe has a key that means nothing there. Keys that are not understood are never passed over.",
    why: "A typo, a word of Docker or Compose, or a key in the wrong table: one of an image inside a layer, for example.",
    remedy: "Take what the message suggests. `lapstrake schema` prints a JSON Schema by which editors complete keys.",
    example: "entrypont  = [\"/app\"]    # no\nentrypoint = [\"/app\"]",
};

pub(crate) const MISSING_KEY: Page = Page {
    title: "a key is missing",
    meaning: "A table of the recipe lacks a key without which it has no meaning.",
    why: "`recipe = 1` at the top, `from` of an image, or `uid` and `gid` of a user was not written, is misspelt, \
          or stands in another table: a key belongs to the last `[table]` above it.",
    remedy: "Add the key that the message names, below the header of its table. `docs/recipe.md` has all keys, and \
             which must be there.",
    example: "recipe = 1\n\n[users.app]\nuid = 1001\ngid = 1001\n\n[images.app]\nfrom = \"scratch\"",
};

pub(crate) const WRONG_TYPE: Page = Page {
    title: "a value is of another type than the key takes",
    meaning: "A string stands where a list belongs, a number where a string belongs, and the like.",
    why: "A command was written as one string, a mode, a time or a value of `env` as a number, a single name where several \
          may stand.",
    remedy: "Write it as the message shows. There is no shell that would take a string apart.",
    example: "cmd  = [\"python3\", \"-m\", \"web\"]\nmode = \"0644\"\nenv  = { PORT = \"8080\" }",
};

pub(crate) const WRONG_VALUE: Page = Page {
    title: "a value has no meaning here",
    meaning: "The value is of the right type, and says something that cannot be, or that contradicts what stands beside it.",
    why: "A typo, a number out of range, a relative path where an absolute one belongs, a form that another tool knows, or \
          two keys that exclude each other.",
    remedy: "The message says what was expected, under the text that is underlined.",
    example: "workdir = \"app\"     # no\nworkdir = \"/app\"",
};

pub(crate) const RECIPE_VERSION: Page = Page {
    title: "the recipe is of another format",
    meaning: "`recipe = N` says which format the recipe is written in, and this lapstrake reads format 1.",
    why: "The recipe was written for a later lapstrake, or the number is no format but a version of the project.",
    remedy: "Use a newer lapstrake, or write `recipe = 1`.",
    example: "recipe = 1",
};

pub(crate) const UNKNOWN_NAME: Page = Page {
    title: "the recipe names what it does not have",
    meaning: "An image, a variant or a user is named that no table of the recipe declares.",
    why: "A typo, or the table was renamed.",
    remedy: "Take the name that the message suggests, or declare it: `[users.NAME]`, `[variants.NAME]`, `[images.NAME]`.",
    example: "[users.app]\nuid = 1001\ngid = 1001\n\n[images.web]\nfrom  = \"base\"\nusers = [\"app\"]",
};

pub(crate) const CIRCLE: Page = Page {
    title: "images need one another in a circle",
    meaning: "An image stands on, or copies from, one that needs it in turn, so that none can be the first.",
    why: "`from` or an `image` layer names an image that is built on this one.",
    remedy: "Put what both need into a third image, and let both stand on that.",
    example: "[images.common]\nfrom = \"scratch\"\n[images.a]\nfrom = \"common\"\n[images.b]\nfrom = \"common\"",
};

pub(crate) const INTERPOLATION: Page = Page {
    title: "what stands in braces cannot be filled in",
    meaning: "A string of the recipe holds `{…}`, which stands for a fact of the project, the image or the checkout.",
    why: "The fact has another name, is not known here (`{git.tag}` without a tag, `{variant}` in an image without one), or \
          the brace was meant to stand for itself.",
    remedy: "Take the name that is suggested, give a value for where it is not known (`{git.short:-dev}`), or write `{{` \
             for a brace.",
    example: "tags = [\"latest\", \"{git.short:-dev}\"]",
};

pub(crate) const DOCKERFILE: Page = Page {
    title: "the Dockerfile cannot be understood",
    meaning: "`init` reads Dockerfiles as BuildKit does, and an instruction of this one is none, or has a part that is wrong.",
    why: "A typo, a heredoc or quote without an end, or a base that only an `ARG` without a value names.",
    remedy: "Mend what is underlined, or give the value with `--build-arg NAME=VALUE` and the base with `--from`.",
    example: "$ lapstrake init Dockerfile --build-arg VERSION=3.13",
};
