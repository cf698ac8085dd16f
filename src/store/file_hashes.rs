//! What the files of a context hold, remembered by what the kernel says of them, so that files that did not change are not
//! read again.
//!
//! Device, inode, size, mtime and ctime stand for the contents: the kernel moves the ctime with every change, also where
//! the mtime is put back. Four rules keep that true:
//!
//! - **Racily clean files are not noted.** Clocks of file systems tick (every 4 ms, 10 ms, a second): what is written twice
//!   within a tick has one time. A file is noted only where mtime and ctime were over when its reading began, by more than
//!   a tick; what changes it later has another ctime.
//! - **A ctime of whole seconds is not believed**: it is that of a file system with a coarse clock, or of an image of one
//!   (squashfs, ISO 9660), where it says what its maker liked.
//! - **Only file systems whose ctime is this kernel's** are believed: others may have another machine's clock, times that a
//!   program makes up, or a cache of them that is behind.
//! - **What was read last holds**: where a layer is written, what passed takes the place of what was believed.
//!
//! There is one file for each context, called by the path of the context:
//!
//! ```text
//! "lapstrake files\n", 16 bytes
//! BLAKE3 of what follows, 32 bytes
//! records of 77 bytes, sorted: device, inode, size, mtime, ctime, 8 bytes each, big-endian (times in nanoseconds),
//!   BLAKE3 of the contents, 32 bytes, ELF machine, 4 bytes (ffffffff: no program), age, 1 byte
//! ```
//!
//! A record is a fact, whoever noted it: of two builds that end at the same time the later one's file stays, and what the
//! other noted is read again. A damaged file counts as none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::blob_store::note_use;
use super::fresh_hashes::Fresh;
use super::writer::locked_file;
use super::{BlobStore, StoreError};
use crate::content::{FileIdentity, HostFile};

/// The bucket; the number changes with the form.
pub(super) const BUCKET: &str = "files-v1";

const MAGIC: &[u8; 16] = b"lapstrake files\n";
const HEAD: usize = MAGIC.len() + 32;

/// Device and inode.
pub(super) const KEY: usize = 16;
/// All that stands for the contents.
const STAMP: usize = 40;
pub(super) const RECORD: usize = STAMP + 32 + 4 + 1;

const NO_PROGRAM: u32 = u32::MAX;

/// The most files that are remembered of one context: as many as one layer may have.
const MAX_RECORDS: usize = 2 << 20;

/// How often the file may be written anew before what nobody asked for in the meantime falls away.
const MAX_AGE: u8 = 16;

/// How long before its reading a file must have been left alone: more than the tick of any kernel's clock.
const TICK: Duration = Duration::from_millis(20);

/// File systems (`f_type`) whose ctime comes from this kernel's own clock, whenever something changes: ext2 to ext4, XFS,
/// Btrfs, tmpfs, overlayfs, F2FS, ZFS, bcachefs.
const LOCAL: [u64; 8] =
    [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0xf2f5_2010, 0x2fc1_2fc1, 0xca45_1a4e];

/// What a file holds, as far as the key of a layer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHash {
    /// BLAKE3 of the contents.
    pub hash: [u8; 32],
    /// The ELF machine where it is a program ([`crate::machine::of_program`]).
    pub machine: Option<u16>,
}

/// What is known of the files of one context. What was noted is kept when this is dropped, however the run ends.
#[derive(Debug)]
pub struct FileHashes {
    store: BlobStore,
    path: PathBuf,
    known: OnceLock<Known>,
    /// Noted by this run, by device and inode.
    fresh: Mutex<Fresh>,
    /// Whether there are any, so that nobody has to ask for the lock.
    is_fresh: AtomicBool,
    /// Whether the files of a device may be believed.
    devices: Mutex<BTreeMap<u64, bool>>,
}

pub(super) type Record = [u8; RECORD];

/// Where the last file was found: the next is likely to be near.
#[derive(Clone, Copy, Debug, Default)]
pub struct Near(usize);

/// What was read from the cache.
#[derive(Debug, Default)]
struct Known {
    records: Vec<u8>,
    /// Which of them were asked for.
    used: Vec<AtomicBool>,
}

