//! References in git's reftable format (git's `reftable.txt`): read whole, newest table last.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::GitError;
use super::object::read_bounded;

/// What a reference says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// It was deleted.
    Deleted,
    /// An object, and for an annotated tag what that is for.
    Object { id: String, peeled: Option<String> },
    /// Another reference.
    Symbolic(String),
}

const MAX_TABLE: u64 = 256 << 20;

/// All references of a directory of tables; none where there is no such directory.
pub(super) fn read(directory: &Path) -> Result<Option<BTreeMap<String, Value>>, GitError> {
    /// Git does not make tables one so often between two looks.
    const LOOKS: usize = 5;
    for _ in 1..LOOKS {
        match look(directory) {
            // Its list names others by now.
            Err(error) if error.is_gone() => {}
            read => return read,
        }
    }
    look(directory)
}

fn look(directory: &Path) -> Result<Option<BTreeMap<String, Value>>, GitError> {
    let list = directory.join("tables.list");
    let names = match read_bounded(&list, 1 << 20) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(GitError::read(&list, error)),
    };
    let names = std::str::from_utf8(&names).map_err(|_| GitError::malformed(&list, "it is not text"))?;
    let mut all = BTreeMap::new();
    for name in names.lines() {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(GitError::malformed(&list, "it names something else than a table"));
        }
        let path = directory.join(name);
        let bytes = read_bounded(&path, MAX_TABLE).map_err(|error| GitError::read(&path, error))?;
        table(&bytes, &mut all).ok_or_else(|| GitError::malformed(&path, "it is no reftable"))?;
    }
    Ok(Some(all))
}

/// Adds the references of one table; `None` where it is malformed.
fn table(bytes: &[u8], all: &mut BTreeMap<String, Value>) -> Option<()> {
    if bytes.get(..4)? != b"REFT" {
        return None;
    }
    let (header, footer, width) = match *bytes.get(4)? {
        1 => (24, 68, 20),
        2 => (28, 72, if bytes.get(24..28)? == b"s256" { 32 } else { 20 }),
        _ => return None,
    };
    let block_size = number(bytes.get(5..8)?);
    let end = bytes.len().checked_sub(footer)?;
    let mut at = 0;
    // Blocks of references come first; the first one shares its block with the file's header.
    while at < end {
        let start = if at == 0 { header } else { at };
        if bytes.get(start) != Some(&b'r') || start >= end {
            break;
        }
        let length = number(bytes.get(start + 1..start + 4)?);
        let block = bytes.get(at..at.checked_add(length)?)?;
        records(block, start - at + 4, width, all)?;
        let step = if block_size == 0 { length } else { length.max(block_size) };
        if length <= start - at + 4 || step == 0 {
            return None;
        }
        at = at.checked_add(step)?;
    }
    Some(())
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

/// A number of seven bits a byte, the greatest first, each continuation adding one (as offsets of deltas are written).
fn varint(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut byte = *bytes.get(*at)?;
    *at += 1;
    let mut value = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        byte = *bytes.get(*at)?;
        *at += 1;
        value = value.checked_add(1)?.checked_mul(128)? | usize::from(byte & 0x7f);
    }
    Some(value)
}

fn records(block: &[u8], start: usize, width: usize, all: &mut BTreeMap<String, Value>) -> Option<()> {
    let restarts = number(block.get(block.len().checked_sub(2)?..)?);
    let end = block.len().checked_sub(2 + restarts.checked_mul(3)?)?;
    let mut at = start;
    let mut name: Vec<u8> = Vec::new();
    while at < end {
        let prefix = varint(block, &mut at)?;
        let suffix = varint(block, &mut at)?;
        let (suffix, kind) = (suffix >> 3, suffix & 7);
        if prefix > name.len() {
            return None;
        }
        name.truncate(prefix);
        name.extend_from_slice(block.get(at..at.checked_add(suffix)?)?);
        at += suffix;
        varint(block, &mut at)?;
        let id = |at: &mut usize| -> Option<String> {
            let raw = block.get(*at..*at + width)?;
            *at += width;
            Some(raw.iter().map(|byte| format!("{byte:02x}")).collect())
        };
        let value = match kind {
            0 => Value::Deleted,
            1 => Value::Object { id: id(&mut at)?, peeled: None },
            2 => Value::Object { id: id(&mut at)?, peeled: Some(id(&mut at)?) },
            3 => {
                let length = varint(block, &mut at)?;
                let target = block.get(at..at.checked_add(length)?)?;
                at += length;
                Value::Symbolic(String::from_utf8(target.to_vec()).ok()?)
            }
            _ => return None,
        };
        all.insert(String::from_utf8_lossy(&name).into_owned(), value);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_judged(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = b"REFT\x01\0\0\0".to_vec();
            bytes.extend([0; 16]);
            bytes.push(b'r');
            bytes.extend(tail);
            let _ = table(&bytes, &mut BTreeMap::new());
        }
    }
}
