//! Whom to trust: root certificates of the machine, of the user, of one server; and how to show who we are.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::NetError;

/// Root certificates beside those of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootSettings {
    /// Bundles (`SSL_CERT_FILE`).
    pub files: Vec<PathBuf>,
    /// Directories of certificates (`SSL_CERT_DIR`).
    pub directories: Vec<PathBuf>,
    /// Whether the machine's own roots stay out.
    pub only_these: bool,
}

/// How one server is spoken to over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsSettings {
    /// Root certificates that are good for this server, in PEM, beside those that are good for all.
    pub ca_files: Vec<PathBuf>,
    /// Who we are.
    pub client: Option<ClientIdentity>,
    /// Whether any certificate is taken for good.
    pub unverified: bool,
}

/// Files that hold our certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientIdentity {
    /// The certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where the distributions keep the bundle of root certificates.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where they keep single ones.
const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// Larger than any bundle of certificates.
const MAX_PEM: u64 = 16 << 20;

/// The roots that are good for all servers, read when the first https address is used.
pub(super) struct Roots {
    settings: RootSettings,
    loaded: OnceLock<Result<Arc<RootCertStore>, (PathBuf, String)>>,
}

impl Roots {
    pub(super) fn new(settings: RootSettings) -> Self {
        Roots { settings, loaded: OnceLock::new() }
    }

    fn load(&self) -> Result<Arc<RootCertStore>, NetError> {
        let loaded = self.loaded.get_or_init(|| {
            let mut store = RootCertStore::empty();
            if !self.settings.only_these {
                if let Some(bundle) = BUNDLES.iter().map(Path::new).find(|path| path.is_file()) {
                    add(&mut store, bundle)?;
                } else {
                    for directory in DIRECTORIES.iter().map(Path::new).filter(|path| path.is_dir()) {
                        add_directory(&mut store, directory)?;
                    }
                }
            }
            for file in &self.settings.files {
                add(&mut store, file)?;
            }
            for directory in &self.settings.directories {
                add_directory(&mut store, directory)?;
            }
            Ok(Arc::new(store))
        });
        loaded.clone().map_err(|(path, reason)| NetError::Certificate { path, reason })
    }

    /// What rustls needs for one server.
    pub(super) fn config(&self, settings: &TlsSettings) -> Result<ClientConfig, NetError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| NetError::Tls(error.to_string()))?;
        let builder = if settings.unverified {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            let mut store = self.load()?;
            for file in &settings.ca_files {
                add(Arc::make_mut(&mut store), file)
                    .map_err(|(path, reason)| NetError::Certificate { path, reason })?;
            }
            if store.is_empty() {
                return Err(NetError::NoRoots { looked_for: BUNDLES.join(", ") });
            }
            builder.with_root_certificates(store)
        };
        match &settings.client {
            None => Ok(builder.with_no_client_auth()),
            Some(identity) => {
                let chain = certificates(&identity.certificate)
                    .map_err(|(path, reason)| NetError::Certificate { path, reason })?;
                let wrong = |reason: String| NetError::Certificate { path: identity.key.clone(), reason };
                let pem = read(&identity.key).map_err(|(_, reason)| wrong(reason))?;
                // The parser's own words could hold parts of the key.
                let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
                    wrong("there is no private key in it (PKCS #8, PKCS #1 or SEC 1, in PEM, not encrypted)".to_owned())
                })?;
                builder.with_client_auth_cert(chain, key).map_err(|error| wrong(error.to_string()))
            }
        }
    }

    /// What rustls needs where no https address will be asked for: it trusts nobody.
    pub(super) fn nobody() -> Result<ClientConfig, NetError> {
        Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| NetError::Tls(error.to_string()))?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, (PathBuf, String)> {
    super::file::read_regular(path, MAX_PEM).map_err(|error| (path.to_owned(), error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, (PathBuf, String)> {
    let pem = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
    if found.is_empty() {
        return Err((path.to_owned(), "there is no certificate in it (in PEM)".to_owned()));
    }
    Ok(found)
}

/// Adds a bundle. Single certificates that cannot be used are passed over, as every machine has some.
fn add(store: &mut RootCertStore, path: &Path) -> Result<(), (PathBuf, String)> {
    let (added, _) = store.add_parsable_certificates(certificates(path)?);
    if added == 0 {
        return Err((path.to_owned(), "none of the certificates in it can be used".to_owned()));
    }
    Ok(())
}

/// Adds every certificate of a directory; other files in it are passed over.
fn add_directory(store: &mut RootCertStore, path: &Path) -> Result<(), (PathBuf, String)> {
    let entries = std::fs::read_dir(path).map_err(|error| (path.to_owned(), error.to_string()))?;
    for entry in entries.flatten() {
        if let Ok(found) = certificates(&entry.path()) {
            store.add_parsable_certificates(found);
        }
    }
    Ok(())
}

/// Takes any certificate for good: for servers that the user calls insecure.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_named_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let junk = directory.path().join("junk.pem");
        std::fs::write(&junk, "-----BEGIN PRIVATE KEY-----\nhunter22\n").unwrap();
        let absent = directory.path().join("absent.pem");
        let roots = Roots::new(RootSettings { only_these: true, ..RootSettings::default() });
        let identity = ClientIdentity { certificate: junk.clone(), key: junk.clone() };
        for settings in [
            TlsSettings { ca_files: vec![junk.clone()], ..TlsSettings::default() },
            TlsSettings { ca_files: vec![absent], ..TlsSettings::default() },
            TlsSettings { unverified: true, client: Some(identity), ..TlsSettings::default() },
        ] {
            let error = roots.config(&settings).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(".pem") && !text.contains("hunter22"), "{text}");
        }
        let error = roots.config(&TlsSettings::default()).unwrap_err().to_string();
        assert!(error.contains("SSL_CERT_FILE") && error.contains("/etc/ssl/certs/ca-certificates.crt"), "{error}");
        assert!(roots.config(&TlsSettings { unverified: true, ..TlsSettings::default() }).is_ok());
    }
}
