//! What `uv` may keep from one run to the next.

use std::fs;
use std::io;
use std::path::Path;

use walkdir::WalkDir;

/// Where `uv` keeps pages of indexes.
const PAGES: &str = "simple-";

/// Removes the pages of `uv`'s cache that hold signed links: whoever has such a link has the file. Another run that needs one
/// asks for it again.
///
/// # Errors
/// Where a page cannot be read or removed.
pub fn forget_signed(cache: &Path) -> io::Result<()> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let buckets = match fs::read_dir(cache) {
        Err(error) if gone(&error) => return Ok(()),
        buckets => buckets?,
    };
    for bucket in buckets {
        let bucket = bucket?;
        if !bucket.file_name().as_encoded_bytes().starts_with(PAGES.as_bytes()) {
            continue;
        }
        for entry in WalkDir::new(bucket.path()).follow_links(false) {
            // Another run may have removed it.
            let Ok(entry) = entry else { continue };
            if !entry.file_type().is_file() {
                continue;
            }
            let removed = match fs::read(entry.path()) {
                Ok(page) if has_query(&page) => fs::remove_file(entry.path()),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if !gone(&error) => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether a page has a link with a query: `.whl?` or the ending of a source archive, and a `=` soon after.
fn has_query(page: &[u8]) -> bool {
    let question = |at: &usize| {
        page[*at] == b'?'
            && [&b".whl"[..], b".tar.gz", b".zip", b".metadata"].iter().any(|end| page[..*at].ends_with(end))
    };
    (0..page.len())
        .filter(question)
        .any(|at| page[at..].iter().take_while(|byte| byte.is_ascii_graphic()).any(|byte| *byte == b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_with_signed_links_are_forgotten_and_the_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        assert!(forget_signed(&directory.path().join("nowhere")).is_ok());
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let signed = write("simple-v1/index/a.rkyv", "\0https://h/a-1-py3-none-any.whl?X-Signature=s3cret\0");
        let plain = write("simple-v1/index/b.rkyv", "\0https://h/b-1-py3-none-any.whl\0what?\0=");
        let other = write("wheels-v1/c", "https://h/c-1-py3-none-any.whl?a=b");
        forget_signed(directory.path()).unwrap();
        assert!(!signed.exists() && plain.exists() && other.exists());
    }
}
