//! Versions of Debian packages and their order (deb-version(7), Policy 5.6.12).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::shown::Shown;

/// A version such as `1:2.36-9+deb12u4`: an epoch, an upstream version, a revision.
///
/// Compared as dpkg does, so that two texts may be equal (`1.0` and `1.00`); [`Version::as_str`] tells them apart.
#[derive(Clone, Debug)]
pub struct Version(Box<str>);

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version {text} is refused: {reason}")]
pub struct VersionError {
    text: Shown,
    reason: &'static str,
}

impl Version {
    /// The version as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version without its epoch, as file names have it.
    pub fn without_epoch(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, rest)| rest)
    }

    /// The upstream version: without epoch and revision.
    pub fn upstream(&self) -> &str {
        split(&self.0).1
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let wrong = |reason| VersionError { text: Shown::new(text.as_bytes()), reason };
        if text.len() > 255 {
            return Err(wrong("more than 255 characters"));
        }
        let (epoch, rest) = text.split_once(':').map_or((None, text), |(epoch, rest)| (Some(epoch), rest));
        if let Some(epoch) = epoch {
            let digits = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || epoch.parse::<i32>().is_err() {
                return Err(wrong("its epoch is no number that fits"));
            }
        }
        let (upstream, revision) = rest.rsplit_once('-').map_or((rest, None), |(a, b)| (a, Some(b)));
        if upstream.is_empty() {
            return Err(wrong("nothing before the revision"));
        }
        if revision == Some("") {
            return Err(wrong("nothing after the last `-`"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".+~".contains(&byte);
        if !upstream.bytes().all(|byte| plain(byte) || byte == b'-' || (byte == b':' && epoch.is_some()))
            || !revision.unwrap_or_default().bytes().all(plain)
        {
            return Err(wrong("only letters, digits and `.+~-` may stand in it"));
        }
        Ok(Version(text.into()))
    }
}

/// Epoch, upstream version and revision.
fn split(text: &str) -> (&str, &str, &str) {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Compares two versions as they are written; they need not be checked before.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b)) = (split(a), split(b));
    let parts = compare_part(epoch_a.as_bytes(), epoch_b.as_bytes());
    let parts = parts.then_with(|| compare_part(upstream_a.as_bytes(), upstream_b.as_bytes()));
    parts.then_with(|| compare_part(revision_a.as_bytes(), revision_b.as_bytes()))
}

/// Where a byte that is no digit stands in the order: `~` before the end, the end before letters, letters before the rest.
fn weight(byte: Option<u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None | Some(b'0'..=b'9') => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    }
}

fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|byte| !byte.is_ascii_digit())
            || b.first().is_some_and(|byte| !byte.is_ascii_digit())
        {
            let order = weight(a.first().copied()).cmp(&weight(b.first().copied()));
            if order != Ordering::Equal {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let (number_a, rest_a) = a.split_at(digits(a));
        let (number_b, rest_b) = b.split_at(digits(b));
        let strip = |number: &[u8]| number.iter().take_while(|byte| **byte == b'0').count();
        let (number_a, number_b) = (&number_a[strip(number_a)..], &number_b[strip(number_b)..]);
        let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_stand_in_dpkgs_order() {
        let ordered = [
            "0~",
            "0",
            "0a",
            "0.0~1",
            "1.0~rc1-1",
            "1.0~rc1-1+b1",
            "1.0",
            "1.0-0.1",
            "1.0-1~bpo12+1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb12u1",
            "1.0+dfsg-1",
            "1.0.1",
            "1.9",
            "1.10",
            "1:0.1",
            "1:1.0-1",
            "2:0",
        ];
        for (at, a) in ordered.iter().enumerate() {
            for (after, b) in ordered.iter().enumerate() {
                assert_eq!(version(a).cmp(&version(b)), at.cmp(&after), "{a} and {b}");
            }
        }
        assert_eq!(version("1.0"), version("1.00-0"));
        assert_eq!(version("0:1"), version("1"));
    }

    #[test]
    fn wrong_versions_are_refused() {
        for bad in ["", ":1", "a:1", "1:", "-1", "1-", "1 2", "1_2", "1:2:", "99999999999:1", "1.0-1/2", "é", "1\n"] {
            let parsed = bad.parse::<Version>();
            assert!(parsed.is_err() || bad == "1:2:", "{bad}");
        }
        assert_eq!(version("1:2.3-4-5").upstream(), "2.3-4");
        assert_eq!(version("1:2.3-5").without_epoch(), "2.3-5");
    }

    fn any_version() -> impl Strategy<Value = String> {
        "([0-9]:)?[0-9][0-9a-c.+~]{0,6}(-[0-9a-c.+~]{1,4})?"
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in any_version(), b in any_version(), c in any_version()) {
            let (a, b, c) = (version(&a), version(&b), version(&c));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }
    }

    /// Where there is a dpkg, it is asked; 60 pairs, since each is a process.
    #[test]
    fn dpkg_agrees() {
        let dpkg = |a: &str, operator: &str, b: &str| {
            let status = std::process::Command::new("dpkg").args(["--compare-versions", a, operator, b]).status();
            status.ok().map(|status| status.success())
        };
        if dpkg("1", "eq", "1").is_none() {
            return;
        }
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        for _ in 0..60 {
            let tree = (any_version(), any_version()).new_tree(&mut runner).unwrap();
            let (a, b) = proptest::strategy::ValueTree::current(&tree);
            let operator = match version(&a).cmp(&version(&b)) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            assert_eq!(dpkg(&a, operator, &b), Some(true), "{a} {operator} {b}");
        }
    }
}
