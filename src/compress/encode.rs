//! Compressing a stream on several threads, in order.
//!
//! ```text
//!   producer            digester            workers               collector
//!   writes and cuts ──→ SHA-256 of the ───→ known chunks are ───→ puts them into order,
//!   the stream          stream              copied, others        hands them to the sink
//!     ↑                                     compressed              │
//!     └──────────────────────── empty slots ────────────────────────┘
//! ```
//!
//! What goes round are [`Slot`]s: one chunk each, plain and compressed, in buffers that are used again. There is a fixed
//! number of them, and so many bytes of memory at most; whoever has no slot waits. Each stage is a thread, the workers are as
//! many as there are jobs: on few cores the kernel gives them to whatever has something to do.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use super::Encoding;
use super::chunk::Cutter;
use crate::oci::Hasher;

/// Takes the compressed bytes, in order.
pub trait Sink: Send {
    /// Takes the next bytes. Where they are one whole chunk of several, its id is given too.
    ///
    /// # Errors
    /// Whatever stops the writing.
    fn take(&mut self, bytes: &[u8], chunk: Option<ChunkId>) -> io::Result<()>;
}

/// What a compressed chunk is made from: the BLAKE3 of the encoding's id and the plain bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkId(pub [u8; 32]);

impl ChunkId {
    fn of(encoding: Encoding, chunk: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(encoding.id().as_bytes());
        hasher.update(b"\0");
        hasher.update(chunk);
        ChunkId(*hasher.finalize().as_bytes())
    }
}

/// Compressed chunks of earlier layers.
pub trait KnownChunks: Sync {
    /// Puts the compressed bytes of that chunk, checked, in the place of what `packed` holds, where they are known; else
    /// what it holds afterwards means nothing.
    fn find(&self, chunk: ChunkId, packed: &mut Vec<u8>) -> bool;
}

/// Knows nothing.
impl KnownChunks for () {
    fn find(&self, _: ChunkId, _: &mut Vec<u8>) -> bool {
        false
    }
}

/// Why a stream could not be compressed.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// What comes out could not be written.
    #[error("writing the compressed layer")]
    Output(#[source] io::Error),
    /// The compressor failed (out of memory).
    #[error("compressing the layer: {0}")]
    Compress(String),
}

/// Compresses a stream.
pub struct Encoder;

impl Encoder {
    /// Compresses everything that `produce` writes into `sink`, on up to `jobs` threads, and takes it into `plain`. Bytes
    /// depend on the stream and the encoding alone; chunks that are `known` are not compressed again. Memory: at most about
    /// 64 MiB (96 with zstd), however many threads there are.
    ///
    /// # Errors
    /// What `produce` gives, or an [`EncodeError`] turned into it.
    pub fn run<E: From<EncodeError>>(
        encoding: Encoding,
        jobs: usize,
        known: &dyn KnownChunks,
        plain: &mut Hasher,
        sink: &mut dyn Sink,
        produce: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(mean) = encoding.chunk_length() {
            return run_chunks(Work { encoding, known }, mean, jobs.max(1), plain, sink, produce);
        }
        match encoding {
            Encoding::GzipSingle { level } => {
                let builder = flate2::GzBuilder::new().mtime(0).operating_system(255);
                let encoder = builder.write(SinkWriter(sink), flate2::Compression::new(u32::from(level)));
                let mut out = Tee { out: encoder, plain };
                produce(&mut out)?;
                out.out.finish().map_err(EncodeError::Output)?;
                Ok(())
            }
            _ => produce(&mut Tee { out: SinkWriter(sink), plain }),
        }
    }
}

struct SinkWriter<'a>(&'a mut dyn Sink);

impl Write for SinkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.take(bytes, None)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Tee<'a, W> {
    out: W,
    plain: &'a mut Hasher,
}

impl<W: Write> Write for Tee<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.plain.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What every worker needs.
#[derive(Clone, Copy)]
struct Work<'a> {
    encoding: Encoding,
    known: &'a dyn KnownChunks,
}

