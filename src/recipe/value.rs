//! Strings that mean something: modes, owners, durations, ports, signals, dates, capabilities.

use std::fmt;

use jiff::Timestamp;

use super::problems::{Fault, quoted, shown};
use crate::nearest::nearest;
use crate::tree::{CAPABILITY_NAMES, Owner};

/// Permission bits with setuid, setgid and sticky: 0 to 07777.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(u32);

impl Mode {
    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let bad = || {
            let fault = Fault::new(
                format!("{} is no octal mode", shown(text)),
                "expected three or four octal digits, such as `\"0644\"`",
            );
            match text.strip_prefix("0o") {
                Some(digits) => fault.help(format!("write {}", quoted(&format!("{digits:0>4}")))),
                None if text.contains(['r', 'w', 'x', '+', '=']) => {
                    fault.help("`u=rwx,go=rx` is `\"0755\"`, `u=rw,go=r` is `\"0644\"`")
                }
                None => fault,
            }
        };
        let digits = text.strip_prefix('0').filter(|rest| rest.len() >= 3).unwrap_or(text);
        if !(3..=4).contains(&digits.len()) || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'7')) {
            return Err(bad());
        }
        u32::from_str_radix(digits, 8).map(Mode).map_err(|_| bad())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A mode, or that of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// These bits.
    Octal(Mode),
    /// The bits that the file has on disk.
    Preserve,
}

impl FileMode {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "preserve" => Ok(FileMode::Preserve),
            text => Mode::parse(text).map(FileMode::Octal).map_err(|fault| match nearest(text, ["preserve"]) {
                Some(_) => fault.help("did you mean `\"preserve\"`?"),
                None => fault,
            }),
        }
    }
}

/// A user or a group, by name or number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameOrId {
    /// By name: looked up in the recipe's users, then in the base's passwd or group.
    Name(String),
    /// By number.
    Id(u32),
}

impl fmt::Display for NameOrId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameOrId::Name(name) => f.write_str(name),
            NameOrId::Id(id) => id.fmt(f),
        }
    }
}

/// Who owns something, or runs it: `user` or `user:group`.
///
/// Without a group it is the user's own: for a name, the group that passwd gives; for a number, the same number
/// (semantics 14: `"1001"` means 1001:1001).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnerSpec {
    /// The user.
    pub user: NameOrId,
    /// The group, where one is named.
    pub group: Option<NameOrId>,
}

/// The greatest uid and gid: Docker takes no more, and more would be negative for some.
pub const MAX_ID: u32 = 0x7fff_ffff;

impl OwnerSpec {
    /// User and group, where no name has to be looked up.
    pub fn numeric(&self) -> Option<Owner> {
        let NameOrId::Id(uid) = self.user else { return None };
        match self.group {
            None => Some(Owner::new(uid, uid)),
            Some(NameOrId::Id(gid)) => Some(Owner::new(uid, gid)),
            Some(NameOrId::Name(_)) => None,
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some((group, user.len() + 1..text.len()))),
            None => (text, None),
        };
        Ok(OwnerSpec {
            user: name_or_id(user, "user").map_err(|fault| fault.within(0..user.len().max(1)))?,
            group: match group {
                Some((group, range)) => Some(name_or_id(group, "group").map_err(|fault| fault.within(range))?),
                None => None,
            },
        })
    }
}

impl fmt::Display for OwnerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => self.user.fmt(f),
        }
    }
}

/// A number up to [`MAX_ID`], or a name.
pub(super) fn name_or_id(text: &str, what: &str) -> Result<NameOrId, Fault> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(id) if id <= MAX_ID => Ok(NameOrId::Id(id)),
            _ => Err(Fault::new(format!("{what} {} is out of range", shown(text)), format!("expected 0 to {MAX_ID}"))),
        };
    }
    user_name(text, what).map(|name| NameOrId::Name(name.to_owned()))
}

