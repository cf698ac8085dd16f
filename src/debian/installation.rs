//! How dpkg calls maintainer scripts when a package is installed that was not there before (Policy 6.5).

use super::deb::Deb;
use super::scripts::dialect;
use super::shell::{Call, Field, Script, Watch, parse, walk};

/// Goes through one of a package's scripts as dpkg would call it on a fresh install.
pub fn go_through(package: &Deb, name: &str, script: &Script, watch: &mut dyn Watch) {
    let values = [
        ("DPKG_ROOT", ""),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("DPKG_MAINTSCRIPT_NAME", name),
        ("DPKG_MAINTSCRIPT_PACKAGE", &*package.name),
        ("DPKG_MAINTSCRIPT_ARCH", &*package.architecture),
    ];
    if name == "preinst" {
        walk(script, &[Some("install")], &values, watch);
        return;
    }
    walk(script, &[Some("configure"), Some("")], &values, watch);
    if name == "config" {
        return;
    }
    let interested = package.info.get("triggers").is_some_and(|file| {
        let text = String::from_utf8_lossy(&file.bytes);
        text.lines().any(|line| line.trim_start().starts_with("interest"))
    });
    if interested {
        walk(script, &[Some("triggered"), None], &values, watch);
    }
}

/// The commands of a package's scripts that may be reached on a fresh install and are called by one of these names, with
/// their arguments; without those of scripts that cannot be read.
pub fn calls(package: &Deb, names: &[&str]) -> Vec<Vec<Field>> {
    struct Calls<'a> {
        names: &'a [&'a str],
        found: Vec<Vec<Field>>,
    }
    impl Watch for Calls<'_> {
        fn call(&mut self, call: &Call<'_>) -> Option<bool> {
            let name = call.words[0].text.rsplit('/').next().unwrap_or_default();
            if self.names.contains(&name) && !self.found.iter().any(|found| found[..] == *call.words) {
                self.found.push(call.words.to_vec());
            }
            None
        }
        fn write(&mut self, _: usize, _: &Field) {}
        fn trouble(&mut self, _: usize, _: &str) {}
    }
    let mut calls = Calls { names, found: Vec::new() };
    for (name, file) in package.scripts() {
        let text = String::from_utf8_lossy(&file.bytes);
        if let Some(Ok(script)) = dialect(&text).map(|dialect| parse(&text, dialect)) {
            go_through(package, name, &script, &mut calls);
        }
    }
    calls.found
}