/// One chunk on its way, in buffers that are used again.
struct Slot {
    /// Its place in the stream, from 0.
    number: u64,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl Slot {
    fn new(mean: usize) -> Self {
        // A chunk is never longer than twice the mean.
        Slot { number: 0, plain: Vec::with_capacity(2 * mean), packed: Vec::new() }
    }
}

/// How much memory the slots may take, where all chunks are as long as they can be and none shrinks.
const SLOTS: usize = 64 << 20;

/// How many slots there are: two for each worker, and one each for producer, digester and collector.
fn slots(mean: usize, jobs: usize) -> usize {
    let most = SLOTS / (4 * mean);
    // With fewer, nothing would be written while something is compressed.
    (2 * jobs + 3).min(most).max(3)
}

fn run_chunks<E: From<EncodeError>>(
    work: Work<'_>,
    mean: usize,
    jobs: usize,
    plain: &mut Hasher,
    sink: &mut dyn Sink,
    produce: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    std::thread::scope(|scope| {
        let mut chunks = Chunks {
            cutter: Cutter::new(mean),
            slot: Slot::new(mean),
            mean,
            work,
            jobs,
            scope,
            target: Target::Waiting(plain, sink),
        };
        let produced = produce(&mut chunks);
        // Where the sink failed, the producer only saw that nobody takes its bytes any more: the sink's error comes first.
        chunks.finish(produced.is_ok())?;
        produced
    })
}

/// Cuts what is written into chunks and sends them round.
struct Chunks<'scope, 'env> {
    cutter: Cutter,
    /// The chunk that is being filled.
    slot: Slot,
    mean: usize,
    work: Work<'scope>,
    jobs: usize,
    scope: &'scope Scope<'scope, 'env>,
    target: Target<'scope>,
}

/// Where full chunks go. No thread is started for a stream of one chunk.
enum Target<'scope> {
    Waiting(&'scope mut Hasher, &'scope mut dyn Sink),
    Running(Running<'scope>),
    Stopped,
}

struct Running<'scope> {
    full: Sender<Slot>,
    empty: Receiver<Slot>,
    /// How many slots may still be made.
    more: usize,
    next: u64,
    collector: ScopedJoinHandle<'scope, Result<(), EncodeError>>,
}

impl<'scope> Chunks<'scope, '_> {
    /// Sends the full slot round, and waits for an empty one.
    fn send(&mut self) -> io::Result<()> {
        if let Target::Waiting(..) = self.target
            && let Target::Waiting(plain, sink) = std::mem::replace(&mut self.target, Target::Stopped)
        {
            self.target = Target::Running(self.start(plain, sink));
        }
        // Nobody takes it any more: the collector knows why.
        let stopped = || io::Error::from(io::ErrorKind::BrokenPipe);
        let Target::Running(running) = &mut self.target else { return Err(stopped()) };
        let empty = match running.empty.try_recv() {
            Ok(slot) => slot,
            Err(_) if running.more > 0 => {
                running.more -= 1;
                Slot::new(self.mean)
            }
            Err(_) => running.empty.recv().map_err(|_| stopped())?,
        };
        let full = std::mem::replace(&mut self.slot, empty);
        running.send(full).map_err(|_| stopped())
    }

    fn start(&self, plain: &'scope mut Hasher, sink: &'scope mut dyn Sink) -> Running<'scope> {
        let (full, to_digest) = channel::<Slot>();
        let (digested, todo) = channel::<Slot>();
        let (results, done) = channel();
        let (emptied, empty) = channel();
        self.scope.spawn(move || {
            for slot in to_digest {
                plain.update(&slot.plain);
                if digested.send(slot).is_err() {
                    return;
                }
            }
        });
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..self.jobs {
            let (todo, results, work) = (todo.clone(), results.clone(), self.work);
            self.scope.spawn(move || compress_chunks(work, &todo, &results));
        }
        let collector = self.scope.spawn(move || collect(&done, &emptied, sink));
        Running { full, empty, more: slots(self.mean, self.jobs) - 1, next: 0, collector }
    }

    /// Sends the rest, waits, and tells how it went. Where the producer failed, what is left is dropped.
    fn finish(self, complete: bool) -> Result<(), EncodeError> {
        let mut rest = self.slot;
        match self.target {
            Target::Waiting(plain, sink) if complete => {
                plain.update(&rest.plain);
                Compressor::new(self.work.encoding)?.compress(&rest.plain, &mut rest.packed)?;
                sink.take(&rest.packed, None).map_err(EncodeError::Output)
            }
            Target::Running(mut running) => {
                if complete && !rest.plain.is_empty() {
                    // Where this fails, the collector knows why.
                    let _ = running.send(rest);
                }
                drop(running.full);
                running.collector.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
            Target::Waiting(..) | Target::Stopped => Ok(()),
        }
    }
}

impl Running<'_> {
    fn send(&mut self, mut slot: Slot) -> Result<(), std::sync::mpsc::SendError<Slot>> {
        slot.number = self.next;
        self.next += 1;
        self.full.send(slot)
    }
}