impl FileHashes {
    /// What is known of the files of the context in that directory. Nothing is read before it is asked for.
    pub fn new(store: &BlobStore, context: &Path) -> Self {
        let context = std::fs::canonicalize(context).unwrap_or_else(|_| context.to_owned());
        let name = blake3::hash(context.as_os_str().as_encoded_bytes()).to_hex();
        FileHashes {
            path: store.root().join(BUCKET).join(name.as_str()),
            store: store.clone(),
            known: OnceLock::new(),
            fresh: Mutex::default(),
            is_fresh: AtomicBool::new(false),
            devices: Mutex::default(),
        }
    }

    fn known(&self) -> &Known {
        self.known.get_or_init(|| {
            let open = || {
                let file = File::open(&self.path)?;
                note_use(&self.store, &file, &file.metadata()?);
                read(&file)
            };
            let records = open().ok().flatten().unwrap_or_default();
            let used = (0..records.len() / RECORD).map(|_| AtomicBool::new(false)).collect();
            Known { records, used }
        })
    }

    /// What the file of that identity holds, where that is known.
    pub fn find(&self, identity: &FileIdentity, near: &mut Near) -> Option<FileHash> {
        let stamp = stamp(identity)?;
        if self.is_fresh.load(Ordering::Acquire)
            && let Some(record) = lock(&self.fresh).get(&stamp[..KEY])
        {
            return (record[..STAMP] == stamp).then(|| hash_of(record));
        }
        let known = self.known();
        let at = known.position(&stamp[..KEY], near.0)?;
        near.0 = at + 1;
        let record = known.record(at)?;
        known.used.get(at)?.store(true, Ordering::Relaxed);
        (record[..STAMP] == stamp).then(|| hash_of(record))
    }

    /// Notes what a file holds that was read, from its beginning at `since` to its end, and was the same file before and
    /// after. Files that cannot be told from later ones are not noted.
    pub fn note(&self, file: &HostFile, since: SystemTime, hash: FileHash) {
        let identity = file.identity();
        let Some(stamp) = stamp(identity).filter(|_| is_settled(identity, since)) else { return };
        if !*lock(&self.devices).entry(identity.device).or_insert_with(|| is_local(&file.path())) {
            return;
        }
        let mut record = [0; RECORD];
        record[..STAMP].copy_from_slice(&stamp);
        record[STAMP..STAMP + 32].copy_from_slice(&hash.hash);
        record[STAMP + 32..RECORD - 1].copy_from_slice(&hash.machine.map_or(NO_PROGRAM, u32::from).to_be_bytes());
        let mut key = [0; KEY];
        key.copy_from_slice(&stamp[..KEY]);
        let known = self.known();
        let mut fresh = lock(&self.fresh);
        if let Some(at) = known.position(&key, 0)
            && known.record(at).is_some_and(|found| found[..RECORD - 1] == record[..RECORD - 1])
        {
            known.used.get(at).inspect(|used| used.store(true, Ordering::Relaxed));
            fresh.remove(&key);
            return;
        }
        if fresh.len() < MAX_RECORDS {
            fresh.insert(key, record);
            self.is_fresh.store(true, Ordering::Release);
        }
    }

    /// Writes what was noted, where anything was.
    fn save(&self) -> Result<(), StoreError> {
        let mut fresh = lock(&self.fresh);
        if fresh.len() == 0 {
            return Ok(());
        }
        let mut file = locked_file(&self.store)?;
        let written = write(file.as_file_mut(), self.known().merged(fresh.all()));
        written.map_err(StoreError::io("writing", file.path()))?;
        self.store.bucket(BUCKET)?;
        // Not synced: nothing is lost with it, and half of it is found out.
        file.persist(&self.path).map_err(|error| StoreError::io("renaming to", &self.path)(error.error))?;
        Ok(())
    }
}

impl Drop for FileHashes {
    fn drop(&mut self) {
        // What cannot be remembered is read again.
        let _ = self.save();
    }
}

impl Known {
    fn record(&self, at: usize) -> Option<&Record> {
        self.records.get(at * RECORD..)?.first_chunk()
    }

    fn len(&self) -> usize {
        self.used.len()
    }

