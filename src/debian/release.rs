//! `InRelease`: what a suite of an archive has, and who says so (Debian's repository format; RFC 9580, section 7).

use std::collections::BTreeMap;

use pgp::composed::CleartextSignedMessage;

use super::control::{ControlError, Stanza};
use super::decode::Compression;
use super::keyring::{Keyring, Refused};
use crate::oci::Digest;
use crate::shown::Shown;
use crate::tree::TreePath;

/// The most bytes of an `InRelease` file: unstable's has 350 KiB.
const MAX_BYTES: usize = 8 << 20;

/// The most signatures of one.
const MAX_SIGNATURES: usize = 20;

/// A text with at least one good signature.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What was signed, and nothing else.
    pub text: String,
    /// Fingerprints of the keys whose signatures are good.
    pub signers: Vec<String>,
}

/// What a `Release` file says.
#[derive(Clone, Debug)]
pub struct Release {
    /// Who makes the archive.
    pub origin: Option<String>,
    /// What it is for; security updates have one of their own.
    pub label: Option<String>,
    /// `stable`, `stable-security` …
    pub suite: Option<String>,
    /// `trixie`, `trixie-security` …
    pub codename: Option<String>,
    /// When it was made, in seconds since 1970.
    pub date: u64,
    /// Until when it may be believed.
    pub valid_until: Option<u64>,
    /// `main`, `updates/main` …
    pub components: Vec<String>,
    /// Architectures; with `all`.
    pub architectures: Vec<String>,
    /// Whether files can be had by their digests, which no update of the archive takes away in between.
    pub by_hash: bool,
    /// Whether packages of no architecture have an index of their own, and are not in every other one, too.
    pub all_apart: bool,
    /// As apt ranks its packages: 500; 100 where they are only upgraded to; 1 where they are never taken unasked.
    pub priority: i32,
    files: BTreeMap<String, (u64, Digest)>,
}

/// One file that a `Release` lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Its path, relative to the directory of the `Release`.
    pub path: String,
    /// Its path by digest, where there is one.
    pub by_hash: Option<String>,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
    /// How it is compressed.
    pub compression: Compression,
}

/// Why a `Release` is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The file is not one signed text and nothing else.
    #[error("the InRelease file is refused: {0}")]
    Frame(&'static str),
    /// The signatures cannot be read.
    #[error("the InRelease file is refused: its signatures cannot be read: {0}")]
    Signatures(String),
    /// No signature counts.
    #[error("the InRelease file is refused: no signature of it is good ({})", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unsigned(Vec<Refused>),
    /// The text is wrong.
    #[error("the Release file is wrong")]
    Control(#[from] ControlError),
    /// It is too old.
    #[error("the Release file of {suite} is no longer valid: it was until {until}, and a newer one must be had")]
    Expired {
        /// The suite.
        suite: String,
        /// The field's text.
        until: String,
    },
    /// It is from the future.
    #[error("the Release file of {suite} is dated {date}, which is in the future: is the clock right?")]
    Future {
        /// The suite.
        suite: String,
        /// The field's text.
        date: String,
    },
    /// It is another one than was asked for.
    #[error("the Release file says {field} {found}, and {expected} was asked for")]
    Another {
        /// The field.
        field: &'static str,
        /// What it says.
        found: Shown,
        /// What was expected.
        expected: String,
    },
    /// It does not list what is needed.
    #[error("the Release file of {suite} lists no package index for {component} and {architecture}")]
    NoIndex {
        /// The suite.
        suite: String,
        /// The component.
        component: String,
        /// The architecture.
        architecture: String,
    },
}

/// Checks an `InRelease` file against a keyring. `now`, in seconds since 1970, is when signatures must hold.
///
/// # Errors
/// [`ReleaseError`].
pub fn verify(in_release: &[u8], keyring: &Keyring, now: Option<u64>) -> Result<Verified, ReleaseError> {
    let text = frame(in_release)?;
    let (message, _) =
        CleartextSignedMessage::from_string(text).map_err(|error| ReleaseError::Signatures(error.to_string()))?;
    let signatures = message.signatures();
    if signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
        return Err(ReleaseError::Frame("it has no signature, or more than 20"));
    }
    // With the line ends that were signed.
    let signed = message.signed_text();
    let (mut signers, mut refused) = (Vec::new(), Vec::new());
    for signature in signatures {
        match keyring.judge(signature, signed.as_bytes(), now) {
            Ok(fingerprint) => signers.push(fingerprint),
            Err(reason) => refused.push(reason),
        }
    }
    if signers.is_empty() {
        return Err(ReleaseError::Unsigned(refused));
    }
    Ok(Verified { text: signed.replace("\r\n", "\n"), signers })
}

