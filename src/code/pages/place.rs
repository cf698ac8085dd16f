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
    meaning: "There are images, and none is called so.",
    why: "A typo, or the image was built with other tags.",
    remedy: "Take one of the names in the message. `lapstrake inspect PLACE` lists them.",
    example: "$ lapstrake inspect oci:lapstrake-out --image web",
};

pub(crate) const SEVERAL_THERE: Page = Page {
    title: "there are several images, and one is needed",
    meaning: "The place holds more than one image, and what is done is done to one.",
    why: "A build of several images, or of several variants, went there.",
    remedy: "Name one with `--image`, or after another colon.",
    example: "$ lapstrake push oci:lapstrake-out registry.example.com/shop/web:1 --image web",
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
    meaning: "The directory or file that the images should go to cannot be made. Nothing half-written was left.",
    why: "The directory above it does not exist, may not be written to, or standard output was closed.",
    remedy: "Make the directory, or name another one.",
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
