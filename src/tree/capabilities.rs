//! Capabilities of files, as the kernel keeps them (capabilities(7), "File capabilities").

use std::fmt;

/// The value of a file's `security.capability` attribute, version 2 or 3, as the kernel stores it.
///
/// Shown as `setcap` takes it (`cap_net_raw=ep`); a value of another form by its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities(pub Vec<u8>);

/// The names of capabilities, in the order of their numbers (linux/capability.h).
pub const CAPABILITY_NAMES: [&str; 41] = [
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

impl Capabilities {
    /// Whether they hold from the start, and the bits of what the program may have and of what it keeps of its caller's, where
    /// the value is of version 2, or of version 3 for the root user of a namespace, whose number comes last.
    fn sets(&self) -> Option<(bool, [u64; 2], Option<u32>)> {
        let mut words = self.0.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
        let head = words.next()?;
        let [permitted, inheritable, permitted_high, inheritable_high] =
            [words.next()?, words.next()?, words.next()?, words.next()?].map(u64::from);
        let root = match (head >> 24, self.0.len()) {
            (2, 20) => None,
            (3, 24) => Some(words.next()?),
            _ => return None,
        };
        let sets = [permitted | permitted_high << 32, inheritable | inheritable_high << 32];
        Some((head & 1 == 1, sets, root))
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((effective, [permitted, inheritable], root)) = self.sets() else {
            f.write_str("security.capability=0x")?;
            return self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"));
        };
        let name = |bit: u32| match CAPABILITY_NAMES.get(bit as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("cap_{bit}"),
        };
        let effective = if effective { "e" } else { "" };
        let mut clauses = Vec::new();
        for (flags, set) in
            [("ip", permitted & inheritable), ("i", inheritable & !permitted), ("p", permitted & !inheritable)]
        {
            let names: Vec<String> = (0..64).filter(|bit| set >> bit & 1 == 1).map(name).collect();
            if !names.is_empty() {
                clauses.push(format!("{}={effective}{flags}", names.join(",")));
            }
        }
        f.write_str(if clauses.is_empty() { "=" } else { "" })?;
        f.write_str(&clauses.join(" "))?;
        match root {
            Some(root) => write!(f, " [rootid={root}]"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_shown_as_they_are_set() {
        let value = |head: u32, words: &[u32]| {
            Capabilities([head].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()).to_string()
        };
        assert_eq!(value(0x0200_0001, &[1 << 10, 0, 0, 0]), "cap_net_bind_service=ep");
        assert_eq!(value(0x0200_0000, &[1 << 13, 1 << 13 | 1, 1 << 7, 0]), "cap_net_raw=ip cap_chown=i cap_bpf=p");
        assert_eq!(value(0x0300_0001, &[1, 0, 0, 1 << 31, 1000]), "cap_63=ei cap_chown=ep [rootid=1000]");
        assert_eq!(value(0x0200_0000, &[0, 0, 0, 0]), "=");
        assert_eq!(value(0x0100_0000, &[1]), "security.capability=0x0000000101000000");
        assert_eq!(Capabilities(vec![1, 2, 3]).to_string(), "security.capability=0x010203");
    }
}