/// Insists that the file is one signed text from its first to its last byte, in the one form that archives write.
fn frame(bytes: &[u8]) -> Result<&str, ReleaseError> {
    let wrong = |reason| Err(ReleaseError::Frame(reason));
    if bytes.len() > MAX_BYTES {
        return wrong("it has more than 8 MiB");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return wrong("it is no UTF-8") };
    if text.contains(['\r', '\0']) {
        return wrong("it holds a carriage return or NUL");
    }
    let mut lines = text.split('\n');
    if lines.next() != Some("-----BEGIN PGP SIGNED MESSAGE-----") {
        return wrong("it does not start with a signed message");
    }
    loop {
        match lines.next() {
            Some("") => break,
            Some(line) if line.starts_with("Hash: ") => {}
            _ => return wrong("its header has a line that is not known"),
        }
    }
    loop {
        match lines.next() {
            None => return wrong("it has no signature"),
            Some("-----BEGIN PGP SIGNATURE-----") => break,
            Some(line) if line.starts_with('-') && !line.starts_with("- ") => {
                return wrong("a line of it starts with a dash that is not escaped");
            }
            Some(_) => {}
        }
    }
    loop {
        match lines.next() {
            None => return wrong("its signature is cut"),
            Some("-----END PGP SIGNATURE-----") => break,
            Some(line) if line.starts_with('-') => return wrong("its signature holds another block"),
            Some(_) => {}
        }
    }
    if lines.any(|line| !line.is_empty()) {
        return wrong("something follows its signature");
    }
    Ok(text)
}

