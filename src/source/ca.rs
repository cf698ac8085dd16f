//! Certificates of a company's own authorities (`ca`): put beside those that an image has, and into its bundle.
//!
//! Each certificate becomes `/usr/local/share/ca-certificates/NAME.crt`, where the tools of Debian and Alpine look for it,
//! and is added to every bundle that the image has; without one, Debian's is made. Nothing is executed.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;

use crate::debian::effects::ca_certificates::{self, name_hash};
use crate::debian::staging::{Below, Staging, StagingError};
use crate::host::open_regular;
use crate::recipe::FilePath;
use crate::shown::Shown;
use crate::tree::{FileTree, Node, NodeKind, Origin, Owner, TreePath};

/// The most bytes of a file of certificates: all of the web's authorities together have 230 KiB.
const MAX_FILE: u64 = 4 << 20;

/// Where Debian, Alpine and distroless images have their bundle.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// All places where images have bundles; several may be the same file.
const BUNDLES: [&str; 5] = [
    BUNDLE,
    "etc/ssl/cert.pem",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// Where tools look for what an administrator adds: Debian's and Alpine's, then Red Hat's where it is there.
const LOCAL: &str = "usr/local/share/ca-certificates";
const ANCHORS: &str = "etc/pki/ca-trust/source/anchors";

/// Why certificates cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The file cannot be read.
    #[error("reading {path}")]
    Read {
        /// As the recipe says it.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file holds no certificate.
    #[error("{path} is no certificate: {found}; expected PEM (`-----BEGIN CERTIFICATE-----`) or DER")]
    NoCertificate {
        /// As the recipe says it.
        path: String,
        /// What it is.
        found: String,
    },
    /// The file holds a secret.
    #[error("{path} holds a private key, which has no place in an image: name a file with certificates alone")]
    PrivateKey {
        /// As the recipe says it.
        path: String,
    },
    /// Two files of one name.
    #[error("{first} and {second} would both become {name}: give one of the files another name")]
    Name {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// What they become.
        name: String,
    },
    /// The image does not take them.
    #[error("adding certificates to the image")]
    Staging(#[from] StagingError),
}

/// One certificate: the name of its file, and its bytes as DER.
struct Certificate {
    name: String,
    der: Vec<u8>,
}

/// The certificates of files of the recipe, added to what is below. What the tree has takes the place of what other
/// sources of the same layer have at those paths; `below` is then to be the view with those.
///
/// # Errors
/// [`CaError`].
pub fn certificates(paths: &[FilePath], context: &Path, below: &Below<'_>) -> Result<FileTree, CaError> {
    let mut certificates: BTreeMap<String, (Vec<u8>, &FilePath)> = BTreeMap::new();
    for path in paths {
        for Certificate { name, der } in read(path, context)? {
            match certificates.get(&name) {
                Some((there, first)) if *there != der => {
                    return Err(CaError::Name { first: first.to_string(), second: path.to_string(), name });
                }
                _ => _ = certificates.insert(name, (der, path)),
            }
        }
    }
    let certificates: BTreeMap<String, Vec<u8>> =
        certificates.into_iter().map(|(name, (der, _))| (name, der)).collect();
    let mut staging = Staging::on(below);
    let origin = Origin::new("ca");
    let anchors = staging.exists(ANCHORS);
    for (name, der) in &certificates {
        for directory in [Some(LOCAL), anchors.then_some(ANCHORS)].into_iter().flatten() {
            staging.directory(directory, 0o755, Owner::ROOT, &origin)?;
            staging.file(&format!("{directory}/{name}"), pem_of(der), 0o644, Owner::ROOT, &origin)?;
        }
    }
    // What this build put together is made anew, as Debian's own tool would; a base's bundle is added to.
    let own = match file(&staging, BUNDLE)? {
        Some((_, Node { kind: NodeKind::File(located), .. })) => located.is_own(),
        _ => false,
    };
    if own && staging.exists("usr/share/ca-certificates") {
        ca_certificates::apply(&mut staging)?;
    } else {
        append(&mut staging, &certificates, &origin)?;
    }
    Ok(staging.into_tree(below.rootfs)?)
}

/// The file at a path, links followed.
fn file(staging: &Staging<'_>, path: &str) -> Result<Option<(TreePath, Node)>, StagingError> {
    let path = TreePath::parse(path)?;
    Ok(staging.view().file(&path).ok().flatten().map(|(path, node, _)| (path, node.clone())))
}

/// Adds certificates to the bundles that the image has; to a new one, where it has none.
fn append(
    staging: &mut Staging<'_>,
    certificates: &BTreeMap<String, Vec<u8>>,
    origin: &Origin,
) -> Result<(), StagingError> {
    let mut bundles: BTreeMap<TreePath, Node> = BTreeMap::new();
    for path in BUNDLES {
        bundles.extend(file(staging, path)?);
    }
    let directory = staging.exists("etc/ssl/certs");
    if bundles.is_empty() {
        staging.directory("etc/ssl/certs", 0o755, Owner::ROOT, origin)?;
        let bundle: Vec<u8> = certificates.values().flat_map(|der| pem_of(der).into_bytes()).collect();
        staging.file(BUNDLE, bundle, 0o644, Owner::ROOT, origin)?;
    }
    for (path, node) in bundles {
        let NodeKind::File(located) = &node.kind else { continue };
        let mut bundle = staging.read_located(&path, located)?;
        let there = blocks(&String::from_utf8_lossy(&bundle));
        for der in certificates.values().filter(|der| !there.iter().any(|(_, other)| other.as_ref() == Some(*der))) {
            if !bundle.is_empty() && !bundle.ends_with(b"\n") {
                bundle.push(b'\n');
            }
            bundle.extend_from_slice(pem_of(der).as_bytes());
        }
        let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
        staging.file(&path, bundle, node.mode, node.owner, origin)?;
    }
    // OpenSSL also looks certificates up one by one, where an image has them so.
    if directory {
        for (name, der) in certificates {
            ca_certificates::link(staging, &format!("/{LOCAL}/{name}"), der, origin)?;
        }
    }
    Ok(())
}

/// The certificates of a file.
fn read(path: &FilePath, context: &Path) -> Result<Vec<Certificate>, CaError> {
    let failed = |source| CaError::Read { path: path.to_string(), source };
    let wrong = |found: String| CaError::NoCertificate { path: path.to_string(), found };
    let mut bytes = Vec::new();
    let file = open_regular(&path.in_context(context)).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong("it has more than 4 MiB".to_owned()));
    }
    let ders = if bytes.first() == Some(&0x30) {
        match is_certificate(&bytes) {
            true => vec![bytes],
            false => return Err(wrong("it is DER of another kind (a key, a request, PKCS #7 or #12)".to_owned())),
        }
    } else {
        let text = String::from_utf8_lossy(&bytes);
        let blocks = blocks(&text);
        if blocks.iter().any(|(kind, _)| kind.contains("PRIVATE KEY")) {
            return Err(CaError::PrivateKey { path: path.to_string() });
        }
        let mut ders = Vec::new();
        for (number, (kind, der)) in blocks.into_iter().enumerate() {
            let number = number + 1;
            match (kind.as_str(), der) {
                ("CERTIFICATE" | "X509 CERTIFICATE", Some(der)) if is_certificate(&der) => ders.push(der),
                ("CERTIFICATE" | "X509 CERTIFICATE", _) => {
                    return Err(wrong(format!("its block {number} is damaged")));
                }
                (kind, _) => return Err(wrong(format!("its block {number} is a {}", Shown::new(kind.as_bytes())))),
            }
        }
        if ders.is_empty() {
            let start = text.trim_start().chars().take(40).collect::<String>();
            return Err(wrong(match start.is_empty() {
                true => "it is empty".to_owned(),
                false => format!("it starts with {}", Shown::new(start.as_bytes())),
            }));
        }
        ders
    };
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let stem = [".pem", ".crt", ".cer", ".der"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let stem: String = stem.chars().map(|c| if c.is_control() || c.is_whitespace() { '_' } else { c }).collect();
    let stem = if stem.is_empty() || stem.starts_with('.') { format!("ca{stem}") } else { stem };
    let several = ders.len() > 1;
    let name = |number: usize| if several { format!("{stem}-{}.crt", number + 1) } else { format!("{stem}.crt") };
    Ok(ders.into_iter().enumerate().map(|(number, der)| Certificate { name: name(number), der }).collect())
}

/// The blocks of a PEM text: what each is called, and its bytes where they can be read.
fn blocks(text: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((kind, body)) = after.split_once("-----") else { break };
        let end = format!("-----END {kind}-----");
        let Some((body, next)) = body.split_once(&end) else {
            found.push((kind.chars().take(60).collect(), None));
            break;
        };
        let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        found.push((kind.to_owned(), base64::engine::general_purpose::STANDARD.decode(body).ok()));
        rest = next;
    }
    found
}

