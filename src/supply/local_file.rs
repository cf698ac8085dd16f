//! Files of this machine in the place of downloads: mirrors and indexes at `file:` addresses.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::net::{FetchError, NetError};
use crate::oci::Digest;
use crate::store::{BlobStore, StoreError};

/// The path that a `file:` address stands for; `None` for every other address.
pub(super) fn path(address: &Url) -> Option<PathBuf> {
    (address.scheme() == "file").then(|| address.to_file_path().ok()).flatten()
}

/// Copies a file into the store; it must have that digest, and at most `limit` bytes. Gives its length.
///
/// # Errors
/// [`FetchError`]; then nothing is kept.
pub(super) fn keep(path: &Path, digest: &Digest, limit: u64, store: &BlobStore) -> Result<u64, FetchError> {
    let url = || path.display().to_string();
    let kept = |source: StoreError| FetchError::Store { url: url(), source };
    let mut file = open(path)?;
    let mut writer = store.writer().map_err(kept)?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = file.read(&mut buffer).map_err(failed(path))?;
        if count == 0 {
            break;
        }
        if writer.length() + count as u64 > limit {
            return Err(FetchError::Network { url: url(), tries: 1, source: NetError::TooLong { limit } });
        }
        writer.append(&buffer[..count]).map_err(kept)?;
    }
    let actual = writer.digest();
    if actual != *digest {
        return Err(FetchError::Digest { url: url(), expected: *digest, actual });
    }
    Ok(writer.finish().map_err(kept)?.1)
}

/// The bytes of a file (in a directory: of its `index.html`), at most `limit`, and its media type.
///
/// # Errors
/// [`FetchError`].
pub(super) fn read(path: &Path, limit: u64) -> Result<(Vec<u8>, &'static str), FetchError> {
    let page = path.join("index.html");
    let path = if path.is_dir() { &page } else { path };
    let mut bytes = Vec::new();
    open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed(path))?;
    if bytes.len() as u64 > limit {
        let url = path.display().to_string();
        return Err(FetchError::Network { url, tries: 1, source: NetError::TooLong { limit } });
    }
    let content_type = match path.extension().and_then(|end| end.to_str()) {
        Some("html" | "htm") => "text/html",
        Some("json") => "application/json",
        _ => "",
    };
    Ok((bytes, content_type))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::File { path, source }
}

/// Opens a regular file; a FIFO hangs nobody.
fn open(path: &Path) -> Result<File, FetchError> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed(path))?;
    match file.metadata().map_err(failed(path))?.is_file() {
        true => Ok(file),
        false => Err(failed(path)(io::Error::other("it is no regular file"))),
    }
}
