//! Alternatives: links that several packages may want, and the database that says which has them
//! (update-alternatives(1), deb-alternatives).

use std::collections::BTreeMap;

use super::super::deb::Deb;
use super::super::installation::calls;
use super::super::shell::Field;
use super::super::staging::{Staging, StagingError};
use crate::tree::{Origin, Owner};

/// What one package offers for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The link that people use.
    pub link: String,
    /// The name under `/etc/alternatives`.
    pub name: String,
    /// What it would lead to.
    pub path: String,
    /// How much it is liked.
    pub priority: i64,
    /// Links that go along: link, name, path.
    pub slaves: Vec<(String, String, String)>,
}

/// Choices that scripts make in loops or from variables: package, then lines as for `update-alternatives --install`.
const KNOWN: [(&str, &[&str]); 7] = [
    ("krb5-user", KERBEROS),
    (
        "procps",
        &[
            "/usr/bin/w w /usr/bin/w.procps 50 --slave /usr/share/man/man1/w.1.gz w.1.gz /usr/share/man/man1/w.procps.1.gz",
        ],
    ),
    (
        "xz-utils",
        &["/usr/bin/lzma lzma /usr/bin/xz 20 \
           --slave /usr/bin/unlzma unlzma /usr/bin/unxz \
           --slave /usr/bin/lzcat lzcat /usr/bin/xzcat \
           --slave /usr/bin/lzmore lzmore /usr/bin/xzmore \
           --slave /usr/bin/lzless lzless /usr/bin/xzless \
           --slave /usr/bin/lzdiff lzdiff /usr/bin/xzdiff \
           --slave /usr/bin/lzcmp lzcmp /usr/bin/xzcmp \
           --slave /usr/bin/lzgrep lzgrep /usr/bin/xzgrep \
           --slave /usr/bin/lzegrep lzegrep /usr/bin/xzegrep \
           --slave /usr/bin/lzfgrep lzfgrep /usr/bin/xzfgrep \
           --slave /usr/share/man/man1/lzma.1.gz lzma.1.gz /usr/share/man/man1/xz.1.gz \
           --slave /usr/share/man/man1/unlzma.1.gz unlzma.1.gz /usr/share/man/man1/unxz.1.gz \
           --slave /usr/share/man/man1/lzcat.1.gz lzcat.1.gz /usr/share/man/man1/xzcat.1.gz \
           --slave /usr/share/man/man1/lzmore.1.gz lzmore.1.gz /usr/share/man/man1/xzmore.1.gz \
           --slave /usr/share/man/man1/lzless.1.gz lzless.1.gz /usr/share/man/man1/xzless.1.gz \
           --slave /usr/share/man/man1/lzdiff.1.gz lzdiff.1.gz /usr/share/man/man1/xzdiff.1.gz \
           --slave /usr/share/man/man1/lzcmp.1.gz lzcmp.1.gz /usr/share/man/man1/xzcmp.1.gz \
           --slave /usr/share/man/man1/lzgrep.1.gz lzgrep.1.gz /usr/share/man/man1/xzgrep.1.gz \
           --slave /usr/share/man/man1/lzegrep.1.gz lzegrep.1.gz /usr/share/man/man1/xzegrep.1.gz \
           --slave /usr/share/man/man1/lzfgrep.1.gz lzfgrep.1.gz /usr/share/man/man1/xzfgrep.1.gz"],
    ),
    ("imagemagick-6.q16", IMAGEMAGICK_6),
    ("imagemagick-7.q16", IMAGEMAGICK_7),
    (
        "php8.2-cli",
        &[
            "/usr/bin/php php /usr/bin/php8.2 82 --slave /usr/share/man/man1/php.1.gz php.1.gz /usr/share/man/man1/php8.2.1.gz",
        ],
    ),
    (
        "php8.4-cli",
        &[
            "/usr/bin/php php /usr/bin/php8.4 84 --slave /usr/share/man/man1/php.1.gz php.1.gz /usr/share/man/man1/php8.4.1.gz",
        ],
    ),
];