impl Release {
    /// Reads the text of a `Release` file.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let stanza = Stanza::only(text.as_bytes())?;
        let time = |field: &'static str| match stanza.get(field) {
            None => Ok(None),
            Some(text) => parse_date(text).map(Some).ok_or_else(|| ControlError::Value {
                field,
                value: Shown::new(text.as_bytes()),
                reason: "no date such as `Sat, 11 Jul 2026 10:16:37 UTC`".to_owned(),
            }),
        };
        let words = |field| stanza.get(field).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let yes = |field| stanza.get(field).is_some_and(|value| value.trim().eq_ignore_ascii_case("yes"));
        let own = |field| stanza.get(field).map(str::to_owned);
        let mut files = BTreeMap::new();
        for line in stanza.lines("SHA256") {
            let wrong = || ControlError::Value {
                field: "SHA256",
                value: Shown::new(line.as_bytes()),
                reason: "no digest, size and path".to_owned(),
            };
            let mut parts = line.split_whitespace();
            let (Some(digest), Some(size), Some(path), None) = (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(wrong().into());
            };
            let digest: Digest = format!("sha256:{digest}").parse().map_err(|_| wrong())?;
            let size: u64 = size.parse().map_err(|_| wrong())?;
            let clean = TreePath::parse(path).is_ok_and(|clean| clean.as_bytes() == path.as_bytes());
            let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\%".contains(&byte));
            if !clean || !plain {
                return Err(wrong().into());
            }
            if files.insert(path.to_owned(), (size, digest)).is_some_and(|before| before != (size, digest)) {
                return Err(wrong().into());
            }
        }
        Ok(Release {
            origin: own("Origin"),
            label: own("Label"),
            suite: own("Suite"),
            codename: own("Codename"),
            date: time("Date")?.ok_or(ControlError::Missing("Date"))?,
            valid_until: time("Valid-Until")?,
            components: words("Components"),
            architectures: words("Architectures"),
            by_hash: yes("Acquire-By-Hash"),
            all_apart: stanza
                .get("Architectures")
                .is_some_and(|words| words.split_whitespace().any(|word| word == "all"))
                && stanza.get("No-Support-for-Architecture-all").map(str::trim) != Some("Packages"),
            priority: match (yes("NotAutomatic"), yes("ButAutomaticUpgrades")) {
                (false, _) => 500,
                (true, true) => 100,
                (true, false) => 1,
            },
            files,
        })
    }

    /// Whether this is the suite that was asked for, of the origin that was, and may be believed at `now` (seconds since
    /// 1970). A signed `Release` of another suite or archive is no better than a forged one.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn check(&self, suite: &str, origin: Option<&str>, now: Option<u64>) -> Result<(), ReleaseError> {
        if let Some(expected) = origin
            && self.origin.as_deref() != Some(expected)
        {
            return Err(self.another("Origin", self.origin.as_deref(), expected));
        }
        // `stable/updates` was how security's suites were called until Debian 10.
        let named = [self.suite.as_deref(), self.codename.as_deref()].into_iter().flatten().any(|name| name == suite);
        if !named {
            return Err(self.another("Suite", self.suite.as_deref().or(self.codename.as_deref()), suite));
        }
        let Some(now) = now else { return Ok(()) };
        if self.date > now + 24 * 3600 {
            return Err(ReleaseError::Future { suite: suite.to_owned(), date: show_date(self.date) });
        }
        if let Some(until) = self.valid_until.filter(|until| *until < now) {
            return Err(ReleaseError::Expired { suite: suite.to_owned(), until: show_date(until) });
        }
        Ok(())
    }

    fn another(&self, field: &'static str, found: Option<&str>, expected: &str) -> ReleaseError {
        ReleaseError::Another {
            field,
            found: Shown::new(found.unwrap_or("nothing").as_bytes()),
            expected: expected.to_owned(),
        }
    }

    /// The index of a component's packages for an architecture, in its best compression.
    ///
    /// # Errors
    /// [`ReleaseError`] where the archive does not have it.
    pub fn packages(&self, component: &str, architecture: &str) -> Result<IndexFile, ReleaseError> {
        let missing = || ReleaseError::NoIndex {
            suite: self.suite.clone().or_else(|| self.codename.clone()).unwrap_or_default(),
            component: component.to_owned(),
            architecture: architecture.to_owned(),
        };
        // Security's components are called `updates/main`, and lie at `main`.
        let has = |name: &String| name == component || name.rsplit('/').next() == Some(component);
        if (!self.components.is_empty() && !self.components.iter().any(has))
            || (!self.architectures.is_empty() && !self.architectures.iter().any(|name| name == architecture))
        {
            return Err(missing());
        }
        self.file(&format!("{component}/binary-{architecture}/Packages")).ok_or_else(missing)
    }

    /// A file by its plain name, in the best compression that is listed.
    pub fn file(&self, plain: &str) -> Option<IndexFile> {
        [Compression::Xz, Compression::Zstd, Compression::Gzip, Compression::Plain].into_iter().find_map(
            |compression| {
                let path = format!("{plain}{}", compression.extension());
                let (size, sha256) = *self.files.get(&path)?;
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                let slash = if directory.is_empty() { "" } else { "/" };
                let by_hash = self.by_hash.then(|| format!("{directory}{slash}by-hash/SHA256/{}", sha256.hex()));
                Some(IndexFile { path, by_hash, size, sha256, compression })
            },
        )
    }
}