impl Write for Chunks<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(end) = self.cutter.find(rest) {
            self.slot.plain.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
            self.send()?;
        }
        self.slot.plain.extend_from_slice(rest);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Finished = Result<(ChunkId, Slot), EncodeError>;

/// One worker: compresses chunks until there are no more, or nobody wants them.
fn compress_chunks(work: Work<'_>, todo: &Mutex<Receiver<Slot>>, results: &Sender<Finished>) {
    let mut compressor = Compressor::new(work.encoding);
    loop {
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut slot) = next else { return };
        let id = ChunkId::of(work.encoding, &slot.plain);
        // Everybody waits for this chunk: whatever happens to it is told.
        let done = catch_unwind(AssertUnwindSafe(|| match &mut compressor {
            _ if work.known.find(id, &mut slot.packed) => Ok(()),
            Ok(compressor) => compressor.compress(&slot.plain, &mut slot.packed),
            Err(error) => Err(EncodeError::Compress(error.to_string())),
        }));
        let done = done.unwrap_or_else(|_| Err(EncodeError::Compress("a thread of it panicked".to_owned())));
        if results.send(done.map(|()| (id, slot))).is_err() {
            return;
        }
    }
}

/// Puts what the workers give into order, writes it, and gives the slots back.
fn collect(done: &Receiver<Finished>, emptied: &Sender<Slot>, sink: &mut dyn Sink) -> Result<(), EncodeError> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for finished in done {
        let (id, slot) = finished?;
        early.insert(slot.number, (id, slot));
        while let Some((id, mut slot)) = early.remove(&next) {
            sink.take(&slot.packed, Some(id)).map_err(EncodeError::Output)?;
            next += 1;
            slot.plain.clear();
            // The producer may be at its end.
            let _ = emptied.send(slot);
        }
    }
    Ok(())
}

/// Compresses one chunk at a time, each as if it were the first.
enum Compressor {
    Gzip { own: libdeflater::Compressor, stored: libdeflater::Compressor, probe: libdeflater::Compressor },
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    fn new(encoding: Encoding) -> Result<Self, EncodeError> {
        let deflate = |level: u8| {
            libdeflater::CompressionLvl::new(i32::from(level))
                .map(libdeflater::Compressor::new)
                .map_err(|_| EncodeError::Compress(format!("there is no gzip level {level}")))
        };
        match encoding {
            Encoding::Zstd { level } => zstd::bulk::Compressor::new(i32::from(level))
                .map(Compressor::Zstd)
                .map_err(|error| EncodeError::Compress(error.to_string())),
            Encoding::Gzip { level } | Encoding::GzipSingle { level } => {
                Ok(Compressor::Gzip { own: deflate(level)?, stored: deflate(0)?, probe: deflate(1)? })
            }
            Encoding::None => Err(EncodeError::Compress("there is nothing to compress".to_owned())),
        }
    }

    /// Puts the compressed chunk in the place of what `packed` holds.
    fn compress(&mut self, chunk: &[u8], packed: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Compressor::Zstd(compressor) => {
                packed.clear();
                packed.reserve(zstd::zstd_safe::compress_bound(chunk.len()));
                let done = compressor.compress_to_buffer(chunk, packed);
                done.map(|_| ()).map_err(|error| EncodeError::Compress(error.to_string()))
            }
            Compressor::Gzip { own, stored, probe } => {
                let compressor = if is_incompressible(probe, chunk) { stored } else { own };
                packed.resize(compressor.gzip_compress_bound(chunk.len()), 0);
                let length = compressor
                    .gzip_compress(chunk, packed)
                    .map_err(|error| EncodeError::Compress(format!("{error:?}")))?;
                packed.truncate(length);
                Ok(())
            }
        }
    }
}

/// How much of a chunk is tried before it is compressed, in pieces spread over it.
const PROBES: usize = 4;
const PROBE: usize = 16 << 10;