const KERBEROS: &[&str] = &[
    "/usr/bin/kinit kinit /usr/bin/kinit.mit 30 --slave /usr/share/man/man1/kinit.1.gz kinit.1.gz /usr/share/man/man1/kinit.mit.1.gz",
    "/usr/bin/klist klist /usr/bin/klist.mit 30 --slave /usr/share/man/man1/klist.1.gz klist.1.gz /usr/share/man/man1/klist.mit.1.gz",
    "/usr/bin/kswitch kswitch /usr/bin/kswitch.mit 30 --slave /usr/share/man/man1/kswitch.1.gz kswitch.1.gz /usr/share/man/man1/kswitch.mit.1.gz",
    "/usr/bin/ksu ksu /usr/bin/ksu.mit 30 --slave /usr/share/man/man1/ksu.1.gz ksu.1.gz /usr/share/man/man1/ksu.mit.1.gz",
    "/usr/bin/kpasswd kpasswd /usr/bin/kpasswd.mit 30 --slave /usr/share/man/man1/kpasswd.1.gz kpasswd.1.gz /usr/share/man/man1/kpasswd.mit.1.gz",
    "/usr/bin/kdestroy kdestroy /usr/bin/kdestroy.mit 30 --slave /usr/share/man/man1/kdestroy.1.gz kdestroy.1.gz /usr/share/man/man1/kdestroy.mit.1.gz",
    "/usr/bin/kadmin kadmin /usr/bin/kadmin.mit 30 --slave /usr/share/man/man1/kadmin.1.gz kadmin.1.gz /usr/share/man/man1/kadmin.mit.1.gz",
    "/usr/bin/ktutil ktutil /usr/bin/ktutil.mit 30 --slave /usr/share/man/man1/ktutil.1.gz ktutil.1.gz /usr/share/man/man1/ktutil.mit.1.gz",
];

const IMAGEMAGICK_6: &[&str] = &[
    "/usr/bin/compare compare /usr/bin/compare-im6.q16 10",
    "/usr/bin/animate animate /usr/bin/animate-im6.q16 10",
    "/usr/bin/convert convert /usr/bin/convert-im6.q16 10",
    "/usr/bin/composite composite /usr/bin/composite-im6.q16 10",
    "/usr/bin/conjure conjure /usr/bin/conjure-im6.q16 10",
    "/usr/bin/import import /usr/bin/import-im6.q16 10",
    "/usr/bin/identify identify /usr/bin/identify-im6.q16 10",
    "/usr/bin/stream stream /usr/bin/stream-im6.q16 10",
    "/usr/bin/display display /usr/bin/display-im6.q16 10",
    "/usr/bin/montage montage /usr/bin/montage-im6.q16 10",
    "/usr/bin/mogrify mogrify /usr/bin/mogrify-im6.q16 10",
];

const IMAGEMAGICK_7: &[&str] = &[
    "/usr/bin/magick magick /usr/bin/magick-im7.q16 20",
    "/usr/bin/compare compare /usr/bin/compare-im7.q16 20",
    "/usr/bin/animate animate /usr/bin/animate-im7.q16 20",
    "/usr/bin/convert convert /usr/bin/convert-im7.q16 20",
    "/usr/bin/composite composite /usr/bin/composite-im7.q16 20",
    "/usr/bin/conjure conjure /usr/bin/conjure-im7.q16 20",
    "/usr/bin/import import /usr/bin/import-im7.q16 20",
    "/usr/bin/identify identify /usr/bin/identify-im7.q16 20",
    "/usr/bin/stream stream /usr/bin/stream-im7.q16 20",
    "/usr/bin/display display /usr/bin/display-im7.q16 20",
    "/usr/bin/montage montage /usr/bin/montage-im7.q16 20",
    "/usr/bin/mogrify mogrify /usr/bin/mogrify-im7.q16 20",
];