/// Seconds since 1970 of a date such as `Sat, 11 Jul 2026 10:16:37 UTC`.
pub fn parse_date(text: &str) -> Option<u64> {
    let text = text.split_once(", ").map_or(text, |(_, rest)| rest);
    let mut words = text.split_whitespace();
    let day: i8 = words.next()?.parse().ok()?;
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = words.next()?;
    let month = months.iter().position(|name| *name == month)? as i8 + 1;
    let year: i16 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !matches!(words.next(), Some("UTC" | "GMT" | "UT" | "Z" | "+0000"))
        || words.next().is_some()
        || time.next().is_some()
    {
        return None;
    }
    let date = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let stamp = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    u64::try_from(stamp).ok()
}

fn show_date(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use pgp::composed::{
        EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey, SubkeyParamsBuilder,
    };
    use pgp::crypto::hash::HashAlgorithm;
    use pgp::packet::{KeyFlags, SignatureConfig, SignatureType, Subpacket, SubpacketData};
    use pgp::ser::Serialize;
    use pgp::types::{Duration, KeyDetails, Password, SigningKey, Timestamp};
    use rand::SeedableRng;

    use super::*;

    const TEXT: &str = "Origin: Test\nSuite: stable\nCodename: trixie\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
                        Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\n\
                        Components: updates/main contrib\nSHA256:\n \
                        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n \
                        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages.xz\n";

    /// What varies from key to key.
    #[derive(Clone, Copy)]
    struct Making {
        seed: u64,
        subkey_signs: bool,
    }

    const USUAL: Making = Making { seed: 1, subkey_signs: true };

    fn random(seed: u64) -> rand::rngs::StdRng {
        rand::rngs::StdRng::seed_from_u64(seed)
    }

    fn key(making: Making) -> SignedSecretKey {
        let subkey = SubkeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_sign(making.subkey_signs)
            .can_encrypt(EncryptionCaps::None)
            .can_authenticate(!making.subkey_signs)
            .build()
            .unwrap();
        SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(false)
            .can_encrypt(EncryptionCaps::None)
            .primary_user_id("Archive <archive@example.org>".into())
            .subkeys(vec![subkey])
            .build()
            .unwrap()
            .generate(random(making.seed))
            .unwrap()
    }

    fn keyring(keys: &[&SignedSecretKey]) -> Keyring {
        let bytes: Vec<u8> =
            keys.iter().flat_map(|key| SignedPublicKey::from((*key).clone()).to_bytes().unwrap()).collect();
        Keyring::parse(&bytes).unwrap()
    }

    /// When the keys of these tests are made: now, since the library asks the clock.
    pub(crate) fn now() -> u64 {
        u64::from(Timestamp::now().as_secs())
    }

    struct Signing {
        hash: HashAlgorithm,
        made: u64,
        lasts: Option<u32>,
        critical: bool,
    }

    fn usual() -> Signing {
        Signing { hash: HashAlgorithm::Sha256, made: now(), lasts: None, critical: false }
    }

    fn signed_by(text: &str, signer: &impl SigningKey, signing: &Signing) -> String {
        let mut config = SignatureConfig::from_key(random(2), signer, SignatureType::Text).unwrap();
        config.hash_alg = signing.hash;
        let time = Timestamp::from_secs(signing.made as u32);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(time)).unwrap(),
            Subpacket::regular(SubpacketData::IssuerFingerprint(signer.fingerprint())).unwrap(),
        ];
        if let Some(seconds) = signing.lasts {
            let data = SubpacketData::SignatureExpirationTime(Duration::from_secs(seconds));
            config.hashed_subpackets.push(Subpacket::regular(data).unwrap());
        }
        if signing.critical {
            let data = SubpacketData::Experimental(101, b"x"[..].into());
            config.hashed_subpackets.push(Subpacket::critical(data).unwrap());
        }
        let message = CleartextSignedMessage::new(text, config, signer, &Password::empty()).unwrap();
        message.to_armored_string(Default::default()).unwrap()
    }

    fn sign(text: &str, key: &SignedSecretKey, signing: &Signing) -> String {
        signed_by(text, &key.secret_subkeys[0].key, signing)
    }

    /// Signs archives that tests of other modules make.
    pub(crate) struct Signer(SignedSecretKey);

    impl Signer {
        pub(crate) fn new(seed: u64) -> Self {
            Signer(key(Making { seed, ..USUAL }))
        }

        pub(crate) fn keyring(&self) -> Vec<u8> {
            SignedPublicKey::from(self.0.clone()).to_bytes().unwrap()
        }

        pub(crate) fn sign(&self, text: &str) -> String {
            sign(text, &self.0, &usual())
        }
    }

    #[test]
    fn good_signatures_are_good_and_only_the_signed_text_counts() {
        let key = key(USUAL);
        let message = sign(TEXT, &key, &usual());
        let verified = verify(message.as_bytes(), &keyring(&[&key]), Some(now())).unwrap();
        assert_eq!(verified.text.trim_end(), TEXT.trim_end());
        assert_eq!(verified.signers, [format!("{:X}", key.secret_subkeys[0].key.fingerprint())]);
        // White space at the ends of lines is not signed, and is not in the text.
        let padded = message.replace("Suite: stable\n", "Suite: stable \t\n");
        assert_eq!(verify(padded.as_bytes(), &keyring(&[&key]), None).unwrap().text, verified.text);
        let other = super::tests::key(Making { seed: 7, ..USUAL });
        assert!(matches!(verify(message.as_bytes(), &keyring(&[&other]), None), Err(ReleaseError::Unsigned(_))));
        assert!(verify(message.as_bytes(), &keyring(&[&other, &key]), None).is_ok());
    }

    #[test]
    fn bytes_around_or_inside_are_refused() {
        let key = key(USUAL);
        let keyring = keyring(&[&key]);
        let message = sign(TEXT, &key, &usual());
        let cases: [(&str, String); 14] = [
            ("before", format!("Origin: Evil\n{message}")),
            ("blank line before", format!("\n{message}")),
            ("after", format!("{message}Origin: Evil\n")),
            ("twice", format!("{message}{message}")),
            ("changed", message.replace("stable", "unstable")),
            ("line added", message.replace("Suite:", "X: y\nSuite:")),
            ("line taken", message.replace("Suite: stable\n", "")),
            ("header", message.replacen("Hash: ", "Comment: x\nHash: ", 1)),
            ("text in the header", message.replacen("\n\n", "\nOrigin: Evil\n\n", 1)),
            ("dash", message.replace("Suite: stable", "-Suite: stable")),
            ("carriage return", message.replace('\n', "\r\n")),
            ("unsigned", TEXT.to_owned()),
            ("no signature", message.split("-----BEGIN PGP SIGNATURE").next().unwrap().to_owned()),
            ("cut", message[..message.len() - 30].to_owned()),
        ];
        for (what, bad) in cases {
            assert!(verify(bad.as_bytes(), &keyring, None).is_err(), "{what}");
        }
        assert!(verify(&vec![b'x'; MAX_BYTES + 1], &keyring, None).is_err());
    }

    #[track_caller]
    fn refused(message: &str, keyring: &Keyring, now: Option<u64>, why: &str) {
        match verify(message.as_bytes(), keyring, now) {
            Err(error) => assert!(error.to_string().contains(why), "{error}"),
            Ok(_) => panic!("taken, though {why}"),
        }
    }

    #[test]
    fn a_good_signature_must_also_be_a_fit_one() {
        let key = key(USUAL);
        let ring = keyring(&[&key]);
        let now = now();
        for hash in [HashAlgorithm::Sha1, HashAlgorithm::Md5, HashAlgorithm::Ripemd160, HashAlgorithm::Sha224] {
            // The library may refuse to make one, too.
            let made = std::panic::catch_unwind(|| sign(TEXT, &key, &Signing { hash, ..usual() }));
            if let Ok(message) = made {
                refused(&message, &ring, Some(now), "not good enough");
            }
        }
        let future = sign(TEXT, &key, &Signing { made: now + 7200, ..usual() });
        refused(&future, &ring, Some(now), "made in the future");
        assert!(verify(future.as_bytes(), &ring, None).is_ok());
        let short = sign(TEXT, &key, &Signing { lasts: Some(60), ..usual() });
        refused(&short, &ring, Some(now + 3600), "expired");
        assert!(verify(short.as_bytes(), &ring, Some(now)).is_ok());
        refused(&sign(TEXT, &key, &Signing { critical: true, ..usual() }), &ring, Some(now), "not understood");
        refused(&sign(TEXT, &key, &Signing { made: now - 86_400, ..usual() }), &ring, Some(now), "older than its key");
        // The primary key certifies and does not sign.
        refused(&signed_by(TEXT, &key.primary_key, &usual()), &ring, Some(now), "not for signing");
        let idle = super::tests::key(Making { subkey_signs: false, seed: 3 });
        refused(&sign(TEXT, &idle, &usual()), &keyring(&[&idle]), Some(now), "not for signing");
    }

    #[test]
    fn a_subkey_must_belong_to_the_certificate() {
        let (key, other) = (key(USUAL), key(Making { seed: 9, ..USUAL }));
        let message = sign(TEXT, &other, &usual());
        // The attacker's subkey under the archive's certificate, with the attacker's binding.
        let mut forged = SignedPublicKey::from(key.clone());
        forged.public_subkeys = SignedPublicKey::from(other.clone()).public_subkeys;
        let ring = Keyring::parse(&forged.to_bytes().unwrap()).unwrap();
        refused(&message, &ring, Some(now()), "not bound");
        // A certificate whose word on itself is another's.
        let mut forged = SignedPublicKey::from(key.clone());
        forged.details = SignedPublicKey::from(other).details;
        let ring = Keyring::parse(&forged.to_bytes().unwrap()).unwrap();
        refused(&sign(TEXT, &key, &usual()), &ring, Some(now()), "no good signature of its own");
        // A binding by the right certificate, without the subkey's agreement.
        let public = SignedPublicKey::from(key.clone());
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let mut config = SignatureConfig::from_key(random(4), &key.primary_key, SignatureType::SubkeyBinding).unwrap();
        config.hashed_subpackets = [
            SubpacketData::SignatureCreationTime(Timestamp::from_secs(now() as u32)),
            SubpacketData::IssuerFingerprint(key.primary_key.fingerprint()),
            SubpacketData::KeyFlags(flags),
        ]
        .map(|data| Subpacket::regular(data).unwrap())
        .to_vec();
        let binding = config
            .sign_subkey_binding(
                &key.primary_key,
                &public.primary_key,
                &Password::empty(),
                &public.public_subkeys[0].key,
            )
            .unwrap();
        let mut forged = public;
        forged.public_subkeys[0].signatures = vec![binding];
        let ring = Keyring::parse(&forged.to_bytes().unwrap()).unwrap();
        refused(&sign(TEXT, &key, &usual()), &ring, Some(now()), "did not agree");
    }

    #[test]
    fn revoked_and_expired_keys_sign_nothing() {
        let key = key(USUAL);
        let message = sign(TEXT, &key, &usual());
        let time = |seconds| SubpacketData::SignatureCreationTime(Timestamp::from_secs(seconds as u32));
        let config = |typ, more: Vec<SubpacketData>| {
            let mut config = SignatureConfig::from_key(random(4), &key.primary_key, typ).unwrap();
            config.hashed_subpackets = [time(now()), SubpacketData::IssuerFingerprint(key.primary_key.fingerprint())]
                .into_iter()
                .chain(more)
                .map(|data| Subpacket::regular(data).unwrap())
                .collect();
            config
        };
        let public = SignedPublicKey::from(key.clone());
        let subkey = public.public_subkeys[0].key.clone();

        let revocation = config(SignatureType::KeyRevocation, vec![])
            .sign_key(&key.primary_key, &Password::empty(), &public.primary_key)
            .unwrap();
        let mut revoked = public.clone();
        revoked.details.revocation_signatures.push(revocation.clone());
        let ring = Keyring::parse(&revoked.to_bytes().unwrap()).unwrap();
        refused(&message, &ring, Some(now()), "revoked");
        // Another key's revocation is nothing to this one.
        let mut stranger = SignedPublicKey::from(super::tests::key(Making { seed: 5, ..USUAL }));
        stranger.details.revocation_signatures.push(revocation);
        assert!(Keyring::parse(&stranger.to_bytes().unwrap()).is_ok());

        let revocation = config(SignatureType::SubkeyRevocation, vec![])
            .sign_subkey_binding(&key.primary_key, &public.primary_key, &Password::empty(), &subkey)
            .unwrap();
        let mut revoked = public.clone();
        revoked.public_subkeys[0].signatures.push(revocation);
        let ring = Keyring::parse(&revoked.to_bytes().unwrap()).unwrap();
        refused(&message, &ring, Some(now()), "revoked");

        // A newer word of the certificate says that it ended a day after it began.
        let user = &public.details.users[0];
        let ended =
            config(SignatureType::CertPositive, vec![SubpacketData::KeyExpirationTime(Duration::from_secs(86_400))])
                .sign_certification(
                    &key.primary_key,
                    &public.primary_key,
                    &Password::empty(),
                    pgp::types::Tag::UserId,
                    &user.id,
                )
                .unwrap();
        let mut expired = public.clone();
        expired.details.users[0].signatures = vec![ended];
        let ring = Keyring::parse(&expired.to_bytes().unwrap()).unwrap();
        assert!(verify(message.as_bytes(), &ring, Some(now())).is_ok());
        refused(&message, &ring, Some(now() + 2 * 86_400), "expired");
    }

    #[test]
    fn releases_are_read_and_checked() {
        let release = Release::parse(TEXT).unwrap();
        let date = parse_date("Sat, 11 Jul 2026 10:16:37 UTC").unwrap();
        assert_eq!((release.date, release.by_hash, release.priority), (date, true, 500));
        let index = release.packages("main", "amd64").unwrap();
        assert_eq!((index.path.as_str(), index.compression), ("main/binary-amd64/Packages.xz", Compression::Xz));
        assert!(index.by_hash.unwrap().starts_with("main/binary-amd64/by-hash/SHA256/e3b0"));
        assert!(release.packages("main", "arm64").is_err());
        assert!(release.packages("non-free", "amd64").is_err());
        for (suite, origin, now, fine) in [
            ("stable", Some("Test"), Some(date), true),
            ("trixie", None, Some(date + 7 * 86_400), true),
            ("trixie", None, Some(date + 8 * 86_400), false),
            ("trixie", None, Some(date - 2 * 86_400), false),
            ("trixie", None, None, true),
            ("bookworm", None, None, false),
            ("trixie", Some("Debian"), None, false),
        ] {
            assert_eq!(release.check(suite, origin, now).is_ok(), fine, "{suite} {origin:?} {now:?}");
        }
        assert_eq!(
            Release::parse(&format!("{TEXT}NotAutomatic: yes\nButAutomaticUpgrades: yes\n")).unwrap().priority,
            100
        );
        let sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (from, to) in [
            ("main/binary-amd64/Packages.xz", "../x"),
            ("main/binary-amd64/Packages.xz", "/x"),
            ("main/binary-amd64/Packages.xz", "x?y"),
            (" 0 main", " -1 main"),
            (sum, "e3b0"),
            ("Date: Sat", "X: Sat"),
            ("Sat, 11 Jul 2026", "yesterday"),
        ] {
            assert!(Release::parse(&TEXT.replace(from, to)).is_err(), "{to}");
        }
    }
}
