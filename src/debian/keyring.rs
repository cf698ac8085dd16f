//! Keys that archives are signed with, and what a good signature of theirs is (RFC 9580, 5.2 and 6.2).
//!
//! The cryptography is the `pgp` crate's. What it leaves to its caller is decided here: which hashes and algorithms count,
//! that a signing key was bound to its certificate by that certificate and agreed to it, that neither is revoked or past
//! its end, and that a signature is neither from the future nor expired.

use std::io::Cursor;

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

/// How far a clock may be behind the signer's, in seconds.
const SKEW: u64 = 600;

/// The most bytes of a keyring, and the most certificates in it.
const MAX_BYTES: usize = 8 << 20;
const MAX_CERTIFICATES: usize = 1000;

/// Debian's own; see `keys/README.md`.
const DEBIAN: &[u8] = include_bytes!("keys/debian-archive.gpg");

/// Public keys that are trusted to sign an archive.
#[derive(Clone, Debug)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

/// Why a keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It is none.
    #[error("the keyring cannot be read: {0}")]
    Read(String),
    /// There is no key in it.
    #[error("the keyring has no key in it")]
    Empty,
}

/// Why one signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No key of the keyring made it.
    #[error("made by {0}, which is not in the keyring")]
    Unknown(String),
    /// It, or something that it stands on, is not good enough.
    #[error("made by {key}: {reason}")]
    Bad {
        /// Fingerprint of the key.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// It cannot be judged at all.
    #[error("{0}")]
    Form(&'static str),
}

/// A key of a certificate, judged at some time.
struct Judged {
    fingerprint: String,
    reason: Option<&'static str>,
}

impl Keyring {
    /// Debian's archive keys.
    ///
    /// # Errors
    /// Never, as a test holds; but what is embedded is read like anything else.
    pub fn debian() -> Result<Self, KeyringError> {
        Self::parse(DEBIAN)
    }

    /// Reads a keyring, binary or armoured; several armoured blocks may follow each other.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyringError> {
        if bytes.len() > MAX_BYTES {
            return Err(KeyringError::Read("it has more than 8 MiB".to_owned()));
        }
        let mut certificates = Vec::new();
        let mut add = |block: &[u8]| -> Result<(), KeyringError> {
            let wrong = |error: pgp::errors::Error| KeyringError::Read(error.to_string());
            let (keys, _) = SignedPublicKey::from_reader_many(Cursor::new(block)).map_err(wrong)?;
            for key in keys {
                certificates.push(key.map_err(wrong)?);
                if certificates.len() > MAX_CERTIFICATES {
                    return Err(KeyringError::Read(format!("it has more than {MAX_CERTIFICATES} certificates")));
                }
            }
            Ok(())
        };
        const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(BEGIN) => {
                for block in text.split(BEGIN).skip(1) {
                    add(format!("{BEGIN}{block}").as_bytes())?;
                }
            }
            _ => add(bytes)?,
        }
        match certificates.is_empty() {
            true => Err(KeyringError::Empty),
            false => Ok(Keyring { certificates }),
        }
    }

    /// The fingerprints of its certificates, in hexadecimal.
    pub fn fingerprints(&self) -> impl Iterator<Item = String> + '_ {
        self.certificates.iter().map(|certificate| format!("{:X}", certificate.fingerprint()))
    }

    /// Judges one signature over a text. `now`, in seconds since 1970, is when it must hold; without it, it must have held
    /// when it was made. Gives the fingerprint of the key that made it.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn judge(&self, signature: &Signature, text: &[u8], now: Option<u64>) -> Result<String, Refused> {
        if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
            return Err(Refused::Form("it is no signature of a text"));
        }
        let made = made(signature).ok_or(Refused::Form("it does not say when it was made"))?;
        let mut unknown: Vec<String> =
            signature.issuer_fingerprint().iter().map(|fingerprint| format!("{fingerprint:X}")).collect();
        unknown.extend(signature.issuer_key_id().iter().map(|id| id.to_string()));
        let mut failed = None;
        for certificate in &self.certificates {
            let primary = std::iter::once(None);
            for subkey in primary.chain(certificate.public_subkeys.iter().map(Some)) {
                let good = match subkey {
                    None => signature.verify(&certificate.primary_key, text),
                    Some(subkey) => signature.verify(&subkey.key, text),
                };
                if good.is_err() {
                    if claims(signature, certificate, subkey) {
                        let key = fingerprint(certificate, subkey);
                        failed.get_or_insert(Refused::Bad { key, reason: "it does not fit the text" });
                    }
                    continue;
                }
                let judged = judge_key(certificate, subkey, made, now);
                let reason = weak(signature).or_else(|| expired(signature, made, now)).or(judged.reason);
                match reason {
                    None => return Ok(judged.fingerprint),
                    Some(reason) => failed = Some(Refused::Bad { key: judged.fingerprint, reason }),
                }
            }
        }
        Err(failed.unwrap_or_else(|| {
            Refused::Unknown(unknown.into_iter().next().unwrap_or_else(|| "an unnamed key".to_owned()))
        }))
    }
}