/// A name as passwd and group take it: up to 32 letters, digits, `_`, `.`, `-`, not a digit or `-` first; `$` may end it.
pub(super) fn user_name<'a>(text: &'a str, what: &str) -> Result<&'a str, Fault> {
    let body = text.strip_suffix('$').unwrap_or(text);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first_is_good = body.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if first_is_good && text.len() <= 32 && body.bytes().all(good) {
        return Ok(text);
    }
    Err(Fault::new(
        format!("{} is no name of a {what}", shown(text)),
        "expected up to 32 letters, digits, `_`, `.` and `-`, a letter or `_` first",
    ))
}

/// A span of time in nanoseconds, written as Go does: `1m30s`, `500ms`. Docker's health check takes 1 ms and more.
pub(super) fn duration(text: &str) -> Result<u64, Fault> {
    let bad = |help: Option<String>| {
        let fault = Fault::new(
            format!("{} is no duration", shown(text)),
            "expected a duration such as `\"30s\"` or `\"1m30s\"`",
        );
        match help {
            Some(help) => fault.help(help),
            None => fault,
        }
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad(Some(format!("a unit is missing: `\"{text}s\"` for seconds"))));
    }
    const UNITS: [(&str, u64); 7] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let whole: u64 = rest[..digits].parse().map_err(|_| bad(None))?;
        rest = &rest[digits..];
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 || digits > 9 {
                return Err(bad(None));
            }
            (fraction, rest) = after.split_at(digits);
        }
        let unit_length = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, after) = rest.split_at(unit_length);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| bad(None))?;
        rest = after;
        let too_long = || Fault::new(format!("{} is too long", shown(text)), "expected less than 292 years");
        let mut part = whole.checked_mul(*unit).ok_or_else(too_long)?;
        if !fraction.is_empty() {
            let scaled = u128::from(*unit) * fraction.parse::<u128>().map_err(|_| bad(None))?;
            let tenths = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
            part = part.checked_add(u64::try_from(scaled / tenths).map_err(|_| too_long())?).ok_or_else(too_long)?;
        }
        total = total.checked_add(part).filter(|total| *total <= i64::MAX as u64).ok_or_else(too_long)?;
    }
    match total {
        1_000_000.. => Ok(total),
        _ => Err(Fault::new(format!("{} is too short", shown(text)), "expected `\"1ms\"` or more")),
    }
}

/// A transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port that an image listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its number, not 0.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

/// The most ports that a list may come to: with the history, which tells of each, they are more than half of the longest config.
pub(super) const MAX_PORTS: usize = 20_000;

/// One port, or the ports of a range: `8080`, `53/udp`, `8000-8010/tcp`, as `EXPOSE` takes them.
pub(super) fn ports(text: &str) -> Result<Vec<Port>, Fault> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => {
            let help = nearest(&other.to_ascii_lowercase(), ["tcp", "udp", "sctp"])
                .map(|close| format!("did you mean `\"{numbers}/{close}\"`?"));
            let fault =
                Fault::new(format!("{} is no protocol of a port", shown(other)), "expected `tcp`, `udp` or `sctp`")
                    .within(numbers.len() + 1..text.len().max(numbers.len() + 1));
            return Err(match help {
                Some(help) => fault.help(help),
                None => fault,
            });
        }
    };
    let number = |text: &str| -> Option<u16> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten().filter(|number| *number > 0)
    };
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => {
            Ok((first..=last).map(|number| Port { number, protocol }).collect())
        }
        _ => {
            let fault = Fault::new(
                format!("{} is no port", shown(text)),
                "expected 1 to 65535, such as `8080` or `\"53/udp\"`",
            );
            Err(match text.contains(':') {
                true => fault.help(
                    "an image only says which ports it listens on; where they are reached is told when it is run",
                ),
                false => fault,
            })
        }
    }
}