    /// Where the record of that device and inode is; looks at `near` first, and then further and further from it.
    fn position(&self, key: &[u8], near: usize) -> Option<usize> {
        let below = |at: usize| self.record(at).is_some_and(|record| record[..KEY] < *key);
        let near = near.min(self.len());
        let (mut low, mut high) = (near, near);
        let mut step = 1;
        if below(near) {
            while below(high) {
                low = high + 1;
                high = high.saturating_add(step).min(self.len());
                step *= 2;
            }
        } else {
            while low > 0 && !below(low - 1) {
                high = low - 1;
                low = high.saturating_sub(step);
                step *= 2;
            }
        }
        while low < high {
            let middle = low.midpoint(high);
            if below(middle) { low = middle + 1 } else { high = middle }
        }
        self.record(low).filter(|record| record[..KEY] == *key).map(|_| low)
    }

    /// The records to keep, with the new ones in their places.
    fn merged<'a>(&'a self, fresh: &'a [Record]) -> impl Iterator<Item = Record> + 'a {
        let is_new = |record: &Record| fresh.binary_search_by(|new| new[..KEY].cmp(&record[..KEY])).is_ok();
        let aged = move |at: usize| {
            let mut record = *self.record(at)?;
            let used = self.used.get(at)?.load(Ordering::Relaxed);
            record[RECORD - 1] = if used { 0 } else { record[RECORD - 1].saturating_add(1) };
            (record[RECORD - 1] <= MAX_AGE && !is_new(&record)).then_some(record)
        };
        // Where there are too many, the oldest fall away.
        let mut room = MAX_RECORDS.saturating_sub(fresh.len());
        let mut ages = [0; MAX_AGE as usize + 1];
        (0..self.len()).filter_map(aged).for_each(|record| ages[usize::from(record[RECORD - 1])] += 1);
        let oldest =
            ages.iter().take_while(|count| room.checked_sub(**count).map(|left| room = left).is_some()).count();
        let kept = move |record: &Record| usize::from(record[RECORD - 1]) < oldest;
        let (mut old, mut new) = ((0..self.len()).filter_map(aged).filter(kept).peekable(), fresh.iter().peekable());
        std::iter::from_fn(move || match (old.peek(), new.peek()) {
            (Some(before), Some(after)) if before > *after => new.next().copied(),
            (None, _) => new.next().copied(),
            _ => old.next(),
        })
    }
}

/// Writes records behind their head.
fn write(file: &mut File, records: impl Iterator<Item = Record>) -> io::Result<()> {
    let mut hasher = blake3::Hasher::new();
    let mut out = io::BufWriter::with_capacity(BUFFER, file);
    out.write_all(&[0; HEAD])?;
    let mut piece = Vec::with_capacity(BUFFER);
    let mut records = records.peekable();
    while records.peek().is_some() {
        piece.clear();
        records.by_ref().take(BUFFER / RECORD).for_each(|record| piece.extend_from_slice(&record));
        hasher.update(&piece);
        out.write_all(&piece)?;
    }
    out.seek(io::SeekFrom::Start(0))?;
    out.write_all(MAGIC)?;
    out.write_all(hasher.finalize().as_bytes())?;
    out.flush()
}

/// Bytes of records that are written at once.
const BUFFER: usize = 128 << 10;

/// What is after the head, where the file is whole.
fn read(file: &File) -> io::Result<Option<Vec<u8>>> {
    let metadata = file.metadata()?;
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut head = [0; HEAD];
    let Some(rest) = length.checked_sub(HEAD).filter(|rest| *rest <= MAX_RECORDS * RECORD) else { return Ok(None) };
    let mut file = file;
    file.read_exact(&mut head)?;
    let mut records = Vec::with_capacity(rest);
    file.take(rest as u64).read_to_end(&mut records)?;
    let whole = head.starts_with(MAGIC)
        && records.len() == rest
        && rest % RECORD == 0
        && blake3::hash(&records).as_bytes()[..] == head[MAGIC.len()..];
    Ok(whole.then_some(records))
}

/// Whether the file is one as it was written.
pub(super) fn check_file_hashes(path: &Path) -> io::Result<bool> {
    match File::open(path).and_then(|file| read(&file)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => Ok(read?.is_some()),
    }
}

/// The beginning of a file's record; `None` where times are beyond what a record holds.
fn stamp(identity: &FileIdentity) -> Option<[u8; STAMP]> {
    let (mtime, ctime) = (nanoseconds(identity.mtime)?, nanoseconds(identity.ctime)?);
    let mut stamp = [0; STAMP];
    let fields = [identity.device, identity.inode, identity.size, mtime as u64, ctime as u64];
    for (place, field) in stamp.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    Some(stamp)
}

