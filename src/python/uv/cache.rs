//! What `uv` may keep from one run to the next.

use std::fs;
use std::io;
use std::path::Path;

use walkdir::WalkDir;

/// Endings of the files in which `uv` keeps answers of servers: pages of indexes, metadata, and where they came from.
const ANSWERS: [&str; 4] = ["http", "msgpack", "rev", "rkyv"];

/// Removes the files of `uv`'s cache that hold signed links: whoever has such a link has the file. Another run that needs one
/// asks for it again.
///
/// # Errors
/// Where a file cannot be read or removed.
pub fn forget_signed(cache: &Path) -> io::Result<()> {
    for entry in WalkDir::new(cache).follow_links(false) {
        // Another run may have removed it, or the cache is not there yet.
        let Ok(entry) = entry else { continue };
        let is_answer = entry.path().extension().is_some_and(|end| ANSWERS.iter().any(|known| end == *known));
        if !entry.file_type().is_file() || !is_answer {
            continue;
        }
        let removed = match fs::read(entry.path()) {
            Ok(answer) if has_query(&answer) => fs::remove_file(entry.path()),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether an answer has a link with a query: `.whl?` or the ending of a source archive, and a `=` soon after.
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
        let metadata = write("wheels-v1/c.msgpack", "https://h/c-1-py3-none-any.whl.metadata?sig=s3cret");
        let other = write("archive-v1/c.py", "https://h/c-1-py3-none-any.whl?a=b");
        forget_signed(directory.path()).unwrap();
        assert!(!signed.exists() && !metadata.exists() && plain.exists() && other.exists());
    }
}
