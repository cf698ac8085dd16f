//! Cutting a stream where its content says so, so that a change moves only the cuts next to it.
//!
//! A gear hash over the last 64 bytes runs along the stream; a chunk ends where its top bits are zero, never before half
//! of the mean length and always at twice of it. The table, the shift and the bounds belong to format 1.

/// Finds the ends of chunks in a stream that arrives in pieces.
#[derive(Clone, Debug)]
pub struct Cutter {
    /// Mean length of a chunk, a power of two.
    mean: usize,
    /// Bytes of the current chunk that were seen.
    length: usize,
    hash: u64,
}

/// One random number for each byte value: SplitMix64 from seed 0.
const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut state = 0u64;
    let mut at = 0;
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = z ^ (z >> 31);
        at += 1;
    }
    table
};

/// How many bytes the hash remembers.
const WINDOW: usize = 64;

fn roll(hash: u64, byte: u8) -> u64 {
    (hash << 1).wrapping_add(GEAR[usize::from(byte)])
}

impl Cutter {
    /// A cutter for chunks of about `mean` bytes, a power of two.
    pub fn new(mean: usize) -> Self {
        Cutter { mean, length: 0, hash: 0 }
    }

    /// Looks at the next bytes of the stream. Where the current chunk ends within them, gives how many of them belong to
    /// it, and begins a new chunk; what follows must be handed in again.
    pub fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let (min, max) = (self.mean / 2, self.mean * 2);
        // Nothing before the window of the first place where a cut may be can matter, and no cut is before `min` or after `max`.
        let left = |until: usize| until.saturating_sub(self.length).min(bytes.len());
        let (skipped, quiet, end) = (left(min - WINDOW), left(min - 1), left(max));
        let mut hash = bytes[skipped..quiet].iter().fold(self.hash, |hash, byte| roll(hash, *byte));
        // Where the top bits are zero.
        let limit = 1 << (64 - (self.mean / 2).trailing_zeros());
        let cut = bytes[quiet..end].iter().position(|byte| {
            hash = roll(hash, *byte);
            hash < limit
        });
        let cut = cut.map(|at| quiet + at + 1).or((self.length + end == max).then_some(end));
        match cut {
            Some(_) => (self.length, self.hash) = (0, 0),
            None => (self.length, self.hash) = (self.length + bytes.len(), hash),
        }
        cut
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Bytes that look random, always the same.
    pub(in super::super) fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        })
        .take(length)
        .collect()
    }

    fn cuts(bytes: &[u8], piece: usize) -> Vec<usize> {
        let mut cutter = Cutter::new(1 << 14);
        let mut ends = Vec::new();
        let mut start = 0;
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            while let Some(end) = cutter.find(rest) {
                ends.push(start + end);
                start += end;
                rest = &rest[end..];
            }
            start += rest.len();
        }
        ends
    }

    #[test]
    fn the_pieces_in_which_the_stream_comes_play_no_part() {
        let bytes = noise(1 << 20, 7);
        let whole = cuts(&bytes, usize::MAX);
        for piece in [1, 63, 64, 1000, 100_000] {
            assert_eq!(cuts(&bytes, piece), whole);
        }
        let lengths: Vec<usize> = whole.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(lengths.iter().all(|length| (1 << 13..=1 << 15).contains(length)));
        let mean = lengths.iter().sum::<usize>() / lengths.len();
        assert!((12_000..22_000).contains(&mean), "{mean}");
    }

    #[test]
    fn a_change_moves_only_the_cuts_next_to_it() {
        let bytes = noise(1 << 20, 7);
        let mut longer = bytes.clone();
        longer.splice(500_000..500_000, *b"inserted");
        let (before, after) = (cuts(&bytes, usize::MAX), cuts(&longer, usize::MAX));
        let kept = before.iter().filter(|end| after.contains(end) || after.contains(&(**end + 8))).count();
        assert!(kept + 4 >= before.len(), "{kept} of {}", before.len());
    }

    #[test]
    fn zeros_are_cut_at_the_most() {
        assert_eq!(cuts(&vec![0; 100_000], 1000), [1 << 15, 2 << 15, 3 << 15]);
    }
}
