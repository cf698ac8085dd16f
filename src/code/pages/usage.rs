//! The command line and the environment.

use crate::code::Page;

pub(crate) const USAGE: Page = Page {
    title: "what was typed makes no sense",
    meaning: "An argument is unknown, misses its value, or does not go with another one. Nothing was done.",
    why: "A typo, a flag of another tool or of another command, or two flags of which only one can hold.",
    remedy: "The first lines of the message name the argument. `lapstrake help COMMAND` lists what a command takes.",
    example: "$ lapstrake build --outptu oci:out\nerror[L0001]: unexpected argument '--outptu' found",
};

pub(crate) const NO_SUCH_IMAGE: Page = Page {
    title: "the recipe has no image or variant of that name",
    meaning: "A command was asked for an image or a variant that the recipe does not make.",
    why: "A typo, another recipe than the one that was meant (`-f`), or an image that is not made in that variant.",
    remedy: "Take a name from the message, or from the tables `[images.NAME]` and `[variants.NAME]` of the recipe. One \
             variant of an image is written `NAME:VARIANT`.",
    example: "$ lapstrake build wbe\nerror[L0002]: the recipe has no image `wbe`\nhint: did you mean `web`?",
};

pub(crate) const PLACE_NAME: Page = Page {
    title: "this is not the name of a place",
    meaning: "What stands after `-o`, or where an image is to be read from, is neither a place of this machine nor a \
              reference of a registry.",
    why: "The kind in front of the colon is unknown or missing, the path is empty, or a word of another tool was used.",
    remedy: "Write `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `archive:FILE`, `-` for standard output, or \
             `registry.example.com/name:tag`.",
    example: "$ lapstrake build web -o docker:web.tar        # say docker-archive:\n\
              $ lapstrake build web -o docker-archive:web.tar",
};

pub(crate) const REFERENCE: Page = Page {
    title: "a reference is malformed, or names no image that is known",
    meaning: "A reference names an image in a registry: `registry/repository:tag`, with `@sha256:…` in place of the \
              tag or behind it. This one cannot be read as that, or the image behind it cannot be told.",
    why: "In a recipe, a flag or a file: upper-case letters in the repository, a space, an empty tag, or a variable \
          of a pipeline that was empty; `-t feature/x`, where a tag has no slash. In `lapstrake resolve`: a \
          manifest that is no YAML (a template of Helm), a `lapstrake://NAME` that the recipe does not have, a \
          digest of which nobody knows whose it is, or two files of `--from` that say different things. In a lock: \
          two bases of one name in two registries.",
    remedy: "The message has the text, and of a file the line. Write repositories in lower case and tags of \
             letters, digits, `_`, `.` and `-`; look at what variables came to; give a full reference its registry \
             (`docker.io/me/web:1`). For `resolve`: take a name that the message lists, write the tag before the \
             `@`, resolve the values in place of the template. Credentials never stand in a reference: log in, or \
             use `--authfile`; what stands in front of an `@` without a digest may be some, and is not repeated.",
    example: "registry.example.com/Shop/web:1      # no: upper case\nregistry.example.com/shop/web:       # no: the variable behind it was empty\nregistry.example.com/shop/web:1\nimage: lapstrake://server/k8s        # in a manifest: the variant k8s of the image server",
};

pub(crate) const PLATFORM_NAME: Page = Page {
    title: "this is no platform",
    meaning: "A platform is `os/architecture`, or `os/architecture/variant`, in lower case.",
    why: "The name of the machine (`x86_64`, `aarch64`) was used, or the operating system was left out.",
    remedy: "Use Go's names: `linux/amd64`, `linux/arm64`, `linux/arm/v7`, `linux/386`, `linux/riscv64`.",
    example: "$ lapstrake build --platform linux/arm64",
};

pub(crate) const ENVIRONMENT: Page = Page {
    title: "a setting of the environment cannot be used",
    meaning: "A variable of the environment, or a file of settings, holds what has no meaning there.",
    why: "`SOURCE_DATE_EPOCH` is no number of seconds, a proxy or an index is no URL, or a bundle of certificates is none. A \
          `pip.conf` or `uv.toml` that might name the index of a company is broken, unreadable or not where `PIP_CONFIG_FILE` or \
          `UV_CONFIG_FILE` says: packages would come from another index.",
    remedy: "The message names the variable or file: mend or unset it. `LAPSTRAKE_PYTHON_INDEX` is asked before pip's and \
             uv's settings.",
    example: "$ SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) lapstrake build",
};

pub(crate) const NO_REPOSITORY: Page = Page {
    title: "nothing says where the image is to be pushed",
    meaning: "`--push`, `--registry` or a bare tag needs to know the repository of each image.",
    why: "The recipe has no `repository`, neither under `[project]` nor in the image.",
    remedy: "Set `repository` under `[project]` (it may hold `{image}`), or give `-t` a full reference.",
    example: "[project]\nrepository = \"registry.example.com/shop/{image}\"",
};

pub(crate) const FOR_ONE_IMAGE: Page = Page {
    title: "this is for one image, and there are several",
    meaning: "A flag or an output has room for one image, digest or platform.",
    why: "`--iidfile`, `--digest-file`, a reference after `-o`, or a `docker-archive:` with several platforms.",
    remedy: "Name the one image or platform, or use what holds several: `--metadata-file`, `archive:`, `oci:`.",
    example: "$ lapstrake build web --platform linux/arm64 -o docker-archive:web.tar",
};

pub(crate) const EXISTS: Page = Page {
    title: "there is a recipe already",
    meaning: "`init` does not write over a recipe that is there.",
    why: "It was run before, or in the wrong directory.",
    remedy: "Name another file with `-o`, look at the result with `-o -`, or replace the recipe with `--force`.",
    example: "$ lapstrake init Dockerfile -o new.toml",
};
