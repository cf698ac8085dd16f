//! Replays what fuzzers start from and what they have found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

pub(super) fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_seed_is_judged() {
    let mut bytes = 0;
    for target in TARGETS {
        let seeds = directory("seeds").join(target.name);
        let files = names(&seeds);
        assert!(files.len() >= 3, "{} has {} seeds", target.name, files.len());
        for file in files {
            let input = fs::read(seeds.join(&file)).unwrap();
            bytes += input.len();
            // Each half, too, so that what is cut is seen without a fuzzer.
            for input in [&input[..], &input[..input.len() / 2], &input[input.len() / 2..]] {
                if std::panic::catch_unwind(|| (target.run)(input)).is_err() {
                    panic!("fuzz/seeds/{}/{file} is not judged rightly", target.name);
                }
            }
        }
    }
    assert!(bytes < 2 << 20, "the seeds have {bytes} bytes");
}

/// A generator of numbers (SplitMix64), so that a run can be had again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    /// The bytes with up to four changes: other bytes, bytes taken away, repeated, moved, or taken from another input.
    fn changed(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let (start, length) = (self.below(bytes.len()), 1 + self.below(64));
            let end = (start + length).min(bytes.len());
            match self.below(7) {
                0 if !bytes.is_empty() => bytes[start] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[start] = b"\0\xff\n \"/.-0:@"[self.below(11)],
                2 => drop(bytes.drain(start..end)),
                3 => bytes.truncate(start),
                4 => {
                    let piece = bytes[start..end].to_vec();
                    let at = self.below(bytes.len());
                    bytes.splice(at..at, piece);
                }
                5 => {
                    let from = self.below(other.len());
                    let piece = other[from..(from + length).min(other.len())].to_vec();
                    bytes.splice(start..end, piece);
                }
                _ => {
                    let from = self.below(other.len());
                    bytes.truncate(start);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
        }
        bytes
    }
}

/// The inputs that are not judged rightly, as files.
fn misjudged(seed: u64, rounds: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut numbers = Numbers(seed);
    for target in TARGETS {
        let seeds = directory("seeds").join(target.name);
        let seeds: Vec<Vec<u8>> = names(&seeds).iter().map(|file| fs::read(seeds.join(file)).unwrap()).collect();
        for _ in 0..rounds {
            let (one, other) = (numbers.below(seeds.len()), numbers.below(seeds.len()));
            let input = numbers.changed(&seeds[one], &seeds[other]);
            if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
                let name = format!("{}-{}", target.name, crate::oci::Digest::of(&input).hex());
                let kept = std::env::temp_dir().join(name);
                fs::write(&kept, &input).unwrap();
                found.push(kept);
                break;
            }
        }
    }
    found
}

#[test]
fn changed_seeds_are_judged_too() {
    assert_eq!(misjudged(1, 1000), Vec::<PathBuf>::new());
}

/// As long as it is left running: for machines without a fuzzer.
#[test]
#[ignore = "does not end"]
fn changed_seeds_are_judged_for_ever() {
    for seed in 2.. {
        misjudged(seed, 200).iter().for_each(|file| println!("{}", file.display()));
    }
}

#[test]
fn every_target_has_a_program_and_every_program_a_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len());
    let programs = names(&directory("fuzz_targets"));
    assert_eq!(programs, targets.iter().map(|name| format!("{name}.rs")).collect());
    assert_eq!(names(&directory("seeds")), targets);
    let manifest = fs::read_to_string(directory("Cargo.toml")).unwrap();
    for name in &targets {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} stands not in fuzz/Cargo.toml");
    }
}