/// A signal by name (`SIGTERM`, `SIGRTMIN+3`) or number.
pub(super) fn signal(text: &str) -> Result<&str, Fault> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let offset = |rest: &str, most: u8| {
        rest.is_empty() || rest[1..].parse::<u8>().is_ok_and(|offset| (1..=most).contains(&offset))
    };
    let real_time = text
        .strip_prefix("SIGRTMIN")
        .is_some_and(|rest| (rest.is_empty() || rest.starts_with('+')) && offset(rest, 15))
        || text
            .strip_prefix("SIGRTMAX")
            .is_some_and(|rest| (rest.is_empty() || rest.starts_with('-')) && offset(rest, 14));
    let number = text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    if NAMES.contains(&text) || real_time || number {
        return Ok(text);
    }
    let upper = text.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let fault = Fault::new(format!("{} is no signal", shown(text)), "expected a signal such as `\"SIGTERM\"`");
    Err(match nearest(&full, NAMES) {
        Some(close) => fault.help(format!("did you mean `\"{close}\"`?")),
        None => fault,
    })
}

/// A date in RFC 3339, or a day, which begins at midnight UTC. From 1970 on.
pub(super) fn date(text: &str) -> Result<Timestamp, Fault> {
    let bad = || {
        Fault::new(
            format!("{} is no date", shown(text)),
            "expected a date such as `2026-01-31T12:00:00Z` or `2026-01-31`",
        )
    };
    let instant: Result<Timestamp, _> = text.parse();
    let day: Result<jiff::civil::Date, _> = text.parse();
    let found = match (instant, day) {
        (Ok(instant), _) => instant,
        (Err(_), Ok(day)) if text.len() == 10 => day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| bad())?.timestamp(),
        (Err(_), Ok(_)) if text.contains([':']) => {
            return Err(bad().help("an offset is missing: `Z` for UTC, or `+01:00`"));
        }
        _ => return Err(bad()),
    };
    match found.as_second() {
        0..=253_402_300_799 => Ok(found),
        _ => Err(bad().help("a date lies between 1970 and 9999")),
    }
}

/// Capabilities of a file, as `setcap` takes them and the kernel keeps them (capabilities(7), "File capabilities").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCapabilities {
    /// Bits of what the program is allowed to have.
    pub permitted: u64,
    /// Bits of what it keeps of its caller's.
    pub inheritable: u64,
    /// Whether it has them from the start.
    pub effective: bool,
}

impl FileCapabilities {
    /// The value of the attribute `security.capability`: version 2, without a root user.
    pub fn attribute(&self) -> crate::tree::Capabilities {
        let mut bytes = Vec::with_capacity(20);
        bytes.extend((0x0200_0000u32 | u32::from(self.effective)).to_le_bytes());
        for shift in [0, 32] {
            for set in [self.permitted, self.inheritable] {
                bytes.extend(((set >> shift & 0xffff_ffff) as u32).to_le_bytes());
            }
        }
        crate::tree::Capabilities(bytes)
    }

    /// Reads clauses such as `cap_net_raw,cap_net_admin=eip`, separated by blanks, applied one after the other
    /// (cap_from_text(3), without `-` and `all`, which make no sense for a file that starts with none).
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let bad = |part: &str| {
            Fault::new(
                format!("{} are no capabilities", shown(part)),
                "expected capabilities such as `\"cap_net_bind_service=+ep\"`",
            )
        };
        let mut sets = [0u64; 3];
        for clause in text.split_ascii_whitespace() {
            let at = clause.find(['=', '+']).ok_or_else(|| bad(clause))?;
            let (names, operator) = clause.split_at(at);
            let mut mask = 0;
            for name in names.split(',') {
                let lower = name.to_ascii_lowercase();
                match CAPABILITY_NAMES.iter().position(|known| *known == lower) {
                    Some(number) => mask |= 1u64 << number,
                    None => {
                        let full = if lower.starts_with("cap_") { lower } else { format!("cap_{lower}") };
                        let fault = Fault::new(
                            format!("{} is no capability", shown(name)),
                            "expected a capability such as `cap_net_raw`",
                        );
                        return Err(match nearest(&full, CAPABILITY_NAMES) {
                            Some(close) => fault.help(format!("did you mean `{close}`?")),
                            None => fault,
                        });
                    }
                }
            }
            let flags = operator
                .strip_prefix("=+")
                .or(operator.strip_prefix('='))
                .or(operator.strip_prefix('+'))
                .unwrap_or_default();
            if flags.is_empty() || !flags.bytes().all(|flag| b"eip".contains(&flag)) {
                return Err(bad(clause).help("the flags are `e` (effective), `i` (inheritable) and `p` (permitted)"));
            }
            for (set, flag) in sets.iter_mut().zip(['e', 'i', 'p']) {
                match flags.contains(flag) {
                    true => *set |= mask,
                    false if operator.starts_with('=') => *set &= !mask,
                    false => {}
                }
            }
        }
        let [effective, inheritable, permitted] = sets;
        if permitted | inheritable == 0 {
            return Err(bad(text));
        }
        if effective != 0 && effective != permitted | inheritable {
            return Err(bad(text).help("a file's capabilities are all effective, or none of them"));
        }
        Ok(FileCapabilities { permitted, inheritable, effective: effective != 0 })
    }
}