fn nanoseconds((seconds, nanoseconds): (i64, u32)) -> Option<i64> {
    seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(nanoseconds))
}

fn hash_of(record: &Record) -> FileHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(&record[STAMP..STAMP + 32]);
    let mut machine = [0; 4];
    machine.copy_from_slice(&record[STAMP + 32..RECORD - 1]);
    FileHash { hash, machine: u16::try_from(u32::from_be_bytes(machine)).ok() }
}

/// Whether a file of that identity, if it changes after `since`, has another identity then.
fn is_settled(identity: &FileIdentity, since: SystemTime) -> bool {
    let since = since.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_nanos()).ok());
    let Some(before) = since.and_then(|since| since.checked_sub(TICK.as_nanos() as i64)) else { return false };
    let is_over = |time| nanoseconds(time).is_some_and(|time| time < before);
    identity.ctime.1 != 0 && is_over(identity.mtime) && is_over(identity.ctime)
}

/// Whether the file system of a path has a clock of this kernel.
pub fn is_local(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| LOCAL.contains(&(found.f_type as u64)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;

    /// A cache, and a context with files of these names, long settled as far as notes are concerned.
    struct Fixture {
        directory: tempfile::TempDir,
        store: BlobStore,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = BlobStore::open(&directory.path().join("cache"), || {}).unwrap();
            std::fs::create_dir(directory.path().join("context")).unwrap();
            Fixture { directory, store }
        }

        fn hashes(&self) -> FileHashes {
            FileHashes::new(&self.store, &self.directory.path().join("context"))
        }

        fn file(&self, name: &str) -> Content {
            let path = self.directory.path().join("context").join(name);
            std::fs::write(&path, name).unwrap();
            let mut identity = FileIdentity::of(&rustix::fs::stat(&path).unwrap());
            // Whatever the clock was when the test wrote it.
            identity.ctime.1 |= 1;
            Content::host(path, identity)
        }
    }

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(10)
    }

    fn hash(byte: u8) -> FileHash {
        FileHash { hash: [byte; 32], machine: (byte > 1).then_some(u16::from(byte)) }
    }

    fn find(hashes: &FileHashes, file: &Content) -> Option<FileHash> {
        hashes.find(file.host_file().unwrap().identity(), &mut Near::default())
    }

    #[test]
    fn what_was_noted_is_found_by_the_next_run_whatever_the_order() {
        let fixture = Fixture::new();
        let files: Vec<Content> = (0..100).map(|number| fixture.file(&format!("f{number}"))).collect();
        let hashes = fixture.hashes();
        assert_eq!(find(&hashes, &files[0]), None);
        for (number, file) in files.iter().enumerate().rev() {
            hashes.note(file.host_file().unwrap(), later(), hash(number as u8));
        }
        assert_eq!(find(&hashes, &files[7]), Some(hash(7)), "in the same run");
        drop(hashes);

        let hashes = fixture.hashes();
        for start in [0, 1, 50, 99, 100, 1000] {
            let mut near = Near(start);
            for (number, file) in files.iter().enumerate().filter(|(number, _)| number % 3 != 1) {
                assert_eq!(hashes.find(file.host_file().unwrap().identity(), &mut near), Some(hash(number as u8)));
            }
        }
        let other = FileIdentity { inode: u64::MAX, ..*files[0].host_file().unwrap().identity() };
        assert_eq!(hashes.find(&other, &mut Near(50)), None);
        // Another context has a file of its own.
        assert_eq!(find(&FileHashes::new(&fixture.store, fixture.directory.path()), &files[0]), None);
    }

    #[test]
    fn whatever_the_kernel_says_anew_makes_another_file() {
        let fixture = Fixture::new();
        let file = fixture.file("f");
        let was = *file.host_file().unwrap().identity();
        let hashes = fixture.hashes();
        hashes.note(file.host_file().unwrap(), later(), hash(1));
        drop(hashes);
        let hashes = fixture.hashes();
        let is_known = |identity: FileIdentity| hashes.find(&identity, &mut Near::default()).is_some();
        assert!(is_known(was));
        assert!(!is_known(FileIdentity { device: was.device + 1, ..was }));
        assert!(!is_known(FileIdentity { inode: was.inode + 1, ..was }));
        assert!(!is_known(FileIdentity { size: was.size + 1, ..was }));
        assert!(!is_known(FileIdentity { mtime: (was.mtime.0, was.mtime.1 ^ 1), ..was }));
        assert!(!is_known(FileIdentity { ctime: (was.ctime.0, was.ctime.1 ^ 2), ..was }));
        assert!(!is_known(FileIdentity { ctime: (was.ctime.0 + 1, was.ctime.1), ..was }));
    }

    #[test]
    fn what_may_change_without_a_trace_is_not_noted() {
        let identity = FileIdentity { device: 1, inode: 1, size: 1, mtime: (1000, 0), ctime: (1000, 500_000_000) };
        let at = |milliseconds: u64| UNIX_EPOCH + Duration::from_millis(milliseconds);
        assert!(is_settled(&identity, at(1_001_000)));
        assert!(is_settled(&identity, at(1_000_521)));
        // Written in the tick in which it was read, or after that, by a clock that is ahead.
        assert!(!is_settled(&identity, at(1_000_520)));
        assert!(!is_settled(&identity, at(1_000_500)));
        assert!(!is_settled(&identity, at(999_000)));
        assert!(!is_settled(&FileIdentity { mtime: (2000, 0), ..identity }, at(1_001_000)), "from the future");
        assert!(!is_settled(&FileIdentity { ctime: (1000, 0), ..identity }, at(2_000_000)), "a coarse clock");
        assert_eq!(stamp(&FileIdentity { mtime: (i64::MAX, 0), ..identity }), None);
    }

    #[test]
    fn file_systems_with_other_clocks_are_not_believed() {
        assert!(is_local(&std::env::temp_dir()));
        assert!(!is_local(Path::new("/proc/self/status")));
        assert!(!is_local(Path::new("/nowhere")));
    }

    #[test]
    fn a_damaged_file_is_no_file() {
        let fixture = Fixture::new();
        let file = fixture.file("f");
        let hashes = fixture.hashes();
        let path = hashes.path.clone();
        hashes.note(file.host_file().unwrap(), later(), hash(1));
        drop(hashes);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), HEAD + RECORD);
        assert!(check_file_hashes(&path).unwrap());
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert!(!check_file_hashes(&path).unwrap(), "{at}");
            assert_eq!(find(&fixture.hashes(), &file), None, "{at}");
        }
        for end in [0, HEAD - 1, HEAD, whole.len() - 1] {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert!(!check_file_hashes(&path).unwrap(), "{end}");
            assert_eq!(find(&fixture.hashes(), &file), None, "{end}");
        }
        // It is written anew.
        let hashes = fixture.hashes();
        hashes.note(file.host_file().unwrap(), later(), hash(1));
        drop(hashes);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn what_nobody_asks_for_falls_away_in_the_end_and_nothing_is_written_without_need() {
        let fixture = Fixture::new();
        let (asked, left) = (fixture.file("asked"), fixture.file("left"));
        let hashes = fixture.hashes();
        hashes.note(asked.host_file().unwrap(), later(), hash(1));
        hashes.note(left.host_file().unwrap(), later(), hash(2));
        drop(hashes);
        let path = fixture.hashes().path.clone();
        let inode = || rustix::fs::stat(&path).unwrap().st_ino;
        let before = inode();
        for _ in 0..100 {
            let hashes = fixture.hashes();
            assert_eq!(find(&hashes, &asked), Some(hash(1)));
            hashes.note(asked.host_file().unwrap(), later(), hash(1));
        }
        assert_eq!(inode(), before, "nothing new, nothing written");
        for round in 0..=MAX_AGE {
            let hashes = fixture.hashes();
            assert_eq!(find(&hashes, &asked), Some(hash(1)));
            assert_eq!(hashes.known().len(), if round == 0 { 2 } else { 3 }, "round {round}");
            let new = fixture.file("new");
            hashes.note(new.host_file().unwrap(), later(), hash(round));
        }
        assert_eq!(find(&fixture.hashes(), &left), None);
        assert_eq!(find(&fixture.hashes(), &asked), Some(hash(1)));
        assert_eq!(fixture.hashes().known().len(), 2);
    }
}