/// What the arguments of `update-alternatives` offer; `None` where they offer nothing, or cannot be read.
pub fn offered(words: &[Field]) -> Option<Choice> {
    let words: Vec<&str> = words.iter().map(Field::text).collect::<Option<_>>()?;
    let options = words.iter().take_while(|word| matches!(**word, "--quiet" | "--force" | "--verbose")).count();
    match words[options..].split_first()? {
        (&"--install", words) => choice(words),
        _ => None,
    }
}

fn choice(words: &[&str]) -> Option<Choice> {
    let [link, name, path, priority, rest @ ..] = words else { return None };
    let mut slaves = Vec::new();
    let mut rest = rest;
    while let ["--slave", link, name, path, more @ ..] = rest {
        slaves.push(((*link).to_owned(), (*name).to_owned(), (*path).to_owned()));
        rest = more;
    }
    let fine =
        |name: &str| !name.is_empty() && !name.contains(['/', '\0']) && !name.starts_with('.') && name.len() < 200;
    let absolute = |path: &str| path.starts_with('/') && !path.contains(['\n', '\0']);
    let all = std::iter::once((*link, *name, *path))
        .chain(slaves.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())));
    if !all.into_iter().all(|(link, name, path)| absolute(link) && fine(name) && absolute(path)) {
        return None;
    }
    if !rest.is_empty() {
        return None;
    }
    Some(Choice {
        link: (*link).to_owned(),
        name: (*name).to_owned(),
        path: (*path).to_owned(),
        priority: priority.parse().ok()?,
        slaves,
    })
}

/// What a package offers: from the table where its script cannot be read, else from the script.
pub fn choices(package: &Deb) -> Vec<Choice> {
    if let Some(lines) = known(&package.name) {
        return lines.iter().filter_map(|line| choice(&line.split_whitespace().collect::<Vec<_>>())).collect();
    }
    calls(package, &["update-alternatives"]).iter().filter_map(|words| offered(&words[1..])).collect()
}

/// The table's lines for a package.
pub fn known(package: &str) -> Option<&'static [&'static str]> {
    KNOWN.iter().find(|(name, _)| *name == package).map(|(_, lines)| *lines)
}

const DATABASE: &str = "var/lib/dpkg/alternatives";