/// A SHA-256 in hexadecimal digits, with `sha256:` in front or without.
pub(super) fn sha256(text: &str) -> Result<crate::oci::Digest, Fault> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    format!("sha256:{}", digits.to_ascii_lowercase()).parse().map_err(|_| {
        Fault::new(format!("{} is no SHA-256", shown(text)), "expected 64 hexadecimal digits")
            .help("`sha256sum FILE` prints it")
    })
}

/// A number of bytes, such as `64 GiB`.
pub(super) fn size(text: &str) -> Result<u64, Fault> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let factor = match unit.strip_prefix(' ').unwrap_or(unit) {
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1_u64 << 40),
        _ => None,
    };
    let bytes = factor.and_then(|factor| count.parse::<u64>().ok()?.checked_mul(factor)).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| {
        Fault::new(format!("{} is no size", shown(text)), "expected a size such as `\"64 GiB\"`")
            .help("the units are KiB, MiB, GiB and TiB")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn modes_are_octal() {
        for (text, bits) in
            [("0644", 0o644), ("755", 0o755), ("1777", 0o1777), ("04755", 0o4755), ("0000", 0), ("000", 0)]
        {
            assert_eq!(Mode::parse(text).map(Mode::bits), Ok(bits), "{text}");
        }
        for bad in
            ["", "0", "7", "64", "0888", "0o644", "rwxr-xr-x", "077777", "+755", "-644", " 644", "0644 ", "00004755"]
        {
            assert!(Mode::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(FileMode::parse("preserve"), Ok(FileMode::Preserve));
    }

    #[test]
    fn owners_have_names_or_numbers() {
        let owner = |text: &str| OwnerSpec::parse(text);
        assert_eq!(owner("1001").unwrap().numeric(), Some(Owner::new(1001, 1001)));
        assert_eq!(owner("1001:0").unwrap().numeric(), Some(Owner::new(1001, 0)));
        assert_eq!(owner("2147483647").unwrap().numeric(), Some(Owner::new(MAX_ID, MAX_ID)));
        assert_eq!(owner("appuser").unwrap().numeric(), None);
        assert_eq!(owner("appuser:0").unwrap().to_string(), "appuser:0");
        assert_eq!(owner("www-data").unwrap().user, NameOrId::Name("www-data".to_owned()));
        for bad in ["", ":", "a:", ":1", "1:2:3", "2147483648", "4294967296", "-1", "a b", "1a", "ä", "-x", "a/b", "+1"]
        {
            assert!(owner(bad).is_err(), "{bad}");
        }
        assert_eq!(owner("a:b c").unwrap_err().range, Some(2..5));
    }

    #[test]
    fn durations_are_go_s() {
        for (text, nanoseconds) in [
            ("30s", 30_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1ms", 1_000_000),
            ("1500us", 1_500_000),
            ("2000µs", 2_000_000),
            ("0.001s", 1_000_000),
        ] {
            assert_eq!(duration(text), Ok(nanoseconds), "{text}");
        }
        for bad in [
            "",
            "30",
            "s",
            "0s",
            "999us",
            "1d",
            "-1s",
            "1 s",
            "1s ",
            "1.s",
            ".5s",
            "1e3s",
            "9999999999h",
            "+1s",
            "1.0000000001s",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_whole_and_of_a_unit() {
        assert_eq!(
            (size("64 GiB"), size("1KiB"), size("16777215 TiB")),
            (Ok(64 << 30), Ok(1024), Ok(16_777_215 << 40))
        );
        for bad in
            ["", "64", "GiB", "64 GB", "64  GiB", "1.5 GiB", "-1 GiB", "0 MiB", "64 gib", "64 GiB ", "16777216 TiB"]
        {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_are_expose_s() {
        let text =
            |text: &str| ports(text).map(|ports| ports.iter().map(Port::to_string).collect::<Vec<_>>().join(" "));
        assert_eq!(text("8080").as_deref(), Ok("8080/tcp"));
        assert_eq!(text("53/udp").as_deref(), Ok("53/udp"));
        assert_eq!(text("1-3/sctp").as_deref(), Ok("1/sctp 2/sctp 3/sctp"));
        for bad in ["", "0", "65536", "80/", "80/TCP", "80/http", "3-1", "-", "1-", "8080:80", "+80", "80-90-91"] {
            assert!(text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn signals_are_linux_s() {
        for good in ["SIGTERM", "SIGQUIT", "SIGRTMIN", "SIGRTMIN+3", "SIGRTMAX-1", "9", "64"] {
            assert!(signal(good).is_ok(), "{good}");
        }
        for (bad, close) in [
            ("TERM", Some("SIGTERM")),
            ("sigterm", Some("SIGTERM")),
            ("SIGTREM", Some("SIGTERM")),
            ("0", None),
            ("65", None),
            ("", None),
            ("SIGRTMIN+16", None),
            ("SIGRTMIN+", None),
        ] {
            let fault = signal(bad).unwrap_err();
            if let Some(close) = close {
                assert_eq!(fault.help, Some(format!("did you mean `\"{close}\"`?")));
            }
        }
    }

    #[test]
    fn dates_are_instants() {
        for (text, second) in
            [("1970-01-01T00:00:00Z", 0), ("2026-01-31", 1_769_817_600), ("2026-01-31T01:00:00+01:00", 1_769_817_600)]
        {
            assert_eq!(date(text).map(Timestamp::as_second), Ok(second), "{text}");
        }
        for bad in
            ["", "now", "2026-01-31T01:00:00", "2026-13-01", "1969-12-31", "2026", "10000-01-01", "2026-01-31[UTC]"]
        {
            assert!(date(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn capabilities_are_setcap_s() {
        // What `setcap cap_net_raw=ep` stores on a little-endian machine.
        let raw = FileCapabilities::parse("cap_net_raw=ep").unwrap();
        assert_eq!(raw.attribute().0, [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(FileCapabilities::parse("cap_net_raw=+ep"), Ok(raw));
        assert_eq!(FileCapabilities::parse("CAP_NET_RAW+p cap_net_raw+e"), Ok(raw));
        let high = FileCapabilities::parse("cap_bpf,cap_chown=i").unwrap();
        assert_eq!((high.permitted, high.inheritable, high.effective), (0, 1 << 39 | 1, false));
        for bad in [
            "",
            "cap_net_raw",
            "cap_net_raw=",
            "=ep",
            "cap_nope=ep",
            "cap_net_raw=x",
            "cap_net_raw=e",
            "cap_net_raw=ep cap_chown=p",
        ] {
            assert!(FileCapabilities::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(\\PC|[0-9smhµ.:=+,/-]){0,24}") {
            let _ = (Mode::parse(&text), FileMode::parse(&text), OwnerSpec::parse(&text), duration(&text), ports(&text));
            let _ = (signal(&text), date(&text), FileCapabilities::parse(&text), sha256(&text));
        }
    }
}
