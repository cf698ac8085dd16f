//! The lock.

use crate::code::Page;

pub(crate) const LOCK_STALE: Page = Page {
    title: "the lock does not have what the recipe asks for",
    meaning: "With `--locked` nothing is pinned anew, and the lock lacks a pin, or has one for something else than the recipe \
              asks for now.",
    why: "The recipe, a requirements file or a platform changed after the lock was made, or the lock was not committed.",
    remedy: "Run `lapstrake lock`, look at what changed, and commit the lock with the recipe.",
    example: "$ lapstrake lock && git add lapstrake.toml lapstrake.lock",
};

pub(crate) const LOCK_DAMAGED: Page = Page {
    title: "the lock cannot be read",
    meaning: "The lock is no TOML, or not of the form that `lapstrake lock` writes.",
    why: "It was edited by hand, cut off, or another tool wrote it.",
    remedy: "Run `lapstrake lock`, or take the last good one from version control.",
    example: "$ git checkout lapstrake.lock",
};

pub(crate) const LOCK_CONFLICT: Page = Page {
    title: "the lock holds an unresolved merge conflict",
    meaning: "Lines of the lock start with `<<<<<<<`, `=======` or `>>>>>>>`: two branches changed it, and nobody chose.",
    why: "Both branches locked anew, and version control could not join what they wrote.",
    remedy: "Take either side whole, settle conflicts of the recipe first, and run `lapstrake lock`, which adds what is \
             missing and drops what nothing asks for. Do not join the lines by hand: the seals would not fit.",
    example: "$ git checkout --theirs lapstrake.lock\n$ lapstrake lock && git add lapstrake.lock",
};

pub(crate) const LOCK_EDITED: Page = Page {
    title: "the lock was edited",
    meaning: "Entries of the lock carry a seal over what they hold, and this one is not what was locked, or there are several for one thing.",
    why: "A version, a digest or a line of what is known of a base was changed by hand, or a merge joined parts of two locks.",
    remedy: "Run `lapstrake lock` (with `--update NAME` for what is to move), or take the last good one from version control.",
    example: "$ lapstrake lock --update curl",
};

pub(crate) const LOCK_VERSION: Page = Page {
    title: "the lock was made for another lapstrake",
    meaning: "The form of the lock, or what maintainer scripts are known to do, is of another version than this one's.",
    why: "The lock was made by a newer or an older lapstrake than the one that reads it.",
    remedy: "Use the same version everywhere, or run `lapstrake lock` with this one and commit the result.",
    example: "$ lapstrake --version && lapstrake lock",
};

pub(crate) const NOT_IN_LOCK: Page = Page {
    title: "nothing in the lock is called that",
    meaning: "`lock --update NAME` lets what is called so move, and the lock has no such package, image or download.",
    why: "A typo, or it was never locked.",
    remedy: "Take a name as the lock writes it. Without a name, `--update` lets everything move.",
    example: "$ lapstrake lock --update curl flask",
};

pub(crate) const PINNED_OTHER: Page = Page {
    title: "what is pinned is another one now",
    meaning: "A file of the context, or an image of this machine, has other bytes than those that were locked.",
    why: "A local package or wheel was built anew under the same name, or a layout was written again.",
    remedy: "Put the old one back, or run `lapstrake lock` where the new one is meant.",
    example: "$ lapstrake lock",
};
