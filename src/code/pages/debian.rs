//! Debian packages.

use crate::code::Page;

pub(crate) const NO_SUITE: Page = Page {
    title: "nothing says where the packages come from, or the archive does not have it",
    meaning: "The recipe names no suite, or an archive has no such suite, component or architecture.",
    why: "A typo, a release that has moved to the archive of old ones, a mirror of something else, or a platform that Debian \
          is not built for.",
    remedy: "Write `suites` in `[debian]` with names that the archive has, and look at the mirror that the message names.",
    example: "[debian]\nsuites = [\"trixie\", \"trixie-updates\", \"trixie-security\"]",
};

pub(crate) const NO_PACKAGE: Page = Page {
    title: "no suite has that package",
    meaning: "The name is in none of the indexes of the suites and components that the recipe names.",
    why: "A typo, a package of another component (`non-free`), of another release, or of an archive that is not listed.",
    remedy: "Take the name that is suggested, or add the component, the suite or the archive.",
    example: "[debian]\ncomponents = [\"main\", \"contrib\", \"non-free\"]",
};

pub(crate) const UNSATISFIABLE: Page = Page {
    title: "the packages do not fit together",
    meaning: "What is asked for needs a version or a package that cannot be had, or that conflicts with another one or with \
              the base.",
    why: "A suite is missing (`-updates`, `-security`), a version is pinned that left the archive, or the base is older than \
          the suites.",
    remedy: "The message has the chain of dependencies. Add the suite, drop the `=version`, or take a newer base.",
    example: "packages = [\"curl\"]            # not curl=7.88.1-10",
};

pub(crate) const SCRIPTS: Page = Page {
    title: "what a package does when it is installed is not known",
    meaning: "Nothing of a package is run. What maintainer scripts usually do is done natively, and this script does something \
              else, or `strict` is on and a part of it is left out.",
    why: "The package starts a service, asks questions, or makes files in a way of its own.",
    remedy: "Where the image works without it, write `skip_scripts = [\"NAME\"]`; make by `files`, `dirs` and `[users]` what \
             you need of it.",
    example: "debian = { packages = [\"nginx\"], skip_scripts = [\"nginx-common\"] }",
};

pub(crate) const NOT_BELIEVED: Page = Page {
    title: "what the mirror says is not signed by a known key",
    meaning: "The `InRelease` file of a suite has no good signature of a key in the keyring, or the keyring cannot be read.",
    why: "A company's archive without `keyring`, a keyring that is too old for the suite, or somebody between here and the \
          mirror.",
    remedy: "Name the file with the archive's keys, in the context. Never turn it off: there is no way to.",
    example: "[debian.archives.company]\nsuites  = [\"stable\"]\nkeyring = \"keys/company.asc\"",
};

pub(crate) const MIRROR_OLD: Page = Page {
    title: "the mirror is not of now",
    meaning: "The archive's file is past its date, dated in the future, or older than what was locked before.",
    why: "The mirror lags behind, this machine's clock is wrong, or somebody gives out what was once true.",
    remedy: "Set the clock, wait, or name another mirror. Take an older state knowingly with `lapstrake lock --update ARCHIVE`.",
    example: "$ LAPSTRAKE_DEBIAN_MIRROR=https://mirror.example.com/debian lapstrake lock",
};

pub(crate) const PACKAGE_DAMAGED: Page = Page {
    title: "a package or an index of packages is refused",
    meaning: "A `.deb`, its control data or an index breaks a rule, so that it could be read in more ways than one, or is not \
              the package that was announced.",
    why: "A package that was put together by hand, a file that was cut off, or an archive that is being updated.",
    remedy: "Build the package again (`dpkg-deb --info FILE` reads it), or lock again later.",
    example: "$ dpkg-deb --info company-tool_1.0_amd64.deb",
};

pub(crate) const PACKAGES_COLLIDE: Page = Page {
    title: "a package cannot put its files where they belong",
    meaning: "Two packages have the same path and neither replaces the other, or something else in the image stands there.",
    why: "Packages of two archives that were not made for each other, or a copied file below packages.",
    remedy: "Leave one of them out, or put the layer with `debian` below the one that copies.",
    example: "$ lapstrake explain --json",
};

pub(crate) const DPKG: Page = Page {
    title: "the image's database of packages or accounts cannot be kept",
    meaning: "dpkg's database, `/etc/passwd` or another file that packages write to is not of its form in the base, or cannot \
              be written there.",
    why: "The base was made by hand, or cut down by a tool that broke it.",
    remedy: "Use another base, or build one from `scratch` with `debian`.",
    example: "$ lapstrake inspect --files registry.example.com/base:1 | grep var/lib/dpkg",
};

pub(crate) const NO_MIRROR: Page = Page {
    title: "nothing says where the Debian archive is",
    meaning: "Neither the recipe nor this machine names a mirror.",
    why: "The machine is no Debian and has no apt sources, as most runners and containers.",
    remedy: "Set `LAPSTRAKE_DEBIAN_MIRROR`, or `mirror` in the recipe.",
    example: "$ LAPSTRAKE_DEBIAN_MIRROR=https://mirror.example.com/debian lapstrake lock",
};