fn fingerprint(certificate: &SignedPublicKey, subkey: Option<&SignedPublicSubKey>) -> String {
    match subkey {
        None => format!("{:X}", certificate.fingerprint()),
        Some(subkey) => format!("{:X}", subkey.key.fingerprint()),
    }
}

/// Whether a signature says that this key made it.
fn claims(signature: &Signature, certificate: &SignedPublicKey, subkey: Option<&SignedPublicSubKey>) -> bool {
    let (id, fingerprint) = match subkey {
        None => (certificate.legacy_key_id(), certificate.fingerprint()),
        Some(subkey) => (subkey.key.legacy_key_id(), subkey.key.fingerprint()),
    };
    signature.issuer_key_id().iter().any(|issuer| **issuer == id)
        || signature.issuer_fingerprint().iter().any(|issuer| **issuer == fingerprint)
}

/// When a signature was made, in seconds since 1970.
fn made(signature: &Signature) -> Option<u64> {
    signature.created().map(|created| u64::from(created.as_secs()))
}

/// What makes a signature worth nothing, whoever made it.
fn weak(signature: &Signature) -> Option<&'static str> {
    let Some(config) = signature.config() else { return Some("its form is not known") };
    if !matches!(
        config.hash_alg,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    ) {
        return Some("its hash (such as MD5 or SHA-1) is not good enough");
    }
    let unknown = |data: &SubpacketData| {
        matches!(data, SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(_))
    };
    if config.hashed_subpackets().any(|packet| packet.is_critical && unknown(&packet.data)) {
        return Some("it has a condition that is not understood");
    }
    None
}

/// Whether a signature is from the future or past its own end.
fn expired(signature: &Signature, made: u64, now: Option<u64>) -> Option<&'static str> {
    let now = now?;
    if made > now + SKEW {
        return Some("it was made in the future");
    }
    let end =
        signature.signature_expiration_time().map(|length| u64::from(length.as_secs())).filter(|length| *length > 0);
    if end.is_some_and(|length| made.saturating_add(length) <= now) {
        return Some("it has expired");
    }
    None
}

