//! What is copied, and where it lands.

use crate::code::Page;

pub(crate) const NOTHING_MATCHES: Page = Page {
    title: "`copy` names what is not there",
    meaning: "No file or directory of the context has that name, or fits that pattern.",
    why: "A typo, a file that has not been made yet, or a path that is not relative to the context: the directory of the \
          recipe, and from there `context` under `[project]`.",
    remedy: "Take the name that the message suggests, make the file first, or set `context`.",
    example: "[project]\ncontext = \"..\"",
};

pub(crate) const IGNORED: Page = Page {
    title: "`copy` names what the ignore file leaves out",
    meaning: "The path is there, and a pattern of `.dockerignore`, or of the recipe's own ignore file, leaves it out.",
    why: "The pattern is wider than was thought, or was written for another image.",
    remedy: "Add an exception after the pattern (`!dist/app`), or give the recipe its own file, `RECIPE.dockerignore`.",
    example: "dist/*\n!dist/app",
};

pub(crate) const OUTSIDE_CONTEXT: Page = Page {
    title: "a path leads out of the context",
    meaning: "Only what is below the context can be copied, and this path, or a symlink on its way, leaves it.",
    why: "`..` in a path, or a link to a directory elsewhere on this machine.",
    remedy: "Make the context larger with `context = \"..\"` under `[project]`, or copy what the link points at into it.",
    example: "[project]\ncontext = \"../..\"",
};

pub(crate) const PATTERN: Page = Page {
    title: "a pattern is malformed",
    meaning: "A pattern of `copy`, `exclude`, `modes`, `wheels` or an ignore file cannot be read.",
    why: "A bracket has no end, an exception (`!`) has no path or no place here, or a range is the wrong way round.",
    remedy: "Mend it, or escape what stands for itself: `\\[`.",
    example: "copy = [\"data/\\\\[old\\\\].txt\"]",
};

pub(crate) const DESTINATION: Page = Page {
    title: "what is copied does not fit where it is to go",
    meaning: "Several paths have one destination, or the way to a source leads through what is no directory.",
    why: "A pattern matches more than one path, and `dest` names a file.",
    remedy: "End the destination with `/`, so that it is a directory, or name the one path.",
    example: "copy = [{ src = \"conf/*.toml\", dest = \"/etc/app/\" }]",
};

pub(crate) const UNREADABLE: Page = Page {
    title: "a file cannot be read",
    meaning: "A file or directory that the recipe needs is there, or should be, and the system does not give it.",
    why: "It belongs to another user (files that a container wrote as root), was removed meanwhile, or the disk failed.",
    remedy: "Mend its permissions, or leave it out with `exclude` or the ignore file.",
    example: "$ sudo chown -R \"$USER\" data",
};

pub(crate) const NOT_FOR_LAYERS: Page = Page {
    title: "no layer can hold this file",
    meaning: "Sockets, devices and FIFOs have no place in an image, names that start with `.wh.` mean a deletion inside a \
              layer, names have limits (255 bytes, 4095 and 512 directories for a path), and the holes of a sparse file of 64 GiB and more would \
              be written as zeros.",
    why: "The socket of a running program lies in the context, the disk of a virtual machine, or a file came out of an \
          unpacked layer.",
    remedy: "Leave it out with `exclude` or the ignore file.",
    example: "exclude = [\"**/*.sock\"]",
};

pub(crate) const CHANGED: Page = Page {
    title: "files changed while they were read",
    meaning: "A file was written to between being looked at and being put into the layer. Nothing of it was kept.",
    why: "A compiler, an editor or another job of the pipeline writes to the context during the build.",
    remedy: "Build when they have ended.",
    example: "$ make && lapstrake build",
};

pub(crate) const FORBIDDEN: Page = Page {
    title: "this has no place in an image",
    meaning: "What would be copied is lapstrake's own: the cache, the output of this build, or a directory of them.",
    why: "`copy = [\".\"]` takes all of the context, and the output or the cache lies in it.",
    remedy: "Put it elsewhere, or leave it out with `exclude` or the ignore file.",
    example: "exclude = [\"lapstrake-out\"]",
};

pub(crate) const IGNORE_FILE: Page = Page {
    title: "the ignore file cannot be used",
    meaning: "`.dockerignore`, or the recipe's own ignore file, cannot be read, or has a line that is no pattern.",
    why: "It is a directory, is longer than 4 MiB, or a pattern is malformed.",
    remedy: "Mend the line that the message names. The rules are Docker's.",
    example: "**/node_modules\n!vendor/node_modules",
};

