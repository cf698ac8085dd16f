//! How registries are used.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::credentials::CredentialSource;
use crate::net::ClientIdentity;

/// How registries are used. Nothing is read from the environment: whoever starts the program hands it in.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// Where credentials are looked for, first to last; the first that has some for a registry is used.
    pub credentials: Vec<CredentialSource>,
    /// Where credential helpers are looked for, as `PATH` lists directories.
    pub helper_path: Option<OsString>,
    /// What is special about single registries, by `host` or `host:port` as in references (`docker.io` for Docker Hub).
    pub registries: BTreeMap<String, RegistrySettings>,
    /// Directories like `/etc/docker/certs.d`, first to last: `HOST:PORT/*.crt` are root certificates of that registry,
    /// `*.cert` with `*.key` is who we are there.
    pub certificate_directories: Vec<PathBuf>,
    /// How many transfers there are at a time.
    pub jobs: Option<usize>,
    /// Send blobs in chunks of so many bytes, instead of whole. Without it, that is done where a registry asks for it.
    pub chunk: Option<u64>,
}

/// What is special about one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// How it is spoken to.
    pub security: Option<Security>,
    /// Root certificates that are good for it, in PEM, beside those that are good for all.
    pub ca_files: Vec<PathBuf>,
    /// Who we are there.
    pub client: Option<ClientIdentity>,
    /// Other places with the same images, asked first when something is read: `host[:port][/path]`.
    pub mirrors: Vec<String>,
}

/// How a registry is spoken to. Where nothing is said: [`Security::Verified`], but a registry on this very machine is
/// spoken to over http, and over https where it does not understand that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// https, with a certificate that is checked.
    Verified,
    /// https with any certificate, or else http.
    Insecure,
    /// http.
    Plain,
}

/// Transfers at a time, where nothing is said.
pub(super) const JOBS: usize = 4;