/// Makes the links of what packages offer, and writes the database. What the base has offered before is read and kept.
///
/// # Errors
/// Where a link cannot be made.
pub fn apply(staging: &mut Staging<'_>, packages: &[Deb]) -> Result<(), StagingError> {
    let origin = Origin::new("alternatives");
    let mut groups: BTreeMap<String, Vec<Choice>> = BTreeMap::new();
    for choice in packages.iter().flat_map(choices) {
        // What is offered and not there (a path that the recipe leaves out) is not offered.
        if staging.exists(&choice.path) {
            groups.entry(choice.name.clone()).or_default().push(choice);
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let with_database = staging.exists("var/lib/dpkg/status") || staging.exists("var/lib/dpkg/info");
    staging.directory("etc", 0o755, Owner::ROOT, &origin)?;
    staging.directory("etc/alternatives", 0o755, Owner::ROOT, &origin)?;
    for (name, mut offered) in groups {
        let database = format!("{DATABASE}/{name}");
        let before = staging.text(&database)?.and_then(|text| parse(&name, &text));
        let (automatic, before) = before.unwrap_or((true, Vec::new()));
        offered.extend(before.into_iter().filter(|old| staging.exists(&old.path)));
        offered.sort_by(|a, b| a.path.cmp(&b.path).then(b.priority.cmp(&a.priority)));
        offered.dedup_by(|a, b| a.path == b.path);
        let link = offered[0].link.clone();
        // All links that go along, by name; one that several choices have is one.
        let mut slaves: BTreeMap<&str, &str> = BTreeMap::new();
        for (link, name, _) in offered.iter().flat_map(|choice| &choice.slaves) {
            slaves.entry(name).or_insert(link);
        }
        if with_database {
            let text = written(automatic, &link, &slaves, &offered);
            staging.file(&database, text, 0o644, Owner::ROOT, &origin)?;
        }
        // What somebody chose by hand stays.
        if !automatic {
            continue;
        }
        let Some(best) = offered.iter().max_by_key(|choice| choice.priority) else { continue };
        place(staging, &best.link, &best.name, &best.path, &origin)?;
        for (name, link) in slaves {
            let path = best.slaves.iter().find(|(_, other, _)| other == name).map(|(_, _, path)| path.clone());
            if let Some(path) = path.filter(|path| staging.exists(path)) {
                place(staging, link, name, &path, &origin)?;
            }
        }
    }
    Ok(())
}

fn place(staging: &mut Staging<'_>, link: &str, name: &str, path: &str, origin: &Origin) -> Result<(), StagingError> {
    staging.symlink(&format!("etc/alternatives/{name}"), path, origin)?;
    // A file that stands where the link should be is somebody's: update-alternatives leaves it, too.
    let there = staging.view().get(&staging.place(link)?).map(|node| node.kind.clone());
    if matches!(there, None | Some(crate::tree::NodeKind::Symlink(_))) {
        if let Some((parent, _)) = link.rsplit_once('/')
            && !staging.exists(parent)
        {
            return Ok(());
        }
        staging.symlink(link, &format!("/etc/alternatives/{name}"), origin)?;
    }
    Ok(())
}

/// The database's file for one name.
fn written(automatic: bool, link: &str, slaves: &BTreeMap<&str, &str>, offered: &[Choice]) -> String {
    let mut text = format!("{}\n{link}\n", if automatic { "auto" } else { "manual" });
    for (name, link) in slaves {
        text.push_str(&format!("{name}\n{link}\n"));
    }
    text.push('\n');
    for choice in offered {
        text.push_str(&format!("{}\n{}\n", choice.path, choice.priority));
        for name in slaves.keys() {
            let path = choice.slaves.iter().find(|(_, other, _)| other == name).map_or("", |(_, _, path)| path);
            text.push_str(&format!("{path}\n"));
        }
    }
    text.push('\n');
    text
}

/// What the database of a base says of one name: whether it is chosen automatically, and what is offered.
fn parse(name: &str, text: &str) -> Option<(bool, Vec<Choice>)> {
    let mut lines = text.lines();
    let automatic = lines.next()? == "auto";
    let link = lines.next()?.to_owned();
    let mut slaves: Vec<(String, String)> = Vec::new();
    loop {
        match lines.next()? {
            "" => break,
            slave => slaves.push((slave.to_owned(), lines.next()?.to_owned())),
        }
    }
    let mut choices = Vec::new();
    while let Some(path) = lines.next().filter(|line| !line.is_empty()) {
        let priority = lines.next()?.parse().ok()?;
        let mut found = Vec::new();
        for (name, link) in &slaves {
            let path = lines.next()?;
            if !path.is_empty() {
                found.push((link.clone(), name.clone(), path.to_owned()));
            }
        }
        choices.push(Choice {
            link: link.clone(),
            name: name.to_owned(),
            path: path.to_owned(),
            priority,
            slaves: found,
        });
    }
    Some((automatic, choices))
}

#[cfg(test)]
mod tests {
    use super::super::super::deb::tests::{TestTar, package};
    use super::super::super::unpack::{Leave, unpack};
    use super::*;
    use crate::tree::{Kind, Rootfs, TreePath};

    #[test]
    fn commands_that_are_reached_are_read() {
        let read = |script: &str| {
            choices(&package("x", &[("postinst", &format!("#!/bin/sh\n{script}\n"))], TestTar::default()))
        };
        let found = read(
            "if [ \"$1\" = configure ]; then\n  update-alternatives --quiet --install /usr/bin/awk awk \\\n\
             \t/usr/bin/mawk 5 --slave /usr/bin/nawk nawk /usr/bin/mawk || true\nfi\n\
             update-alternatives --remove x /usr/bin/x\n# update-alternatives --install a b c 1\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].priority, found[0].slaves.len()), ("awk", 5, 1));
        for script in [
            "update-alternatives --install /usr/bin/$x $x /usr/bin/x 1",
            "update-alternatives --install /usr/bin/x ../x /usr/bin/y 1",
            "update-alternatives --install /usr/bin/x x /usr/bin/y many",
            "update-alternatives --install /usr/bin/x x",
            "if [ \"$1\" = triggered ]; then update-alternatives --install /a/b b /c/d 10; fi",
        ] {
            assert_eq!(read(script), [], "{script}");
        }
        assert_eq!(read("update-alternatives --install /a/b b /c/d 10 >/dev/null 2>&1 || true").len(), 1);
        assert_eq!(read("for i in a b; do update-alternatives --install /usr/bin/$i $i /c/$i 10; done").len(), 2);
    }

    #[test]
    fn the_table_is_right() {
        for (package, lines) in KNOWN {
            for line in lines {
                assert!(choice(&line.split_whitespace().collect::<Vec<_>>()).is_some(), "{package}: {line}");
            }
        }
    }

    #[test]
    fn the_best_gets_the_links() {
        let script = |name: &str, priority: u32| {
            format!(
                "#!/bin/sh\nupdate-alternatives --install /usr/bin/awk awk /usr/bin/{name} {priority} --slave /usr/bin/nawk nawk \
                 /usr/bin/{name} --slave /usr/share/man/awk.gz awk.gz /usr/share/man/{name}.gz"
            )
        };
        let tar = |name: &str| {
            TestTar::default().directory("./usr/", 0o755).directory("./usr/bin/", 0o755).file(
                &format!("./usr/bin/{name}"),
                0o755,
                "",
            )
        };
        let packages = [
            package("mawk", &[("postinst", &script("mawk", 5))], tar("mawk")),
            package("gawk", &[("postinst", &script("gawk", 10))], tar("gawk")),
        ];
        let no_base = |_, _, _| Err(std::io::Error::other("there is no base"));
        let mut staging = Staging::new(Rootfs::new(), &no_base);
        staging.directory("var/lib/dpkg/info", 0o755, Owner::ROOT, &Origin::new("test")).unwrap();
        unpack(&mut staging, &packages, &BTreeMap::new(), Leave::default()).unwrap();
        apply(&mut staging, &packages).unwrap();
        let link = |path: &str| match staging.entry(&TreePath::parse(path).unwrap()).map(|entry| &entry.kind) {
            Some(Kind::Symlink(target)) => String::from_utf8_lossy(target).into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(link("usr/bin/awk"), "/etc/alternatives/awk");
        assert_eq!(link("etc/alternatives/awk"), "/usr/bin/gawk");
        assert_eq!(link("etc/alternatives/nawk"), "/usr/bin/gawk");
        // The manual page is not there.
        assert_eq!(link("etc/alternatives/awk.gz"), "None");
        let text = staging.text("var/lib/dpkg/alternatives/awk").unwrap().unwrap();
        assert_eq!(
            text,
            "auto\n/usr/bin/awk\nawk.gz\n/usr/share/man/awk.gz\nnawk\n/usr/bin/nawk\n\n/usr/bin/gawk\n10\n/usr/share/man/gawk.gz\n\
             /usr/bin/gawk\n/usr/bin/mawk\n5\n/usr/share/man/mawk.gz\n/usr/bin/mawk\n\n"
        );
        let (automatic, choices) = parse("awk", &text).unwrap();
        assert!(automatic);
        assert_eq!(choices.len(), 2);
    }
}
