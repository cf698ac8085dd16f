//! What lapstrake wrote outside of its cache: the files of output directories, as they were when they were written, so that
//! a second build need not read them to know that they are right.

use std::collections::BTreeMap;
use std::path::Path;

use crate::content::FileIdentity;
use crate::oci::json;
use crate::store::{BlobStore, is_local, read_record, write_record};

/// What is remembered of files that were written to output directories, from one run to the next.
pub trait Kept {
    /// The files of a directory as they were when they were written, by name.
    fn written(&self, directory: &Path) -> BTreeMap<String, FileIdentity>;

    /// Remembers them.
    fn note(&self, directory: &Path, files: &BTreeMap<String, FileIdentity>);
}

/// Nothing is remembered.
impl Kept for () {
    fn written(&self, _: &Path) -> BTreeMap<String, FileIdentity> {
        BTreeMap::new()
    }

    fn note(&self, _: &Path, _: &BTreeMap<String, FileIdentity>) {}
}

/// The bucket; the number changes with its form.
const WRITTEN: &str = "written-v1";

/// Device, inode, size, and the times of the last change of contents and of inode, seconds and nanoseconds.
type Numbers = (u64, u64, u64, (i64, u32), (i64, u32));

fn name_of(directory: &Path) -> Option<String> {
    let real = directory.canonicalize().ok()?;
    Some(blake3::hash(real.as_os_str().as_encoded_bytes()).to_hex().to_string())
}

impl Kept for BlobStore {
    fn written(&self, directory: &Path) -> BTreeMap<String, FileIdentity> {
        let read = || json::parse(&read_record(self, WRITTEN, &name_of(directory)?)?).ok();
        let files: BTreeMap<String, Numbers> = read().unwrap_or_default();
        let identity = |(device, inode, size, mtime, ctime)| FileIdentity { device, inode, size, mtime, ctime };
        files.into_iter().map(|(name, numbers)| (name, identity(numbers))).collect()
    }

    fn note(&self, directory: &Path, files: &BTreeMap<String, FileIdentity>) {
        let Some(name) = name_of(directory).filter(|_| is_local(directory)) else { return };
        let numbers = |file: &FileIdentity| -> Numbers { (file.device, file.inode, file.size, file.mtime, file.ctime) };
        // A ctime of whole seconds is that of a clock that may stand still for long.
        let files = files.iter().filter(|(_, file)| file.ctime.1 != 0);
        let files: BTreeMap<&String, Numbers> = files.map(|(name, file)| (name, numbers(file))).collect();
        if let Ok(bytes) = json::canonical(&files) {
            // What cannot be noted is read again another time.
            let _ = write_record(self, WRITTEN, &name, &bytes);
        }
    }
}
