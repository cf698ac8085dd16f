//! This machine: its disk, the cache, and what differs that should not.

use crate::code::Page;

pub(crate) const DISK_FULL: Page = Page {
    title: "there is no room left",
    meaning: "The disk, or the part of it that this user may fill, is full. Nothing half-written was left.",
    why: "The cache, the output or the temporary directory lies on a small volume.",
    remedy: "`lapstrake cache prune` frees what was not used for a time; `--cache-dir` puts the cache elsewhere.",
    example: "$ lapstrake cache prune --keep 7d --max-size 5GiB",
};

pub(crate) const NO_PERMISSION: Page = Page {
    title: "this user may not do that",
    meaning: "The system refused to open, make or change a file; the message names it and what was to be done.",
    why: "It belongs to another user (an earlier run as root, a volume), lies on a file system that is read-only, \
          or a rule of the system (SELinux, AppArmor) forbids it. In a pod, the user has any number, and often \
          neither a home nor a place to write to.",
    remedy: "Mend owner and mode, or name another place: `--cache-dir` (or `LAPSTRAKE_CACHE_DIR`) for the cache, \
             `-o` for images, `TMPDIR` for what is temporary. Files of the context only have to be readable.",
    example: "$ ls -ld ~/.cache/lapstrake\n$ lapstrake build --cache-dir /tmp/cache -o oci:/tmp/out",
};

pub(crate) const MACHINE: Page = Page {
    title: "the system failed",
    meaning: "Reading, writing or starting something failed for a reason that has nothing to do with images.",
    why: "A disk or file system in trouble, a network file system that went away, a limit of open files, memory or \
          processes, or a file that vanished while it was used.",
    remedy: "The last line of the message is the system's own reason. Limits are raised with `ulimit`, or in the \
             settings of the container; fewer `--jobs` need fewer files and threads.",
    example: "caused by: Too many open files (os error 24)\n$ ulimit -n 4096\n$ lapstrake build --jobs 2",
};

pub(crate) const CACHE_FOREIGN: Page = Page {
    title: "this directory is no cache of lapstrake",
    meaning: "A directory that holds other files is never used as a cache, nor cleared.",
    why: "`--cache-dir` or `LAPSTRAKE_CACHE_DIR` names a directory of something else.",
    remedy: "Name an empty directory, or one that does not exist. If it is a cache of lapstrake whose `CACHEDIR.TAG` was \
             lost or changed, remove the directory: all of it is made or fetched again.",
    example: "$ lapstrake build --cache-dir ~/.cache/lapstrake",
};

pub(crate) const CACHE_DAMAGED: Page = Page {
    title: "the cache is damaged",
    meaning: "A file of the cache has other bytes than its digest says, is missing, or a directory is in its place.",
    why: "A disk that lies, a machine that lost power, or something that wrote there.",
    remedy: "`lapstrake cache verify` drops what is damaged; it is made or fetched anew.",
    example: "$ lapstrake cache verify",
};

pub(crate) const INTERNAL: Page = Page {
    title: "something that cannot be has happened",
    meaning: "An encoder or a writer inside of lapstrake failed on its own data.",
    why: "A bug, or memory that is damaged.",
    remedy: "Please report it, with the whole message and the recipe.",
    example: "$ lapstrake --version",
};

pub(crate) const NOT_WATCHED: Page = Page {
    title: "changes cannot be watched for",
    meaning: "`build --watch` asks the kernel to tell of changes in the context, and it does not.",
    why: "There are more directories than `fs.inotify.max_user_watches` lets one user watch, or the file system tells nobody.",
    remedy: "Raise that limit, or move large directories out of the context; without --watch, `build` needs none of it.",
    example: "$ sysctl fs.inotify.max_user_watches=1048576",
};

pub(crate) const UNTRUE: Page = Page {
    title: "a layer that was found is not what is made of the same things",
    meaning: "`--verify-cache` built a layer that a cache or a registry has under the same key, and its bytes are others.",
    why: "Somebody pushed a false layer, or the cache is damaged.",
    remedy: "Do not trust who made it. Build with `--no-cache`, and find out who can write there.",
    example: "$ lapstrake build --no-cache --push",
};

pub(crate) const DIFFERS: Page = Page {
    title: "two images differ",
    meaning: "What was compared is not the same (exit code 6). `diff` and `init --check` write the differences to standard output, from the first to the second: settings, layers, packages, files; `verify` tells the first of each image, and all with `--json`. \
              `resolve --check` names the references that would change.",
    why: "`diff`: the two images differ, which may be what you expect. `verify`: what the registry holds was made \
          of other inputs than recipe and lock have now (another commit, a lock that moved, another \
          `SOURCE_DATE_EPOCH`), or by somebody else. `init --check`: the recipe does not make what the Dockerfile \
          made. `resolve --check`: manifests are not pinned to what was built last.",
    remedy: "Look at the first difference; `diff --all` names every path, `--json` has all of it. For `verify`, check \
             out the commit that was pushed, or push again. For `init --check`, change the recipe, or pass over \
             what may differ with `--ignore PATH`. For `resolve --check`, run `lapstrake resolve --in-place` and \
             commit what it wrote. `lapstrake explain` says which input made a layer another.",
    example: "$ lapstrake diff registry.example.com/shop/web:1 oci:lapstrake-out:web --all\n$ lapstrake init --check registry.example.com/shop/web:1 --ignore /var/log\n$ lapstrake resolve --in-place -k deploy/",
};

pub(crate) const NOT_SOUND: Page = Page {
    title: "the image is not sound",
    meaning: "`inspect --validate` recomputed digests, sizes, diff IDs and forms, and found what does not fit.",
    why: "A tool that breaks the rules, or damage on the way.",
    remedy: "What is wrong stands on standard output, a line each. Build or pull it again.",
    example: "$ lapstrake inspect --validate oci:lapstrake-out",
};