pub(crate) const CONFLICT: Page = Page {
    title: "one path, two contents",
    meaning: "Two sources of one layer, or two packages, bring the same path with different contents.",
    why: "Two `copy` items land at the same place, or two packages share a file and neither replaces the other.",
    remedy: "Leave one of them out with `exclude`, or put them into two layers: the later one wins.",
    example: "[[images.web.layers]]\ncopy = [\"defaults/\"]\n[[images.web.layers]]\ncopy = [\"overrides/\"]",
};

pub(crate) const REPLACES: Page = Page {
    title: "something would become what it is not in the base",
    meaning: "A file would take the place of a directory of the base, or a directory that of a file, and all that was there \
              would be gone.",
    why: "A destination without the `/` at its end, or a path that is something else in this base.",
    remedy: "Mend the destination, or write `replace = true` in the layer if that is meant.",
    example: "copy = [{ src = \"app.conf\", dest = \"/etc/app/\" }]",
};

pub(crate) const IMAGE_PATH: Page = Page {
    title: "a path cannot be followed in the image",
    meaning: "What stands on the way to the path is no directory, or a symlink that leads nowhere or in a circle.",
    why: "The base has a file or a link where the recipe has a directory, or a path climbs with `..`.",
    remedy: "Choose another path, or take what stands in the way off the base with `remove`.",
    example: "$ lapstrake inspect --files oci:lapstrake-out",
};

pub(crate) const NOTHING_TO_REMOVE: Page = Page {
    title: "`remove` names what the base does not have",
    meaning: "Nothing is at that path in the layers below, so that there is nothing to remove.",
    why: "A typo, or a newer base that does not have it any more.",
    remedy: "Take the name that is suggested, or drop the line.",
    example: "remove = [\"/usr/share/doc\"]",
};

pub(crate) const ARCHIVE: Page = Page {
    title: "an archive cannot be taken in",
    meaning: "The tar that a layer is made of ends too early, is compressed in a way that is not read, or holds members that \
              could be read in two ways, or that no layer can hold.",
    why: "A download that was cut off, a zip or bzip2 file, devices or hard links to files outside of the archive.",
    remedy: "Make it anew as a plain, gzip, xz or zstd tar, and leave members out with `exclude`.",
    example: "$ tar --zstd -cf rootfs.tar.zst -C rootfs .",
};

pub(crate) const CERTIFICATE: Page = Page {
    title: "a certificate for the image cannot be used",
    meaning: "A file of `ca` holds no certificate, or something that does not belong into an image.",
    why: "It is a private key, a bundle of another form (PKCS#12), or two files would get the same name.",
    remedy: "Name files with certificates alone, in PEM or DER.",
    example: "$ openssl pkcs12 -in company.p12 -nokeys -out company.pem",
};

pub(crate) const NOT_IN_IMAGE: Page = Page {
    title: "the image does not have that path",
    meaning: "An `image` layer names a path or a pattern for which the other image has no file, or `caps` one that neither the \
              layer nor the base has.",
    why: "A typo, or another version of that image keeps it elsewhere.",
    remedy: "`lapstrake inspect --files IMAGE` lists what is there.",
    example: "image = { image = \"registry.example.com/tool:1\", copy = [\"/usr/bin/tool\"] }",
};

pub(crate) const WRONG_MACHINE: Page = Page {
    title: "a program is for another machine than the image",
    meaning: "A file that is copied is an ELF program or library for another architecture than the image is built for.",
    why: "It was compiled on this machine, and the image is for another platform too.",
    remedy: "Compile it for each, and let the path hold `{arch}`.",
    example: "copy = [{ src = \"dist/{arch}/app\", dest = \"/usr/bin/app\" }]",
};

pub(crate) const TOO_MUCH: Page = Page {
    title: "there is more than can be taken in",
    meaning: "A layer, an archive or a document is beyond a limit that keeps lapstrake's memory in bounds, or an image \
              would have a config or manifest that nobody reads.",
    why: "`copy` takes far more than was meant, a file was made to do harm, or `env`, `labels`, `ports` or \
          `annotations` say very much.",
    remedy: "Leave out what is not needed with `exclude` or the ignore file, or make several layers or recipes. \
             `[limits]` allows more entries of an archive, a package, a wheel or a base's layer.",
    example: "exclude = [\"**/node_modules\", \".git\"]",
};
