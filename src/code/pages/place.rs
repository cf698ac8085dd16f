//! Layouts, archives, and outputs.

use crate::code::Page;

pub(crate) const PLACE_CLOSED: Page = Page {
    title: "there is no image at this place",
    meaning: "The directory or file cannot be opened, or is not of the kind that it was said to be.",
    why: "Nothing was built yet, the path is another one, or a tar of `docker save` was called `oci-archive:`.",
    remedy: "Build first, or name the kind that it is: `oci:`, `oci-archive:`, `docker-archive:`, `archive:` (which takes both).",
    example: "$ lapstrake inspect oci:lapstrake-out",
};

pub(crate) const PLACE_DAMAGED: Page = Page {
    title: "what is at this place does not fit together",
    meaning: "A document is no JSON or too long, a blob is missing, or bytes are not what their descriptor says.",
    why: "The copy was cut off, something else wrote there, or the file was changed.",
    remedy: "Make it anew. `lapstrake inspect --validate` lists all that is wrong.",
    example: "$ lapstrake inspect --validate oci:lapstrake-out",
};

pub(crate) const NOT_THERE: Page = Page {
    title: "the place has no image of that name",
    meaning: "The place can be read, and what was asked for is not in it: no image has that name, or there is none \
              at all.",
    why: "A typo; the image was built with other tags or under another repository; a build of fewer images wrote \
          the layout since, which holds what was written last; or nothing was pushed under that tag so far.",
    remedy: "Take one of the names in the message; `lapstrake inspect PLACE` lists them with all their tags. A name \
             is the whole reference, its tag alone, or the last part of the repository. Else build or push it \
             first.",
    example: "$ lapstrake inspect oci:lapstrake-out\n$ lapstrake inspect oci:lapstrake-out:web\n$ lapstrake build web",
};

pub(crate) const SEVERAL_THERE: Page = Page {
    title: "there are several images, and one is needed",
    meaning: "The place holds more than one image, and what is done is done to one.",
    why: "A build of several images, or of several variants of one, went there; or the name that was given fits \
          more than one of them (a tag such as `latest`).",
    remedy: "Name one with `--image`, after another colon in the place, or by its number or digest (`@0`, \
             `@sha256:…`): the message lists them. To push all, leave the reference away: each goes to the names \
             that it has.",
    example: "$ lapstrake push oci:lapstrake-out registry.example.com/shop/web:1 --image web\n$ lapstrake inspect oci:lapstrake-out:web\n$ lapstrake push oci:lapstrake-out",
};

pub(crate) const OUTPUT_TAKEN: Page = Page {
    title: "something else is where the output should go",
    meaning: "An output directory of lapstrake carries a mark, and anything else is refused and left alone.",
    why: "The directory holds other files, or something changed the layout after it was written.",
    remedy: "Name another directory, or remove this one yourself.",
    example: "$ lapstrake build -o oci:out",
};

pub(crate) const OUTPUT_UNWRITABLE: Page = Page {
    title: "the output cannot be written",
    meaning: "The directory or file that images, or a page or file about them, should go to cannot be made. Nothing \
              half-written was left, and what was there before stays.",
    why: "The directory above a file does not exist (those of layouts are made), may not be written to, or \
          standard output was closed by the program that reads it.",
    remedy: "Make the directory, or name another place with `-o`. In a container with a read-only root, that is a \
             volume.",
    example: "$ mkdir -p dist && lapstrake build -o archive:dist/all.tar",
};

pub(crate) const OUTPUT_FORM: Page = Page {
    title: "this image has no form in which it could go there",
    meaning: "The kind of place cannot hold what is to be written: a name, a platform, or several images.",
    why: "`docker-archive:` holds one platform and no manifests, and some names cannot be told in it.",
    remedy: "Use `archive:` or `oci:`, or choose one platform.",
    example: "$ lapstrake copy oci:lapstrake-out archive:all.tar",
};

pub(crate) const NOT_LOADED: Page = Page {
    title: "no Docker or podman took the images",
    meaning: "`--load` hands what was built to the Docker or podman of this machine, and there is none, or it refused.",
    why: "No daemon is running, this user may not speak to it, its disk is full, or the image is for another machine.",
    remedy: "Start it, name the program (`--load=podman`), or write a file and load that: `-o docker-archive:FILE`.",
    example: "$ lapstrake build web --load=podman",
};
