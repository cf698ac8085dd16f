//! Bases, users, and images as wholes.

use crate::code::Page;

pub(crate) const BASE_DAMAGED: Page = Page {
    title: "the base cannot be used",
    meaning: "A layer, the config or the manifest of the image below is not what it says it is, or is of a kind that is not \
              read.",
    why: "It was built by a tool that breaks the rules, is encrypted or no image at all (a chart, an attestation), or was \
          damaged on the way.",
    remedy: "`lapstrake inspect --validate IMAGE` says what is wrong with it. Pull it again, or use another one.",
    example: "$ lapstrake inspect --validate registry.example.com/python:3.13",
};

pub(crate) const NO_PLATFORM: Page = Page {
    title: "there is no image for that platform",
    meaning: "The image is there, and not for the platform that is wanted.",
    why: "It is published for one platform only, or an archive or layout was saved for one; or the variant differs \
          (`linux/arm/v6` is wanted, and `linux/arm/v7` is there).",
    remedy: "Choose one of the platforms in the message with `--platform`, or with `platforms` under `[project]` or \
             of the image; use another base; or build the base for that platform in the same recipe.",
    example: "$ lapstrake inspect registry.example.com/python:3.13\n$ lapstrake build --platform linux/amd64",
};

pub(crate) const TOO_MANY_LAYERS: Page = Page {
    title: "the image would have too many layers",
    meaning: "Docker loads 127 layers at most, those of the base counted.",
    why: "`split` makes many parts, or each file has its own layer.",
    remedy: "Join layers of the recipe into one, or take a smaller `split`.",
    example: "[[images.web.layers]]\ncopy = [\"web\", \"static\", \"conf\"]",
};

pub(crate) const ZSTD_IN_DOCKER: Page = Page {
    title: "Docker's format has no zstd",
    meaning: "The base has layers that are compressed with zstd, and `format = \"docker\"` has no media type for them.",
    why: "The base was pushed with zstd.",
    remedy: "Use `format = \"oci\"`, or a base with gzip.",
    example: "[images.web]\nformat = \"oci\"",
};

pub(crate) const NOT_READ: Page = Page {
    title: "something of the base is needed that is not known",
    meaning: "The lock tells what layers on top need to know of a base, and this build needs more.",
    why: "The recipe changed after it was locked, or the base was not at hand then.",
    remedy: "Run `lapstrake lock`, so that the lock knows it too.",
    example: "$ lapstrake lock",
};

pub(crate) const NO_SUCH_USER: Page = Page {
    title: "there is no such user or group",
    meaning: "An `owner`, a `user` or a list of groups names an account that neither the recipe nor the base has.",
    why: "A typo, a base without that account, or a user of `[users]` that the image does not list in its `users`.",
    remedy: "Take the name that is suggested, list the user in the image's `users`, or give numbers: `owner = \"1001:1001\"`.",
    example: "[images.web]\nusers = [\"app\"]\nowner = \"app\"",
};

pub(crate) const USER_TAKEN: Page = Page {
    title: "the base has that user, uid or group already",
    meaning: "A user of the recipe has a name or a number that something else in the base has, with other values.",
    why: "Official bases bring users of their own (`node` with 1000, `www-data` with 33).",
    remedy: "Choose another number, or leave the user out of the recipe and use the base's by its name.",
    example: "[users.app]\nuid = 1001\ngid = 1001",
};

pub(crate) const NOT_BUILT: Page = Page {
    title: "an image is needed that this build does not make",
    meaning: "An image stands on, or copies from, another one of the recipe, which is not built for that platform.",
    why: "Their `platforms` differ.",
    remedy: "Give both the same `platforms`, best in `[defaults]`.",
    example: "[defaults]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]",
};

pub(crate) const WOULD_NOT_RUN: Page = Page {
    title: "a program of the image would not run",
    meaning: "The whole image was looked over, and a program needs a library or an interpreter that is nowhere in it.",
    why: "A program was copied without its libraries, or from an image with another C library; or a script, and what its first line names is not there.",
    remedy: "Add the package that has it: `/bin/sh` is in `dash` (and `/bin` in `base-files`), `env` in `coreutils`, `bash`, `perl` and `python3` in packages of their names; the message names them where they are known. Or copy a program that is linked statically, or the libraries too.",
    example: "debian = { packages = [\"base-files\", \"dash\", \"libssl3t64\"] }",
};