/// Whether compressing is a waste of time: four pieces of 16 KiB, spread over the chunk, shrink by less than 3 % when they
/// are compressed quickly. Decided by content alone, and part of format 1. Small chunks are always compressed.
fn is_incompressible(probe: &mut libdeflater::Compressor, chunk: &[u8]) -> bool {
    if chunk.len() < 2 * PROBES * PROBE {
        return false;
    }
    let step = (chunk.len() - PROBE) / (PROBES - 1);
    let mut bytes = vec![0; probe.deflate_compress_bound(PROBE)];
    let mut total = 0;
    for start in (0..PROBES).map(|number| number * step) {
        match probe.deflate_compress(&chunk[start..start + PROBE], &mut bytes) {
            Ok(length) => total += length,
            Err(_) => return false,
        }
    }
    total * 100 >= PROBES * PROBE * 97
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::Decoder;
    use super::super::chunk::tests::noise;
    use super::*;
    use crate::oci::Digest;

    impl Sink for Vec<u8> {
        fn take(&mut self, bytes: &[u8], _: Option<ChunkId>) -> io::Result<()> {
            self.extend_from_slice(bytes);
            Ok(())
        }
    }

    fn encode(encoding: Encoding, jobs: usize, bytes: &[u8]) -> Vec<u8> {
        let (mut out, mut plain) = (Vec::new(), Hasher::new());
        Encoder::run(encoding, jobs, &(), &mut plain, &mut out, |write| {
            for piece in bytes.chunks(70_001) {
                write.write_all(piece).map_err(EncodeError::Output)?;
            }
            Ok::<_, EncodeError>(())
        })
        .unwrap();
        assert_eq!(plain.finish(), Digest::of(bytes));
        out
    }

    /// Text that compresses, noise that does not, and zeros.
    fn sample(length: usize) -> Vec<u8> {
        let words: Vec<String> =
            noise(4000, 3).chunks(2).map(|pair| format!("{:x} word{} ", pair[0], pair[1])).collect();
        let mut bytes: Vec<u8> = words.concat().into_bytes().into_iter().cycle().take(length / 2).collect();
        bytes.extend(noise(length / 4, 5));
        bytes.resize(length, 0);
        bytes
    }

    const ALL: [Encoding; 5] = [
        Encoding::None,
        Encoding::GZIP,
        Encoding::Gzip { level: 1 },
        Encoding::GzipSingle { level: 6 },
        Encoding::ZSTD,
    ];

    #[test]
    fn the_number_of_threads_plays_no_part() {
        let bytes = sample(12 << 20);
        for encoding in ALL {
            let one = encode(encoding, 1, &bytes);
            for jobs in [2, 5] {
                assert_eq!(Digest::of(&encode(encoding, jobs, &bytes)), Digest::of(&one), "{encoding:?}");
            }
            let mut back = Vec::new();
            Decoder::new(&one[..], encoding.compression()).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{encoding:?}");
        }
    }

    /// The encoders' bytes, held on every platform. If this fails, digests of existing images change: that takes a new
    /// format number.
    #[test]
    fn golden_bytes_of_every_encoder() {
        let bytes = sample(3 << 20);
        let found: Vec<String> = ALL[1..]
            .iter()
            .map(|encoding| format!("{} {}", encoding.id(), Digest::of(&encode(*encoding, 2, &bytes)).short()))
            .collect();
        insta::assert_snapshot!(found.join("\n"), @r"
        gzip/libdeflate-1.26/6/1MiB 9fda57eeba98
        gzip/libdeflate-1.26/1/1MiB 1f55ad641e0a
        gzip/zlib-rs-0.6/6/single 93cacfdf3392
        zstd/libzstd-1.5.7/3/8MiB dc653a722df1
        ");
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        let random = noise(1 << 20, 9);
        let mut compressor = Compressor::new(Encoding::GZIP).unwrap();
        let mut stored = vec![1; 3 << 20];
        compressor.compress(&random, &mut stored).unwrap();
        assert!(stored.len() < random.len() + 200);
        let Compressor::Gzip { probe, .. } = &mut compressor else { panic!() };
        assert!(is_incompressible(probe, &random));
        assert!(!is_incompressible(probe, &sample(1 << 20)));
        assert!(!is_incompressible(probe, b""));
    }

    struct Full(usize);

    impl Sink for Full {
        fn take(&mut self, bytes: &[u8], _: Option<ChunkId>) -> io::Result<()> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_and_a_failing_producer_are_told_as_they_are() {
        for encoding in ALL {
            let bytes = noise(20 << 20, 1);
            let result = Encoder::run(encoding, 2, &(), &mut Hasher::new(), &mut Full(3 << 20), |write| {
                for piece in bytes.chunks(1 << 16) {
                    write.write_all(piece).map_err(EncodeError::Output)?;
                }
                Ok(())
            });
            let Err(EncodeError::Output(error)) = result else { panic!("{encoding:?}: {result:?}") };
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{encoding:?}");

            let result = Encoder::run(encoding, 2, &(), &mut Hasher::new(), &mut Vec::new(), |write| {
                write.write_all(&bytes[..5 << 20]).map_err(EncodeError::Output)?;
                Err(EncodeError::Compress("stop".to_owned()))
            });
            assert!(matches!(result, Err(EncodeError::Compress(text)) if text == "stop"));
        }
    }
}
