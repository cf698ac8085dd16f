use super::testing::{Fake, MIRROR, TestSuite, Written, hosts, package, put, shown, simple, told, written};
use super::*;
use crate::content::Content;
use crate::debian::deb::tests::TestTar;
use crate::debian::release::tests::Signer;
use crate::lock::{Asked, Lock};
use crate::oci::Platform;
use crate::tree::{Entry, FileTree, Origin, Owner, Rootfs, TreePath};

const SUITES: &str = "suites = [\"trixie\", \"trixie-security\"]";

fn lines(asked: &Asked) -> String {
    asked.lines().map(|line| format!("{line}\n")).collect()
}

/// What the archives have at first.
fn world(signer: &Signer) -> Fake {
    let mut fake = Fake::default();
    let debs = [
        simple("app", "1", "Depends: lib (>= 1)\n"),
        simple("lib", "1", ""),
        simple("lib", "1", "Architecture: arm64\n"),
        simple("data", "1", "Architecture: all\nDepends: lib\n"),
    ];
    TestSuite::new("debian", "trixie").publish(&mut fake, signer, &debs);
    TestSuite::new("debian-security", "trixie-security").publish(&mut fake, signer, &[simple("lib", "1.1", "")]);
    fake
}

#[test]
fn names_become_pins_that_do_not_depend_on_order_or_mirrors() {
    let signer = Signer::new(11);
    let fake = world(&signer);
    let first = written(&signer, SUITES, "[\"app\", \"data\"]");
    let pins = first.pin(&fake).unwrap();
    assert_eq!(shown(&pins), "app 1, data 1, lib 1.1");
    assert_eq!(pins.packages[2].archive, "debian-security");
    assert_eq!(pins.packages[2].path, "pool/lib_1.1_amd64.deb");
    assert_eq!(pins.packages[1].architecture, "all");
    assert_eq!(pins.archives.len(), 2);
    let key = crate::oci::Digest::of(&signer.keyring()).to_string();
    insta::assert_snapshot!(lines(&pins.asked).replace(&key, "KEY"), @r"
    component main
    keyring KEY
    package app
    package data
    suite debian trixie
    suite debian-security trixie-security
    ");
    let platform = Platform::linux("amd64");
    let rootfs = Rootfs::new();
    let below = Below { rootfs: &rootfs, read: &testing::no_base };
    assert_eq!(asked(&first.ask(&platform), &below).unwrap(), pins.asked);

    let other = "mirror = \"https://other.example.com/debian\"\nsuites = [\"trixie-security\", \"trixie\"]";
    fake.take_asked();
    assert_eq!(written(&signer, other, "[\"data\", \"app\"]").pin(&fake).unwrap(), pins);
    let asked = fake.take_asked();
    assert_eq!(hosts(&asked), ["mirror.example.com", "other.example.com"].into());
    assert!(asked.contains(&"https://other.example.com/debian-security/dists/trixie-security/InRelease".to_owned()));
    // Nothing of it names a host.
    let lock = Lock { debian: vec![pins.clone()], ..Lock::default() };
    assert!(!lock.text().contains("example.com"), "{}", lock.text());
    assert_eq!(lock.text().parse::<Lock>().unwrap().debian, [pins]);
}

#[test]
fn versions_stay_as_long_as_they_fit() {
    let signer = Signer::new(12);
    let mut fake = world(&signer);
    let layer = written(&signer, SUITES, "[\"app\"]");
    let before = layer.pin(&fake).unwrap();
    let pin = |layer: &Written, fake: &Fake, update: &Update| {
        layer.pin_on(&Rootfs::new(), fake, Some(&before), update).unwrap()
    };

    // The archives move on: the versions of before are still on the mirror, and in no index.
    let next = [
        simple("app", "2", "Depends: lib (>= 2)\n"),
        simple("lib", "2", ""),
        simple("more", "1", "Depends: lib\n"),
        simple("newer", "1", "Depends: lib (>= 2)\n"),
    ];
    let suite = TestSuite { dates: (-60, 86_400), ..TestSuite::new("debian", "trixie") };
    suite.publish(&mut fake, &signer, &next);
    TestSuite::new("debian-security", "trixie-security").publish(&mut fake, &signer, &[]);
    assert_eq!(pin(&layer, &fake, &Update::Nothing), before);
    assert_eq!(shown(&pin(&layer, &fake, &Update::Everything)), "app 2, lib 2");
    let moved = pin(&layer, &fake, &Update::Only(["lib".to_owned()].into()));
    assert_eq!(shown(&moved), "app 1, lib 2");
    // What needs a newer one than is pinned gets it; the rest stays.
    let more = written(&signer, SUITES, "[\"app\", \"more\"]");
    assert_eq!(shown(&pin(&more, &fake, &Update::Nothing)), "app 1, lib 1.1, more 1");
    assert_ne!(pin(&more, &fake, &Update::Nothing).archives, before.archives);
    let newer = written(&signer, SUITES, "[\"app\", \"newer\"]");
    assert_eq!(shown(&pin(&newer, &fake, &Update::Nothing)), "app 1, lib 2, newer 1");
    // From another suite, everything is chosen anew.
    TestSuite::new("debian", "forky").publish(&mut fake, &signer, &next);
    let forky = written(&signer, "suites = [\"forky\"]", "[\"app\"]");
    assert_eq!(shown(&pin(&forky, &fake, &Update::Nothing)), "app 2, lib 2");
    // A mirror that does not answer moves nothing.
    for status in [429, 500, 503] {
        let held = fake.at.clone();
        fake.at.retain(|address, _| !address.contains("lib_1.1"));
        fake.status = Some(status);
        let error = layer.pin_on(&Rootfs::new(), &fake, Some(&before), &Update::Nothing).unwrap_err();
        assert_eq!(error.fault(), Fault::Network, "{status}");
        (fake.at, fake.status) = (held, None);
    }
    // What is nowhere any more is replaced.
    fake.at.retain(|address, _| !address.contains("lib_1.1"));
    assert_eq!(shown(&pin(&layer, &fake, &Update::Nothing)), "app 1, lib 2");
    fake.at.retain(|address, _| !address.contains("app_1_"));
    assert_eq!(shown(&pin(&layer, &fake, &Update::Nothing)), "app 2, lib 2");
    // The pins of another platform are nothing to this one.
    let other = DebianPins { platform: "linux/arm64".to_owned(), ..before.clone() };
    let pins = layer.pin_on(&Rootfs::new(), &fake, Some(&other), &Update::Nothing).unwrap();
    assert_eq!(shown(&pins), "app 2, lib 2");
}

#[test]
fn an_archive_does_not_go_back_unless_it_is_told_to() {
    let signer = Signer::new(17);
    let mut fake = world(&signer);
    let layer = written(&signer, SUITES, "[\"app\"]");
    let before = layer.pin(&fake).unwrap();
    let suite = TestSuite { dates: (-7200, 86_400), ..TestSuite::new("debian", "trixie") };
    suite.publish(&mut fake, &signer, &[simple("app", "0", "")]);
    let pin = |update: &Update| layer.pin_on(&Rootfs::new(), &fake, Some(&before), update);
    // An update of everything is no word that an attack may pass: many are made by bots.
    for update in [Update::Nothing, Update::Everything, Update::Only(["app".to_owned()].into())] {
        let error = pin(&update).unwrap_err();
        assert_eq!(error.fault(), Fault::Network);
        let text = told(&error);
        assert!(text.contains(&before.archives["debian"]) && text.contains("lapstrake lock --update debian"), "{text}");
    }
    let back = pin(&Update::Only(["debian".to_owned()].into())).unwrap();
    assert_eq!(shown(&back), shown(&before));
    assert!(back.archives["debian"] < before.archives["debian"]);
}

#[test]
fn numbers_that_are_taken_below_are_part_of_what_is_asked() {
    let signer = Signer::new(18);
    let fake = world(&signer);
    let layer = written(&signer, SUITES, "[\"app\"]");
    let asked = |passwd: &str, group: &str| {
        let mut tree = FileTree::new();
        for (path, text) in [("etc/passwd", passwd), ("etc/group", group)] {
            let entry = Entry::file(Content::inline(text.as_bytes()), 0o644, Owner::ROOT, Origin::new("base"));
            tree.insert(TreePath::parse(path).unwrap(), entry).unwrap();
        }
        let mut rootfs = Rootfs::new();
        rootfs.apply(&tree);
        lines(&layer.pin_on(&rootfs, &fake, None, &Update::Nothing).unwrap().asked)
    };
    let usual = asked("root:*:0:0:root:/root:/bin/bash\n", "root:*:0:\nusers:*:100:\n");
    assert!(!usual.contains("taken"), "{usual}");
    let one = asked("x:*:101:101::/:/bin/sh\n", "root:*:0:\n");
    let other = asked("x:*:102:101::/:/bin/sh\n", "root:*:0:\n");
    assert!(one.contains("taken sha256:") && one != other);
    // People's accounts are no matter.
    assert_eq!(asked("root:*:0:0:root:/root:/bin/bash\nme:*:1000:1000::/:/bin/sh\n", ""), usual);
}

#[test]
fn what_conflicts_with_a_version_of_before_moves_it() {
    let signer = Signer::new(13);
    let mut fake = Fake::default();
    let suite = TestSuite::new("debian", "trixie");
    suite.publish(&mut fake, &signer, &[simple("aa", "1", ""), simple("bb", "1", "Depends: aa (= 1)\n")]);
    let layer = written(&signer, "suites = [\"trixie\"]", "[\"bb\"]");
    let before = layer.pin(&fake).unwrap();
    let next =
        [simple("aa", "2", ""), simple("bb", "2", "Depends: aa (= 2)\n"), simple("cc", "1", "Breaks: aa (<< 2)\n")];
    suite.publish(&mut fake, &signer, &next);
    let layer = written(&signer, "suites = [\"trixie\"]", "[\"bb\", \"cc\"]");
    let pins = layer.pin_on(&Rootfs::new(), &fake, Some(&before), &Update::Nothing).unwrap();
    assert_eq!(shown(&pins), "aa 2, bb 2, cc 1");
}

/// The error of a layer, told in one line, and whose affair it is.
#[track_caller]
fn refused(written: &Written, fake: &Fake) -> (Fault, String, bool) {
    let error = written.pin(fake).unwrap_err();
    let platform = Platform::linux("amd64");
    let key = written.context.path().display().to_string();
    (error.fault(), told(&error).replace(&key, "DIR"), error.span(&written.ask(&platform)).is_some())
}

#[test]
fn what_cannot_be_is_told_with_the_way_out() {
    let signer = Signer::new(14);
    let mut fake = world(&signer);
    let odd = [
        package("odd", "1", "Depends: helper\n", &[], TestTar::default()),
        package("helper", "1", "", &[("postinst", "#!/bin/sh\nmake-something /etc/x\n")], TestTar::default()),
        simple("needs", "1", "Depends: gone\n"),
        simple("left", "1", "Conflicts: right\n"),
        simple("right", "1", ""),
        package("known", "1", "", &[("postinst", "#!/bin/sh\nsystemctl enable known\n")], TestTar::default()),
    ];
    TestSuite::new("debian", "forky").publish(&mut fake, &signer, &odd);
    let told: Vec<String> = [
        ("", "[\"app\"]"),
        ("suites = [\"trixy\"]", "[\"app\"]"),
        ("suites = [\"trixie\"]\ncomponents = [\"contrib\"]", "[\"app\"]"),
        (SUITES, "[\"ap\"]"),
        (SUITES, "[\"app=2\"]"),
        (SUITES, "[\"app/trixie-backports\"]"),
        (SUITES, "[\"gone.deb\"]"),
        (SUITES, "{ packages = [\"app\"], without = [\"app\"] }"),
        ("suites = [\"forky\"]", "[\"odd\"]"),
        ("suites = [\"forky\"]", "[\"needs\"]"),
        ("suites = [\"forky\"]", "[\"left\", \"right\"]"),
        ("suites = [\"forky\"]", "{ packages = [\"known\"], strict = true }"),
    ]
    .iter()
    .map(|(debian, layer)| {
        let (fault, text, placed) = refused(&written(&signer, debian, layer), &fake);
        format!("{fault:?}{}: {text}", if placed { "!" } else { "" })
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
        Recipe: nothing says which suites of Debian the packages come from: write `suites = ["trixie", "trixie-updates", "trixie-security"]` in `[debian]`
        Unresolvable!: the archive `debian` has no suite `trixy` (is it `trixie`?), or https://mirror.example.com/debian/ is no mirror of it (named by the machine's apt sources; LAPSTRAKE_DEBIAN_MIRROR sets another one): https://mirror.example.com/debian/dists/trixy/InRelease is gone from its mirror or index (1 looked at): lock again, or name a snapshot that still has it: GET https://mirror.example.com/debian/dists/trixy/InRelease answered 404 (tried 1×)
        Unresolvable!: the suite `trixie` of the archive `debian` has no component `contrib`: it has main
        Unresolvable!: no suite has a package ap (is it app?)
        Unresolvable!: app=2 is not available: there is 1 (amd64, trixie)
        Unresolvable!: app/trixie-backports is not available: there is 1 (amd64, trixie)
        Recipe!: reading gone.deb, which the recipe names: No such file or directory (os error 2)
        Recipe!: the package app is both asked for and in `without`
        Unresolvable: what these packages do when they are installed is not known, and nothing of it is run: postinst of helper calls make-something (odd → helper); where the image works without it, write `skip_scripts = ["helper"]`
        Unresolvable: needs needs gone, which cannot be had: no suite has gone
        Unresolvable: left and right cannot be together: left conflicts with right
        Unresolvable: `strict` is on, and of what packages do when they are installed this is left out: links that start services (known)
        "#);
    let skipped = written(&signer, "suites = [\"forky\"]", "{ packages = [\"odd\"], skip_scripts = [\"helper\"] }");
    let pins = skipped.pin(&fake).unwrap();
    assert_eq!((shown(&pins).as_str(), &pins.skipped[..]), ("helper 1, odd 1", &["helper".to_owned()][..]));
    assert!(lines(&pins.asked).contains("skip-scripts helper\n"));
}

#[test]
fn only_what_is_signed_for_it_is_believed() {
    let signer = Signer::new(15);
    let debs = [simple("app", "1", "")];
    let layer = written(&signer, "suites = [\"trixie\"]", "[\"app\"]");
    let mut told_all = Vec::new();
    let usual = || TestSuite::new("debian", "trixie");
    for (suite, by) in [
        (TestSuite { dates: (-864_000, -3600), ..usual() }, 15),
        (TestSuite { dates: (864_000, 900_000), ..usual() }, 15),
        (usual(), 16),
    ] {
        let mut fake = Fake::default();
        suite.publish(&mut fake, &Signer::new(by), &debs);
        let (fault, text, _) = refused(&layer, &fake);
        assert_eq!(fault, Fault::Network, "{text}");
        told_all.push(text);
    }
    assert!(told_all[0].contains("no longer valid"), "{}", told_all[0]);
    assert!(told_all[1].contains("in the future"), "{}", told_all[1]);
    assert!(told_all[2].contains("not in the keyring"), "{}", told_all[2]);
    // Another suite's release at this one's place.
    let mut fake = Fake::default();
    TestSuite::new("debian", "sid").publish(&mut fake, &signer, &debs);
    let release = fake.at.remove(&format!("{MIRROR}debian/dists/sid/InRelease")).unwrap();
    fake.at.insert(format!("{MIRROR}debian/dists/trixie/InRelease"), release.clone());
    assert!(refused(&layer, &fake).1.contains("trixie was asked for"));
    // A bad mirror in front of a good one is passed over.
    usual().publish(&mut fake, &signer, &debs);
    fake.at.insert("https://other.example.com/debian/dists/trixie/InRelease".to_owned(), release);
    let layer = written(&signer, "mirror = \"https://other.example.com/debian\"\nsuites = [\"trixie\"]", "[\"app\"]");
    assert_eq!(shown(&layer.pin(&fake).unwrap()), "app 1");
    // With Debian's own keys, nobody else signs.
    let mut own = written(&signer, "suites = [\"trixie\"]", "[\"app\"]");
    own.settings.keyring = None;
    assert!(refused(&own, &fake).1.contains("not in the keyring"));
}

#[test]
fn archives_of_the_recipe_have_keys_and_origins_of_their_own() {
    let (signer, theirs) = (Signer::new(17), Signer::new(18));
    let mut fake = world(&signer);
    let company =
        TestSuite { root: "https://apt.example.com/x/".to_owned(), origin: "Company", ..TestSuite::new("", "stable") };
    company.publish(&mut fake, &theirs, &[simple("tool", "3", "Depends: lib\n"), simple("lib", "0", "")]);
    let archive = |origin: &str| {
        let debian = format!(
            "{SUITES}\n[debian.archives.company]\nmirror = \"https://apt.example.com/x\"\nsuites = [\"stable\"]\n\
             keyring = \"company.gpg\"\norigin = \"{origin}\""
        );
        let layer = written(&signer, &debian, "[\"tool\"]");
        put(layer.context.path(), "company.gpg", &theirs.keyring());
        layer
    };
    let pins = archive("Company").pin(&fake).unwrap();
    assert_eq!(shown(&pins), "lib 1.1, tool 3");
    assert_eq!(pins.packages[1].archive, "company");
    let asked = lines(&pins.asked);
    for line in ["archive company stable main\n", "origin company Company\n", "keyring company sha256:"] {
        assert!(asked.contains(line), "{asked}");
    }
    assert!(refused(&archive("Other"), &fake).1.contains("Other was asked for"));
}

#[test]
fn packages_of_the_recipe_are_taken_by_content() {
    let signer = Signer::new(19);
    let fake = world(&signer);
    let layer = written(&signer, SUITES, "[\"dist/own.deb\", \"app\"]");
    let own = simple("own", "5", "Depends: lib\n");
    put(layer.context.path(), "dist/own.deb", &own);
    let pins = layer.pin(&fake).unwrap();
    assert_eq!(shown(&pins), "app 1, lib 1.1, own 5");
    let pin = &pins.packages[2];
    assert_eq!((pin.archive.as_str(), pin.path.as_str(), pin.size), ("", "dist/own.deb", own.len() as u64));
    assert!(lines(&pins.asked).contains(&format!("file dist/own.deb {}\n", crate::oci::Digest::of(&own))));
    // It comes before an archive's of the same name, and needs no archive for itself.
    put(layer.context.path(), "dist/own.deb", &simple("app", "0", ""));
    assert_eq!(shown(&layer.pin(&fake).unwrap()), "app 0");
    let alone = written(&signer, "", "[\"own.deb\"]");
    put(alone.context.path(), "own.deb", &simple("own", "5", ""));
    assert_eq!(shown(&alone.pin(&Fake::default()).unwrap()), "own 5");
    put(alone.context.path(), "own.deb", b"!<arch>\nno package");
    assert!(matches!(refused(&alone, &fake), (Fault::Recipe, _, true)));
}

fn base(status: &str) -> Rootfs {
    let mut tree = FileTree::new();
    for (path, text) in [
        ("var/lib/dpkg/status", status),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nother:x:100:100::/:/bin/sh\n"),
        ("etc/group", "root:x:0:\nother:x:100:\n"),
        ("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n"),
    ] {
        let entry = Entry::file(Content::inline(text.as_bytes()), 0o644, Owner::ROOT, Origin::new("base"));
        tree.insert(TreePath::parse(path).unwrap(), entry).unwrap();
    }
    let mut rootfs = Rootfs::new();
    rootfs.apply(&tree);
    rootfs
}

#[test]
fn what_is_below_counts_and_is_not_upgraded() {
    let signer = Signer::new(20);
    let fake = world(&signer);
    let installed = |version: &str| {
        base(&format!("Package: lib\nStatus: install ok installed\nVersion: {version}\nArchitecture: amd64\n"))
    };
    let layer = written(&signer, SUITES, "[\"app\"]");
    let pins = layer.pin_on(&installed("1"), &fake, None, &Update::Nothing).unwrap();
    assert_eq!(shown(&pins), "app 1");
    assert!(lines(&pins.asked).contains("installed sha256:"));
    let error = layer.pin_on(&installed("0.9"), &fake, None, &Update::Nothing).unwrap_err();
    assert_eq!(error.fault(), Fault::Unresolvable);
    assert!(error.to_string().contains("the base has lib 0.9"), "{error}");
    let unsaid = written(&signer, "", "[\"app\"]");
    let error = unsaid.pin_on(&installed("1"), &fake, None, &Update::Nothing).unwrap_err();
    assert!(error.to_string().contains("[\"bookworm\", \"bookworm-updates\", \"bookworm-security\"]"), "{error}");
}

#[test]
fn accounts_of_services_keep_their_numbers() {
    let signer = Signer::new(21);
    let mut fake = Fake::default();
    let service = |name: &str| {
        let data =
            TestTar::default().file(&format!("./usr/lib/sysusers.d/{name}.conf"), 0o644, &format!("u {name} -\n"));
        let sum = "d41d8cd98f00b204e9800998ecf8427e";
        package(name, "1", "", &[("md5sums", &format!("{sum}  usr/lib/sysusers.d/{name}.conf\n"))], data)
    };
    TestSuite::new("debian", "trixie").publish(&mut fake, &signer, &[service("bb"), service("aa")]);
    let suites = "suites = [\"trixie\"]";
    let rootfs = base("");
    let one = written(&signer, suites, "[\"bb\"]").pin_on(&rootfs, &fake, None, &Update::Nothing).unwrap();
    assert_eq!(one.accounts, [("bb".to_owned(), 101)].into());
    let both = written(&signer, suites, "[\"aa\", \"bb\"]");
    let pins = both.pin_on(&rootfs, &fake, None, &Update::Nothing).unwrap();
    assert_eq!(pins.accounts, [("aa".to_owned(), 101), ("bb".to_owned(), 102)].into());
    let pins = both.pin_on(&rootfs, &fake, Some(&one), &Update::Nothing).unwrap();
    assert_eq!(pins.accounts, [("aa".to_owned(), 102), ("bb".to_owned(), 101)].into());
}
