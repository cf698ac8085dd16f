//! Which machine a program is for, told by the first bytes of its file (System V gABI, chapter 4, "ELF Header").

/// The machine (`e_machine`) of a program or shared library; `None` for other files, objects included.
pub fn of_program(start: &[u8]) -> Option<u16> {
    let header = start.get(..20)?;
    if header[..4] != *b"\x7fELF" {
        return None;
    }
    let number = |at: usize| match header[5] {
        1 => Some(u16::from_le_bytes([header[at], header[at + 1]])),
        2 => Some(u16::from_be_bytes([header[at], header[at + 1]])),
        _ => None,
    };
    // ET_EXEC and ET_DYN: what can be run or loaded.
    matches!(number(16)?, 2 | 3).then(|| number(18))?
}

/// Whether a machine runs programs for another, as 64-bit ones run those of their 32-bit forebears.
pub fn runs(machine: u16, program: u16) -> bool {
    const I386: u16 = 3;
    const ARM: u16 = 40;
    const X86_64: u16 = 62;
    const AARCH64: u16 = 183;
    // BPF programs are loaded by the kernel of any machine.
    const BPF: u16 = 247;
    machine == program || program == BPF || matches!((machine, program), (X86_64, I386) | (AARCH64, ARM))
}

/// The name that people know a machine by.
pub fn name(machine: u16) -> String {
    let known = match machine {
        3 => "386",
        8 => "MIPS",
        21 => "ppc64",
        22 => "s390x",
        40 => "arm",
        62 => "amd64",
        183 => "arm64",
        243 => "riscv64",
        258 => "loong64",
        _ => return format!("ELF machine {machine}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_other_files() {
        let mut header = [0; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (header[16], header[18]) = (2, 62);
        assert_eq!(of_program(&header), Some(62));
        header[16] = 1;
        assert_eq!(of_program(&header), None, "an object");
        header[5] = 2;
        (header[16], header[17], header[18], header[19]) = (0, 3, 0, 22);
        assert_eq!(of_program(&header), Some(22), "big-endian");
        assert_eq!(of_program(&header[..19]), None);
        assert_eq!(of_program(b"#!/bin/sh\n# a script of some length\n"), None);
        assert!(runs(62, 3) && runs(62, 62) && !runs(62, 183) && !runs(3, 62));
    }
}