/// Whether a key may have signed at a time, and may still be believed now.
fn judge_key(
    certificate: &SignedPublicKey,
    subkey: Option<&SignedPublicSubKey>,
    made: u64,
    now: Option<u64>,
) -> Judged {
    let primary = &certificate.primary_key;
    let fingerprint = fingerprint(certificate, subkey);
    let refuse = |reason| Judged { fingerprint: fingerprint.clone(), reason: Some(reason) };
    let public = match subkey {
        None => (primary.algorithm(), bits(primary)),
        Some(subkey) => (subkey.key.algorithm(), bits(&subkey.key)),
    };
    for (algorithm, bits) in [(primary.algorithm(), bits(primary)), public] {
        match algorithm {
            PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSASign => {
                if bits < 2048 {
                    return refuse("its RSA key has less than 2048 bits");
                }
            }
            PublicKeyAlgorithm::ECDSA
            | PublicKeyAlgorithm::EdDSALegacy
            | PublicKeyAlgorithm::Ed25519
            | PublicKeyAlgorithm::Ed448 => {}
            _ => return refuse("its algorithm is not good enough"),
        }
    }
    // Whoever could revoke it did so for a reason: what was signed before is not believed either.
    if certificate.details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return refuse("its key is revoked");
    }
    let Some(own) = self_signature(certificate, now) else {
        return refuse("its key has no good signature of its own");
    };
    let times = [Some(made), now];
    let over = |created: u64, length: Option<u64>| {
        times.into_iter().flatten().any(|time| length.is_some_and(|length| created.saturating_add(length) <= time))
    };
    let length = |signature: &Signature| {
        signature.key_expiration_time().map(|length| u64::from(length.as_secs())).filter(|length| *length > 0)
    };
    let created = u64::from(primary.created_at().as_secs());
    if over(created, length(own)) {
        return refuse("its key has expired");
    }
    let Some(subkey) = subkey else {
        return match own.key_flags().sign() {
            true if made + SKEW < created => refuse("it is older than its key"),
            true => Judged { fingerprint, reason: None },
            false => refuse("its key is not for signing"),
        };
    };
    let revoked = subkey.signatures.iter().any(|signature| {
        signature.typ() == Some(SignatureType::SubkeyRevocation)
            && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
    });
    if revoked {
        return refuse("its key is revoked");
    }
    let binding = subkey
        .signatures
        .iter()
        .filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding))
        .filter(|signature| usable(signature, now) && signature.verify_subkey_binding(primary, &subkey.key).is_ok())
        .max_by_key(|signature| self::made(signature));
    let Some(binding) = binding else { return refuse("its key is not bound to a certificate") };
    if !binding.key_flags().sign() {
        return refuse("its key is not for signing");
    }
    let agreed = binding
        .embedded_signature()
        .is_some_and(|back| weak(back).is_none() && back.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if !agreed {
        return refuse("its key did not agree to be bound to its certificate");
    }
    let created = u64::from(subkey.key.created_at().as_secs());
    if over(created, length(binding)) {
        return refuse("its key has expired");
    }
    if made + SKEW < created {
        return refuse("it is older than its key");
    }
    Judged { fingerprint, reason: None }
}

/// Whether a signature on a key may count now.
fn usable(signature: &Signature, now: Option<u64>) -> bool {
    weak(signature).is_none() && made(signature).is_some_and(|made| expired(signature, made, now).is_none())
}

/// The newest good word of a certificate on itself: a direct signature, or one on a user id that it has not taken back.
fn self_signature(certificate: &SignedPublicKey, now: Option<u64>) -> Option<&Signature> {
    let primary = &certificate.primary_key;
    let direct = certificate.details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok());
    let users = certificate.details.users.iter().flat_map(|user| {
        let good = |signature: &&Signature| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok();
        let own = |signature: &&Signature| {
            matches!(
                signature.typ(),
                Some(
                    SignatureType::CertGeneric
                        | SignatureType::CertPersona
                        | SignatureType::CertCasual
                        | SignatureType::CertPositive
                )
            )
        };
        let revoked = user
            .signatures
            .iter()
            .any(|signature| signature.typ() == Some(SignatureType::CertRevocation) && good(&signature));
        user.signatures.iter().filter(own).filter(move |_| !revoked).filter(good).collect::<Vec<_>>()
    });
    direct.chain(users).filter(|signature| usable(signature, now)).max_by_key(|signature| made(signature))
}

/// The size of an RSA key in bits; 0 for others.
fn bits(key: &impl VerifyingKey) -> usize {
    match key.public_params() {
        pgp::types::PublicParams::RSA(parameters) => {
            // The modulus as the packet has it: two bytes of length in bits, then the number.
            let mut bytes = Vec::new();
            match pgp::ser::Serialize::to_writer(parameters, &mut bytes) {
                Ok(()) if bytes.len() > 2 => usize::from(u16::from_be_bytes([bytes[0], bytes[1]])),
                _ => 0,
            }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    #[test]
    fn debians_keys_are_the_ones_that_the_readme_names() {
        assert!(include_str!("keys/README.md").contains(&Digest::of(DEBIAN).hex()));
        let keyring = Keyring::debian().unwrap();
        let found: Vec<String> = keyring.fingerprints().collect();
        assert_eq!(found.len(), 9);
        // Archive keys of Debian 12 and 13, as their maintainers publish them.
        for known in ["B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8", "04B54C3CDCA79751B16BC6B5225629DF75B188BD"] {
            assert!(found.contains(&known.to_owned()), "{known} {found:?}");
        }
    }

    #[test]
    fn what_is_no_keyring_is_refused() {
        for bytes in
            [&b""[..], b"hello", &DEBIAN[..100], &[0xff; 1000], b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxx\n"]
        {
            assert!(Keyring::parse(bytes).is_err());
        }
    }
}
