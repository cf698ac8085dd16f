use super::*;
use crate::debian::deb::tests::TestTar;
use crate::debian::release::tests::Signer;
use crate::lock::Update;
use crate::oci::Digest;
use crate::pin::debian::testing::{Fake, TestSuite, Written, no_base, package, put, simple, told, written};
use crate::tree::{Entry, Kind, Origin, Owner, Rootfs};

fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn library(soname: &str) -> Vec<u8> {
    crate::elf::tests::make(true, true, 62, None, &[], Some(soname), None)
}

/// Packages that together do a little of everything.
fn world(signer: &Signer) -> Fake {
    let mut fake = Fake::default();
    let masters = TestTar::default()
        .file("./usr/share/base-passwd/passwd.master", 0o644, "root:*:0:0:root:/root:/bin/bash\n")
        .file("./usr/share/base-passwd/group.master", 0o644, "root:*:0:\n");
    let sysusers = "0 usr/lib/sysusers.d/svc.conf";
    let debs = [
        package("dpkg", "1.22.6", "", &[], TestTar::default().file("./usr/bin/dpkg", 0o755, "")),
        package("base-passwd", "1", "", &[("postinst", "#!/bin/sh\nupdate-passwd\n")], masters),
        package(
            "libc-bin",
            "1",
            "Depends: libx\n",
            &[],
            TestTar::default().file("./etc/ld.so.conf", 0o644, "/usr/local/lib\n"),
        ),
        package(
            "libx",
            "1",
            "Multi-Arch: same\n",
            &[("triggers", "activate-noawait ldconfig\n")],
            TestTar::default()
                .directory("./lib/", 0o755)
                .bytes("./lib/libx.so.1", 0o644, &library("libx.so.1"))
                .file("./usr/share/doc/libx/copyright", 0o644, "free")
                .file("./usr/share/doc/libx/NEWS", 0o644, "news"),
        ),
        package(
            "svc",
            "1",
            "Architecture: all\n",
            &[("md5sums", &sysusers.replace("0 ", &format!("{}  ", "0".repeat(32))))],
            TestTar::default()
                .file("./usr/lib/sysusers.d/svc.conf", 0o644, "u svc -\n")
                .file("./usr/sbin/svc", 0o755, "#!/bin/sh\n")
                .hardlink("./usr/sbin/svc2", "./usr/sbin/svc"),
        ),
    ];
    TestSuite::new("debian", "trixie").publish(&mut fake, signer, &debs);
    fake
}

const ALL: &str = "[\"base-passwd\", \"dpkg\", \"libc-bin\", \"svc\"]";

fn made(
    layer: &Written,
    pins: &DebianPins,
    rootfs: &Rootfs,
    fake: &Fake,
    jobs: usize,
    exclude: Option<&dyn Fn(&TreePath) -> bool>,
) -> Result<DebianLayer, LayerError> {
    let reporter = Reporter::silent();
    let options =
        Options { slim: layer.source.slim, exclude, settings: &layer.settings, context: layer.context.path() };
    let means =
        Means { supply: fake, tmp: layer.context.path(), jobs, limits: Default::default(), reporter: &reporter };
    let below = Below { rootfs, read: &no_base };
    packages(pins, &options, &below, &Platform::linux("amd64"), &means)
}

fn listing(tree: &FileTree) -> String {
    let line = |(path, entry): (&TreePath, &Entry)| {
        let what = match &entry.kind {
            Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
            Kind::Hardlink(target) => format!(" = {target}"),
            Kind::File(content) => format!(" {}", content.len()),
            _ => "/".to_owned(),
        };
        format!("{:04o} {} {}{what}\n", entry.mode, entry.owner, String::from_utf8_lossy(path.as_bytes()))
    };
    tree.iter().map(line).collect()
}

fn tar(tree: &FileTree) -> Digest {
    let mut bytes = Vec::new();
    crate::tar::write_tree(tree, &mut bytes, &mut ()).unwrap();
    Digest::of(&bytes)
}

