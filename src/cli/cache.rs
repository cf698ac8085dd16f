//! `lapstrake cache`

use std::time::{Duration, SystemTime};

use lapstrake::code::ErrorCode;
use lapstrake::report::Reporter;
use lapstrake::store::{Upkeep, Usage};

use super::args::{CacheCommand, Global};
use super::environment::cache_directory;
use super::exit::{Code, Failure, OrFail, Outcome};
use super::print;
use super::progress::Progress;

/// Runs it.
pub(crate) fn run(global: &Global, command: &CacheCommand) -> Outcome {
    let reporter = Reporter::new(Progress::new(global));
    let Some(directory) = cache_directory(global) else {
        return Err(Failure::usage("there is no cache: no home directory, and no --cache-dir"));
    };
    // What was typed is checked before a build is waited for.
    let pruning = match command {
        CacheCommand::Prune { keep, max_size } => Some((duration(keep)?, max_size.as_deref().map(size).transpose()?)),
        _ => None,
    };
    if let CacheCommand::Size = command {
        let usage = Usage::of(&directory).or_fail(Code::Failed)?;
        return print(&format!(
            "{}\t{}\t{} blobs, {}\t{} other files, {}\n",
            directory.display(),
            indicatif::BinaryBytes(usage.blob_bytes + usage.other_bytes),
            usage.blobs,
            indicatif::BinaryBytes(usage.blob_bytes),
            usage.others,
            indicatif::BinaryBytes(usage.other_bytes),
        ));
    }
    let waiting = || reporter.note("waiting for builds that use the cache");
    let Some(upkeep) = Upkeep::open(&directory, waiting).or_fail(Code::Failed)? else {
        return print("there is no cache yet\n");
    };
    match command {
        CacheCommand::Size => Ok(()),
        CacheCommand::Verify => {
            let damaged = upkeep.verify().or_fail(Code::Failed)?;
            for path in &damaged {
                print(&format!("{}\tdamaged, removed\n", path.display()))?;
            }
            match damaged.len() {
                0 => print("the cache is whole\n"),
                count => {
                    Err(Failure::told(Code::Different, ErrorCode::CacheDamaged, format!("{count} files were damaged"))
                        .hint("they are made or fetched again when they are needed"))
                }
            }
        }
        CacheCommand::Prune { .. } => {
            let (keep, max) = pruning.unwrap_or_default();
            let removed = upkeep.prune(SystemTime::now(), keep, max).or_fail(Code::Failed)?;
            print(&format!("removed {} files, {}\n", removed.files, indicatif::BinaryBytes(removed.bytes)))
        }
        CacheCommand::Clear => {
            let removed = upkeep.clear().or_fail(Code::Failed)?;
            print(&format!("removed {} files, {}\n", removed.files, indicatif::BinaryBytes(removed.bytes)))
        }
    }
}

/// `12h`, `30d`, `2w`.
fn duration(text: &str) -> Outcome<Duration> {
    let bad = || Failure::usage(format!("{text:?} is no time: write 12h, 30d or 2w"));
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(bad()),
    };
    let count: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| bad())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(bad)
}

/// `500MB`, `10GiB`.
fn size(text: &str) -> Outcome<u64> {
    let bad = || Failure::usage(format!("{text:?} is no size: write 500MB or 10GiB"));
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(bad()),
    };
    count.parse::<u64>().ok().and_then(|count| count.checked_mul(factor)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration("2w").unwrap(), Duration::from_secs(14 * 86_400));
        assert_eq!(size("10GiB").unwrap(), 10 << 30);
        assert_eq!(size("500 MB").unwrap(), 500_000_000);
        for bad in ["", "d", "1", "1y", "-1d", "99999999999999999999d", "é"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "GB", "1XB", "-1", "99999999999999999999"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