/// Whether the bytes are one certificate and nothing else, as far as its outer parts tell.
fn is_certificate(der: &[u8]) -> bool {
    name_hash(der).is_some() && ca_certificates::is_whole(der)
}

/// A certificate as PEM, in the one form that OpenSSL writes.
fn pem_of(der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (number, c) in body.chars().enumerate() {
        if number > 0 && number % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text.push_str("\n-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::debian::effects::ca_certificates::tests::certificate_of;
    use crate::recipe::path::FromText;
    use crate::tree::{Entry, Kind, Rootfs};

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn base(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> Rootfs {
        let mut tree = FileTree::new();
        let origin = || Origin::new("base");
        for (at, bytes) in files {
            let entry = Entry::file(Content::inline(*bytes), 0o640, Owner::new(0, 7), origin());
            tree.insert(path(at), entry).unwrap();
        }
        for (at, target) in links {
            tree.insert(path(at), Entry::symlink(target.as_bytes(), Owner::ROOT, origin())).unwrap();
        }
        let mut rootfs = Rootfs::new();
        rootfs.apply(&tree);
        rootfs
    }

    fn run(files: &[(&str, Vec<u8>)], rootfs: &Rootfs) -> Result<FileTree, CaError> {
        let context = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (name, bytes) in files {
            let place = context.path().join(name);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, bytes).unwrap();
            paths.push(FilePath::from_text(name).unwrap());
        }
        let read = |_: usize, _: u64, _: u64| Err(io::Error::other("there is no base"));
        certificates(&paths, context.path(), &Below { rootfs, read: &read })
    }

    fn listing(tree: &FileTree) -> String {
        let mut text = String::new();
        for (path, entry) in tree.iter() {
            let what = match &entry.kind {
                Kind::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
                Kind::File(content) => format!(" {:04o} {} {}", entry.mode, entry.owner, content.len()),
                _ => "/".to_owned(),
            };
            text.push_str(&format!("{}{what}\n", String::from_utf8_lossy(path.as_bytes())));
        }
        text
    }

    fn file_text(tree: &FileTree, at: &str) -> String {
        match tree.get(&path(at)).map(|entry| &entry.kind) {
            Some(Kind::File(content)) => String::from_utf8(content.read_all(1 << 20).unwrap()).unwrap(),
            other => panic!("{at}: {other:?}"),
        }
    }

    #[test]
    fn without_a_bundle_one_is_made() {
        let (a, b) = (certificate_of("A", 1), certificate_of("B", 2));
        let both = format!("# a comment\r\n{}\n{}", pem_of(&a).replace('\n', "\r\n"), pem_of(&b));
        let files = [("certs/company.pem", both.into_bytes()), ("one.der", certificate_of("C", 3))];
        let tree = run(&files, &Rootfs::new()).unwrap();
        let names: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
        assert!(names.contains(&"/usr/local/share/ca-certificates/company-2.crt".to_owned()), "{names:?}");
        let bundle = file_text(&tree, BUNDLE);
        assert_eq!(bundle, format!("{}{}{}", pem_of(&a), pem_of(&b), pem_of(&certificate_of("C", 3))));
        assert_eq!(file_text(&tree, "usr/local/share/ca-certificates/one.crt"), pem_of(&certificate_of("C", 3)));
    }

    #[test]
    fn bundles_that_are_there_are_added_to_once() {
        let (old, new) = (certificate_of("Old", 1), certificate_of("New", 2));
        // Alpine: one bundle under two names, and links by hash; the last line has no end.
        let there = pem_of(&old).trim_end().to_owned();
        let rootfs = base(
            &[(BUNDLE, there.as_bytes())],
            &[("etc/ssl/cert.pem", "certs/ca-certificates.crt"), ("etc/ssl/certs/x.0", "y")],
        );
        let tree = run(&[("new.crt", pem_of(&new).into_bytes())], &rootfs).unwrap();
        assert_eq!(file_text(&tree, BUNDLE), format!("{}{}", pem_of(&old), pem_of(&new)));
        let hash = name_hash(&new).unwrap();
        let text =
            listing(&tree).replace(&format!("{hash:08x}"), "HASH").replace(&format!(" {}", pem_of(&new).len()), " N");
        insta::assert_snapshot!(text, @r"
        etc/ssl/certs/ca-certificates.crt 0640 0:7 206
        etc/ssl/certs/HASH.0 -> new.pem
        etc/ssl/certs/new.pem -> /usr/local/share/ca-certificates/new.crt
        usr/
        usr/local/
        usr/local/share/
        usr/local/share/ca-certificates/
        usr/local/share/ca-certificates/new.crt 0644 0:0 N
        ");
        // A second time, nothing is added.
        let mut view = rootfs.clone();
        view.apply(&tree);
        let again = run(&[("new.crt", pem_of(&new).into_bytes())], &view).unwrap();
        assert_eq!(file_text(&again, BUNDLE), file_text(&tree, BUNDLE));
        // Red Hat's.
        let rootfs = base(
            &[("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", b""), ("etc/pki/ca-trust/source/anchors/x", b"")],
            &[("etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")],
        );
        let tree = run(&[("new.crt", pem_of(&new).into_bytes())], &rootfs).unwrap();
        assert_eq!(file_text(&tree, "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"), pem_of(&new));
        assert_eq!(file_text(&tree, "etc/pki/ca-trust/source/anchors/new.crt"), pem_of(&new));
        assert!(tree.get(&path(BUNDLE)).is_none());
    }

    #[test]
    fn debians_bundle_is_made_as_its_own_tool_would() {
        let (old, new) = (certificate_of("Old", 1), certificate_of("New", 2));
        let shared = pem_of(&old);
        let rootfs = base(
            &[("usr/share/ca-certificates/mozilla/Old.crt", shared.as_bytes()), (BUNDLE, shared.as_bytes())],
            &[("etc/ssl/certs/Old.pem", "/usr/share/ca-certificates/mozilla/Old.crt")],
        );
        let tree = run(&[("a b.pem", pem_of(&new).into_bytes())], &rootfs).unwrap();
        assert_eq!(file_text(&tree, BUNDLE), format!("{}{}", pem_of(&old), pem_of(&new)));
        let link = tree.get(&path("etc/ssl/certs/a_b.pem")).unwrap();
        assert_eq!(link.kind, Kind::Symlink(b"/usr/local/share/ca-certificates/a_b.crt"[..].into()));
        assert!(tree.get(&path(&format!("etc/ssl/certs/{:08x}.0", name_hash(&new).unwrap()))).is_some());
    }

    #[test]
    fn what_is_no_certificate_is_refused_by_name() {
        let good = pem_of(&certificate_of("A", 1));
        let block = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
        let cases: [(&str, Vec<u8>); 10] = [
            ("empty", Vec::new()),
            ("text", b"hello".to_vec()),
            ("binary", b"PK\x03\x04".to_vec()),
            ("der", b"\x30\x03\x02\x01\x00".to_vec()),
            ("damaged", block("CERTIFICATE").into_bytes()),
            ("cut", good.as_bytes()[..good.len() - 5].to_vec()),
            ("request", block("CERTIFICATE REQUEST").into_bytes()),
            ("key", format!("{good}{}", block("PRIVATE KEY")).into_bytes()),
            ("rsa", block("RSA PRIVATE KEY").into_bytes()),
            ("long", vec![b'x'; MAX_FILE as usize + 1]),
        ];
        let told: Vec<String> = cases
            .into_iter()
            .map(|(name, bytes)| run(&[(name, bytes)], &Rootfs::new()).unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        empty is no certificate: it is empty; expected PEM (`-----BEGIN CERTIFICATE-----`) or DER
        text is no certificate: it starts with `hello`; expected PEM (`-----BEGIN CERTIFICATE-----`) or DER
        binary is no certificate: it starts with `PK\u{3}\u{4}`; expected PEM (`-----BEGIN CERTIFICATE-----`) or DER
        der is no certificate: it is DER of another kind (a key, a request, PKCS #7 or #12); expected PEM (`-----BEGIN CERTIFICATE-----`) or DER
        damaged is no certificate: its block 1 is damaged; expected PEM (`-----BEGIN CERTIFICATE-----`) or DER
        cut is no certificate: its block 1 is damaged; expected PEM (`-----BEGIN CERTIFICATE-----`) or DER
        request is no certificate: its block 1 is a `CERTIFICATE REQUEST`; expected PEM (`-----BEGIN CERTIFICATE-----`) or DER
        key holds a private key, which has no place in an image: name a file with certificates alone
        rsa holds a private key, which has no place in an image: name a file with certificates alone
        long is no certificate: it has more than 4 MiB; expected PEM (`-----BEGIN CERTIFICATE-----`) or DER
        ");
        let other = pem_of(&certificate_of("B", 2));
        let error = run(&[("a/x.pem", good.clone().into()), ("b/x.crt", other.into())], &Rootfs::new()).unwrap_err();
        assert!(error.to_string().contains("would both become x.crt"), "{error}");
        assert!(run(&[("a/x.pem", good.clone().into()), ("b/x.crt", good.into())], &Rootfs::new()).is_ok());
        let missing = certificates(
            &[FilePath::from_text("none.pem").unwrap()],
            Path::new("/nonexistent"),
            &Below { rootfs: &Rootfs::new(), read: &|_, _, _| Err(io::Error::other("x")) },
        );
        assert!(matches!(missing, Err(CaError::Read { .. })));
    }
}