fn text(tree: &FileTree, at: &str) -> String {
    match tree.get(&path(at)).map(|entry| &entry.kind) {
        Some(Kind::File(content)) => String::from_utf8(content.read_all(99_999).unwrap()).unwrap(),
        other => panic!("{at}: {other:?}"),
    }
}

#[test]
fn pins_become_a_tree_whatever_the_number_of_threads() {
    let signer = Signer::new(31);
    let mut fake = world(&signer);
    let layer = written(&signer, "suites = [\"trixie\"]", ALL);
    let pins = layer.pin(&fake).unwrap();
    let empty = Rootfs::new();
    let one = made(&layer, &pins, &empty, &fake, 1, None).unwrap();
    assert_eq!(one.newest, Some(1_700_000_000));
    assert_eq!(tar(&one.tree), tar(&made(&layer, &pins, &empty, &fake, 7, None).unwrap().tree));
    insta::assert_snapshot!(listing(&one.tree), @r"
        0777 0:0 bin -> usr/bin
        0755 0:0 etc/
        0644 0:0 etc/group 21
        0644 0:0 etc/ld.so.cache 97
        0644 0:0 etc/ld.so.conf 15
        0644 0:0 etc/passwd 67
        0644 0:0 etc/subgid 0
        0644 0:0 etc/subuid 0
        0777 0:0 lib -> usr/lib
        0777 0:0 lib64 -> usr/lib64
        0777 0:0 sbin -> usr/sbin
        0755 0:0 usr/
        0755 0:0 usr/bin/
        0755 0:0 usr/bin/dpkg 0
        0755 0:0 usr/lib/
        0644 0:0 usr/lib/libx.so.1 251
        0755 0:0 usr/lib/sysusers.d/
        0644 0:0 usr/lib/sysusers.d/svc.conf 8
        0755 0:0 usr/lib64/
        0755 0:0 usr/sbin/
        0755 0:0 usr/sbin/svc 10
        0755 0:0 usr/sbin/svc2 = /usr/sbin/svc
        0755 0:0 usr/share/
        0755 0:0 usr/share/base-passwd/
        0644 0:0 usr/share/base-passwd/group.master 10
        0644 0:0 usr/share/base-passwd/passwd.master 32
        0755 0:0 usr/share/doc/
        0755 0:0 usr/share/doc/libx/
        0644 0:0 usr/share/doc/libx/NEWS 4
        0644 0:0 usr/share/doc/libx/copyright 4
        0755 0:0 var/
        0755 0:0 var/lib/
        0755 0:0 var/lib/dpkg/
        0755 0:0 var/lib/dpkg/alternatives/
        0644 0:0 var/lib/dpkg/arch 6
        0644 0:0 var/lib/dpkg/arch-native 6
        0755 0:0 var/lib/dpkg/info/
        0644 0:0 var/lib/dpkg/info/base-passwd.list 76
        0644 0:0 var/lib/dpkg/info/base-passwd.md5sums 139
        0755 0:0 var/lib/dpkg/info/base-passwd.postinst 24
        0644 0:0 var/lib/dpkg/info/dpkg.list 17
        0644 0:0 var/lib/dpkg/info/dpkg.md5sums 47
        0644 0:0 var/lib/dpkg/info/format 2
        0644 0:0 var/lib/dpkg/info/libc-bin.list 19
        0644 0:0 var/lib/dpkg/info/libc-bin.md5sums 49
        0644 0:0 var/lib/dpkg/info/libx:amd64.list 78
        0644 0:0 var/lib/dpkg/info/libx:amd64.md5sums 169
        0755 0:0 var/lib/dpkg/info/libx:amd64.triggers 26
        0644 0:0 var/lib/dpkg/info/svc.list 61
        0755 0:0 var/lib/dpkg/info/svc.md5sums 62
        0755 0:0 var/lib/dpkg/parts/
        0644 0:0 var/lib/dpkg/status 564
        0755 0:0 var/lib/dpkg/triggers/
        0644 0:0 var/lib/dpkg/triggers/File 0
        0644 0:0 var/lib/dpkg/triggers/Unincorp 0
        0755 0:0 var/lib/dpkg/updates/
        ");
    assert_eq!(text(&one.tree, "etc/passwd").lines().nth(1).unwrap(), "svc:*:100:100::/:/usr/sbin/nologin");
    assert!(text(&one.tree, "var/lib/dpkg/status").contains("Package: svc\nStatus: install ok installed\n"));

    // What the whole image shows in the end.
    let mut view = Rootfs::new();
    view.apply(&one.tree);
    let platform = Platform::linux("amd64");
    let cache = |view: &Rootfs| ld_so_cache(&Below { rootfs: view, read: &no_base }, &platform).unwrap();
    assert!(cache(&view).is_none());
    let mut more = FileTree::new();
    let content = Content::inline(library("libmore.so.2"));
    let entry = Entry::file(content, 0o644, Owner::ROOT, Origin::new("copy"));
    more.insert(path("usr/local/lib/libmore.so.2"), entry).unwrap();
    view.apply(&more);
    let tree = cache(&view).unwrap();
    assert_eq!(tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["/etc/ld.so.cache"]);
    view.apply(&tree);
    assert!(cache(&view).is_none());
    // Scripts of packages are their own affair.
    let missing = |view: &Rootfs| check(&Below { rootfs: view, read: &no_base }, &platform).unwrap();
    assert_eq!(missing(&view), []);
    let mut script = FileTree::new();
    let entry = Entry::file(Content::inline(&b"#!/bin/none\n"[..]), 0o755, Owner::ROOT, Origin::new("copy"));
    script.insert(path("app/run"), entry).unwrap();
    view.apply(&script);
    assert!(matches!(&missing(&view)[..], [one] if one.is_fatal()));

    // From a snapshot, where the mirror has it no more.
    let date = pins.archives["debian"].replace(['-', ':'], "");
    let (gone, kept) =
        ("https://mirror.example.com/debian/pool/", format!("https://old.example.com/debian/{date}/pool/"));
    fake.at = fake.at.into_iter().map(|(address, bytes)| (address.replace(gone, &kept), bytes)).collect();
    let error = made(&layer, &pins, &empty, &fake, 2, None).unwrap_err();
    assert!(matches!(error, LayerError::File(FileError::Supply(_))), "{error}");
    fake.snapshot = Some("https://old.example.com/{archive}/{timestamp}/{path}".to_owned());
    assert_eq!(tar(&made(&layer, &pins, &empty, &fake, 2, None).unwrap().tree), tar(&one.tree));
}

#[test]
fn what_is_left_out_is_in_no_list() {
    let signer = Signer::new(32);
    let fake = world(&signer);
    let layer = written(&signer, "suites = [\"trixie\"]", "{ packages = [\"libx\", \"dpkg\"], slim = true }");
    let pins = layer.pin(&fake).unwrap();
    let exclude = |path: &TreePath| path.as_bytes().ends_with(b"copyright");
    let tree = made(&layer, &pins, &Rootfs::new(), &fake, 1, Some(&exclude)).unwrap().tree;
    assert_eq!(text(&tree, "var/lib/dpkg/info/libx:amd64.list"), "/.\n/lib\n/lib/libx.so.1\n");
    assert!(tree.get(&path("usr/lib/libx.so.1")).is_some() && tree.get(&path("usr/share/doc/libx/NEWS")).is_none());
}

fn base(files: &[(&str, &str)]) -> Rootfs {
    let mut tree = FileTree::new();
    for (at, text) in files {
        let entry = Entry::file(Content::inline(text.as_bytes()), 0o644, Owner::ROOT, Origin::new("base"));
        tree.insert(path(at), entry).unwrap();
    }
    let mut rootfs = Rootfs::new();
    rootfs.apply(&tree);
    rootfs
}

#[test]
fn a_base_keeps_what_is_its() {
    let signer = Signer::new(33);
    let fake = world(&signer);
    let layer = written(&signer, "suites = [\"trixie\"]", "[\"svc\"]");
    let pins = layer.pin(&fake).unwrap();
    // Where dpkg's database is in pieces, it stays so.
    let distroless = base(&[("var/lib/dpkg/status.d/tz", "Package: tz\nVersion: 1\nArchitecture: all\n")]);
    let tree = made(&layer, &pins, &distroless, &fake, 1, None).unwrap().tree;
    assert!(tree.get(&path("var/lib/dpkg/status.d/svc")).is_some() && tree.get(&path("var/lib/dpkg/status")).is_none());
    // A file of another package is not taken over.
    let status = "Package: old\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n";
    let taken = base(&[
        ("var/lib/dpkg/status", status),
        ("var/lib/dpkg/info/old.list", "/.\n/usr\n/usr/sbin\n/usr/sbin/svc\n"),
        ("usr/sbin/svc", "old"),
    ]);
    let error = told(&made(&layer, &pins, &taken, &fake, 1, None).unwrap_err());
    assert!(error.contains("old of the base") && error.contains("/usr/sbin/svc"), "{error}");
    // The number of an account that something else has by now.
    let pins = DebianPins { accounts: [("svc".to_owned(), 100)].into(), ..pins };
    let number = base(&[("etc/passwd", "x:x:100:100::/:/\n"), ("etc/group", "x:x:100:\n")]);
    let error = made(&layer, &pins, &number, &fake, 1, None).unwrap_err();
    assert!(matches!(error, LayerError::Account { pinned: 100, .. }), "{error}");
}

#[test]
fn only_the_packages_that_are_pinned_are_taken() {
    let signer = Signer::new(34);
    let mut fake = Fake::default();
    TestSuite::new("debian", "trixie").publish(&mut fake, &signer, &[simple("aa", "1", "")]);
    let layer = written(&signer, "suites = [\"trixie\"]", "[\"aa\", \"own.deb\"]");
    put(layer.context.path(), "own.deb", &simple("own", "1", ""));
    let pins = layer.pin(&fake).unwrap();
    let make = |pins: &DebianPins| made(&layer, pins, &Rootfs::new(), &fake, 2, None).map(|made| tar(&made.tree));
    let tree = make(&pins).unwrap();
    let edited = |edit: &dyn Fn(&mut DebianPins)| {
        let mut pins = pins.clone();
        edit(&mut pins);
        told(&make(&pins).unwrap_err())
    };
    let text = edited(&|pins| pins.packages[0].version = "2".to_owned());
    assert!(text.contains("the package is aa 1 (amd64), and the index announced aa 2 (amd64)"), "{text}");
    let text = edited(&|pins| pins.packages[0].architecture = "arm64".to_owned());
    assert!(text.contains("the package aa 1 is for arm64"), "{text}");
    let text = edited(&|pins| pins.platform = "linux/arm64".to_owned());
    assert!(text.contains("for linux/arm64 cannot be put into an image for linux/amd64"), "{text}");
    let text = edited(&|pins| pins.packages[0].sha256 = Digest::of(b"other"));
    assert!(text.contains("aa_1_amd64.deb"), "{text}");
    assert_eq!(make(&pins).unwrap(), tree);
    put(layer.context.path(), "own.deb", &simple("own", "2", ""));
    let text = told(&make(&pins).unwrap_err());
    assert!(text.contains("own.deb") && text.contains("lock again"), "{text}");
    layer.pin_on(&Rootfs::new(), &fake, Some(&pins), &Update::Nothing).unwrap();
}
