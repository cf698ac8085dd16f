//! `apt-get`: packages become `debian`.

use super::super::draft::{Layer, Source};
use super::super::state::State;
use super::{Call, Done, Kept, Outcome};

/// What only compiles.
const BUILD_TOOLS: [&str; 14] = [
    "build-essential",
    "gcc",
    "g++",
    "make",
    "cmake",
    "pkg-config",
    "git",
    "python3-dev",
    "python3-pip",
    "rustc",
    "cargo",
    "autoconf",
    "automake",
    "libtool",
];

impl State {
    pub(super) fn apt(&mut self, call: &Call<'_>) -> Outcome {
        let mut words = call.words.iter().peekable();
        let mut command = None;
        let mut packages = Vec::new();
        let mut recommends = true;
        let mut suite = None;
        while let Some(word) = words.next() {
            match word.as_str() {
                "--no-install-recommends" => recommends = false,
                "-t" | "--target-release" | "--default-release" => suite = words.next().cloned(),
                "-o" | "--option" | "-c" => {
                    let option = words.next().map(|option| option.to_ascii_lowercase()).unwrap_or_default();
                    if option.starts_with("apt::install-recommends=") && option.ends_with(['0', 'e']) {
                        recommends = false;
                    }
                }
                flag if flag.starts_with('-') => {}
                word if command.is_none() => command = Some(word.to_owned()),
                package => packages.push(package.to_owned()),
            }
        }
        match command.as_deref() {
            Some("update") => Ok(Done::Nothing("`lapstrake lock` reads the archive's indexes")),
            Some("clean" | "autoclean" | "autoremove") => Ok(Done::Nothing("nothing is left to clean up")),
            Some("upgrade" | "dist-upgrade" | "full-upgrade") => {
                Ok(Done::Nothing("a base is as it is locked: `lapstrake lock --update` moves to its newest"))
            }
            Some("remove" | "purge") => self.apt_remove(&packages),
            Some("install") => {
                if packages.is_empty() {
                    return Ok(Done::Nothing("no package is named"));
                }
                let good = |name: &str| {
                    name.len() > 1
                        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
                };
                let mut taken: Vec<String> = Vec::new();
                for package in packages {
                    if package.ends_with(".deb") {
                        let path = call.path(&package);
                        let Some(origin) = self.origin(&path, call.binds) else {
                            return Err(Kept::new(
                                "a package file is installed that no `COPY` brought",
                                "`debian = [\"dist/x.deb\"]` takes package files of the context",
                            ));
                        };
                        self.read.insert(path);
                        taken.push(origin);
                        continue;
                    }
                    // The architecture is the image's.
                    let plain = package.split_once(':').map_or(package.as_str(), |(name, _)| name).to_owned();
                    let (name, more) = match plain.find(['=', '/']) {
                        Some(at) => plain.split_at(at),
                        None => (plain.as_str(), ""),
                    };
                    if !good(name) || more.contains('*') {
                        return Err(Kept::new(
                            format!("`{}` is no name of a package", super::one_line(&package)),
                            "name the packages in `debian`",
                        ));
                    }
                    let full = match (&suite, more) {
                        (Some(suite), "") => format!("{name}/{suite}"),
                        _ => plain,
                    };
                    if !taken.contains(&full) {
                        taken.push(full);
                    }
                }
                taken.sort();
                let tools: Vec<String> = taken
                    .iter()
                    .filter(|name| BUILD_TOOLS.contains(&name.as_str()) || name.ends_with("-dev"))
                    .map(|name| format!("`{name}`"))
                    .collect();
                let into = format!("debian, {} packages", taken.len());
                let mut layer =
                    Layer::new(Source::Debian { packages: taken, recommends, slim: false, suites: Vec::new() });
                if recommends {
                    layer.comments.push(
                        "the line takes recommended packages too; without `recommends` the image is smaller".to_owned(),
                    );
                }
                if !tools.is_empty() {
                    layer.comments.push(format!(
                        "{}: for compiling. Wheels need no compiler: they can probably go",
                        tools.join(", ")
                    ));
                }
                self.add(layer);
                Ok(Done::Turned(into))
            }
            _ => Err(Kept::new("this is not an install", "name the packages in `debian`")),
        }
    }

    /// What is installed and removed again in one image is left out.
    fn apt_remove(&mut self, gone: &[String]) -> Outcome {
        let mut left: Vec<&String> = gone.iter().collect();
        for layer in self.draft.layers_mut() {
            if let Source::Debian { packages, .. } = &mut layer.source {
                packages.retain(|package| !gone.contains(package));
                left.retain(|name| {
                    let named = layer.comments.iter().any(|comment| comment.contains(&format!("`{name}`")));
                    !named && !BUILD_TOOLS.contains(&name.as_str())
                });
                layer.comments.retain(|comment| !comment.contains("for compiling"));
            }
        }
        self.draft.items.retain(|item| match item {
            super::Item::Layer(layer) => {
                !matches!(&layer.source, Source::Debian { packages, .. } if packages.is_empty())
            }
            super::Item::Comment(_) => true,
        });
        match left.as_slice() {
            [] => Ok(Done::Nothing("what was installed for a time only is left out of `debian`")),
            _ => Err(Kept::new(
                "packages of the base are not taken away",
                "leave them out of `debian`, or take a base without them",
            )),
        }
    }
}
