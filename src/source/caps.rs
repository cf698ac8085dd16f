//! The `caps` source: file capabilities, as `setcap` gives them (capabilities(7), "File capability extended attribute
//! versioning").

use crate::nearest::nearest;
use crate::tree::Capabilities;

/// The names, by number (linux/capability.h).
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// Why a text names no capabilities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapsError {
    /// Not `NAME,…=+FLAGS`.
    #[error("{0:?} is not of the form `cap_net_bind_service=+ep`")]
    Form(String),
    /// No such capability.
    #[error("there is no capability {name:?}{}", crate::nearest::hint(*.near))]
    Unknown {
        /// What was given.
        name: String,
        /// What was probably meant.
        near: Option<&'static str>,
    },
}

/// Reads `cap_net_bind_service=+ep`, `cap_net_raw,cap_net_admin=eip`, or several of them with spaces between.
///
/// # Errors
/// [`CapsError`].
pub fn parse(text: &str) -> Result<Capabilities, CapsError> {
    let form = || CapsError::Form(text.chars().take(100).collect());
    let (mut permitted, mut inheritable, mut effective) = (0u64, 0u64, false);
    for clause in text.split_whitespace() {
        let at = clause.find(['=', '+']).ok_or_else(form)?;
        let (names, flags) = clause.split_at(at);
        let flags = flags.trim_start_matches(['=', '+']);
        let mut set = 0u64;
        for name in names.split(',') {
            let lower = name.to_ascii_lowercase();
            let number = NAMES.iter().position(|known| *known == lower).ok_or_else(|| CapsError::Unknown {
                name: name.chars().take(100).collect(),
                near: nearest(&lower, NAMES),
            })?;
            set |= 1 << number;
        }
        if flags.is_empty() || !flags.chars().all(|flag| "eip".contains(flag)) {
            return Err(form());
        }
        if flags.contains('p') {
            permitted |= set;
        }
        if flags.contains('i') {
            inheritable |= set;
        }
        effective |= flags.contains('e');
    }
    if permitted == 0 && inheritable == 0 {
        return Err(form());
    }
    // vfs_cap_data, revision 2: magic and flags, then permitted and inheritable, low halves first.
    let magic: u32 = 0x0200_0000 | u32::from(effective);
    let mut bytes = magic.to_le_bytes().to_vec();
    for shift in [0, 32] {
        for set in [permitted, inheritable] {
            bytes.extend(((set >> shift) as u32).to_le_bytes());
        }
    }
    Ok(Capabilities(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_that_setcap_writes() {
        // getfattr -n security.capability -e hex, after `setcap cap_net_bind_service=+ep`.
        let expected = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for text in ["cap_net_bind_service=+ep", "CAP_NET_BIND_SERVICE=ep", "cap_net_bind_service+ep"] {
            assert_eq!(parse(text).unwrap().0, expected);
        }
        // The last capability is in the high half.
        assert_eq!(parse("cap_checkpoint_restore=p").unwrap().0[12..16], [0, 1, 0, 0]);
        let two = parse("cap_chown=p cap_kill=i").unwrap().0;
        assert_eq!((two[0], two[4], two[8]), (0, 1, 32));
    }

    #[test]
    fn the_rest_is_refused() {
        for bad in ["", "cap_chown", "cap_chown=", "cap_chown=x", "=ep", "cap_chown=e", "all=ep", "cap_chown,=p"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = parse("cap_net_bind_servic=+ep").unwrap_err().to_string();
        assert!(error.contains("did you mean `cap_net_bind_service`?"), "{error}");
    }
}
