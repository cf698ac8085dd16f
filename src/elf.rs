//! What an ELF file says of itself: its machine, its interpreter, and the libraries that it needs (System V gABI, chapters
//! 4 and 5). Only headers and the dynamic section are read, and every number in them is taken for a lie until it fits.

use std::io;

/// What one ELF file says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Elf {
    /// Whether it is of the 64-bit class.
    pub wide: bool,
    /// Whether its numbers are little-endian.
    pub little: bool,
    /// `e_type`: 2 is a program, 3 a shared object (or a program that may lie anywhere).
    pub kind: u16,
    /// `e_machine`; see [`crate::oci::Platform::elf_machine`].
    pub machine: u16,
    /// `e_flags`
    pub flags: u32,
    /// The program that loads it.
    pub interpreter: Option<Vec<u8>>,
    /// Whether it has a dynamic section.
    pub dynamic: bool,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<Vec<u8>>,
    /// `DT_SONAME`
    pub soname: Option<Vec<u8>>,
    /// `DT_RPATH`
    pub rpath: Option<Vec<u8>>,
    /// `DT_RUNPATH`
    pub runpath: Option<Vec<u8>>,
}

/// What a table of libraries asks of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whether it is of the 64-bit class.
    pub wide: bool,
    /// Whether its numbers are little-endian.
    pub little: bool,
    /// `e_type`
    pub kind: u16,
    /// Whether it has a dynamic section.
    pub dynamic: bool,
    /// `DT_SONAME`
    pub soname: Option<Vec<u8>>,
}

impl From<Elf> for Head {
    fn from(Elf { wide, little, kind, dynamic, soname, .. }: Elf) -> Self {
        Head { wide, little, kind, dynamic, soname }
    }
}

/// Why a file that starts as ELF files do is none.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It could not be read.
    #[error("reading an ELF file")]
    Io(#[from] io::Error),
    /// Its headers do not fit together.
    #[error("the ELF file is damaged: {0}")]
    Damaged(&'static str),
}

/// `ET_EXEC` and `ET_DYN`: what can be run or loaded.
pub const EXECUTABLE: u16 = 2;
/// `ET_DYN`
pub const SHARED: u16 = 3;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// The most bytes of a dynamic section, and of its strings. The largest known are below 1 MiB and 64 MiB.
const MAX_DYNAMIC: u64 = 1 << 20;
const MAX_STRINGS: u64 = 256 << 20;
const MAX_NAME: usize = 4096;

/// A segment of the file.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// Reads numbers of one class and byte order.
#[derive(Clone, Copy)]
struct Numbers {
    wide: bool,
    little: bool,
}

impl Numbers {
    fn at(self, bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
        let field = bytes.get(offset..offset.checked_add(size)?)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.little { field.iter().rev().fold(0, join) } else { field.iter().fold(0, join) })
    }

    fn word(self, bytes: &[u8], offset: usize) -> Option<u64> {
        self.at(bytes, offset, if self.wide { 8 } else { 4 })
    }
}

/// Reads a file's headers. `read_at` gives at most so many bytes from an offset on, fewer where the file ends. `None`
/// where the file is no ELF file.
///
/// # Errors
/// [`ElfError`].
pub fn read(mut read_at: impl FnMut(u64, u64) -> io::Result<Vec<u8>>) -> Result<Option<Elf>, ElfError> {
    let header = read_at(0, 64)?;
    if header.len() < 20 || &header[..4] != b"\x7fELF" {
        return Ok(None);
    }
    let damaged = |what| ElfError::Damaged(what);
    let numbers = Numbers {
        wide: match header[4] {
            1 => false,
            2 => true,
            _ => return Err(damaged("its class is not known")),
        },
        little: match header[5] {
            1 => true,
            2 => false,
            _ => return Err(damaged("its byte order is not known")),
        },
    };
    let cut = || damaged("its header is cut");
    let half = |offset| numbers.at(&header, offset, 2).ok_or_else(cut);
    let (table, entry_size, count, flags) = match numbers.wide {
        true => (numbers.at(&header, 32, 8), half(54), half(56), numbers.at(&header, 48, 4)),
        false => (numbers.at(&header, 28, 4), half(42), half(44), numbers.at(&header, 36, 4)),
    };
    let (table, entry_size, count) = (table.ok_or_else(cut)?, entry_size?, count?);
    let mut elf = Elf {
        wide: numbers.wide,
        little: numbers.little,
        kind: half(16)? as u16,
        machine: half(18)? as u16,
        flags: flags.ok_or_else(cut)? as u32,
        ..Elf::default()
    };
    if count == 0 {
        return Ok(Some(elf));
    }
    let expected = if numbers.wide { 56 } else { 32 };
    if entry_size != expected {
        return Err(damaged("its program headers are of an unknown size"));
    }
    let headers = read_at(table, entry_size * count)?;
    if (headers.len() as u64) < entry_size * count {
        return Err(damaged("its program headers lie behind its end"));
    }
    let mut segments = Vec::new();
    for header in headers.chunks_exact(entry_size as usize) {
        let field =
            |wide: usize, narrow: usize| numbers.word(header, if numbers.wide { wide } else { narrow }).ok_or_else(cut);
        segments.push(Segment {
            kind: numbers.at(header, 0, 4).ok_or_else(cut)? as u32,
            offset: field(8, 4)?,
            address: field(16, 8)?,
            size: field(32, 16)?,
        });
    }
    if let Some(segment) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
        let bytes = read_at(segment.offset, segment.size.min(MAX_NAME as u64))?;
        elf.interpreter = Some(until_nul(&bytes).to_vec());
    }
    if let Some(segment) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC && segment.size > 0) {
        if segment.size > MAX_DYNAMIC {
            return Err(damaged("its dynamic section is too large"));
        }
        elf.dynamic = true;
        let section = read_at(segment.offset, segment.size)?;
        dynamic(&mut elf, numbers, &section, &segments, &mut read_at)?;
    }
    Ok(Some(elf))
}

fn dynamic(
    elf: &mut Elf,
    numbers: Numbers,
    section: &[u8],
    segments: &[Segment],
    read_at: &mut impl FnMut(u64, u64) -> io::Result<Vec<u8>>,
) -> Result<(), ElfError> {
    let damaged = |what| ElfError::Damaged(what);
    let word = if numbers.wide { 8 } else { 4 };
    let mut entries = Vec::new();
    for pair in section.chunks_exact(2 * word) {
        let (Some(tag), Some(value)) = (numbers.word(pair, 0), numbers.word(pair, word)) else { break };
        if tag == DT_NULL {
            break;
        }
        entries.push((tag, value));
    }
    let find = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let names: Vec<(u64, u64)> =
        entries.iter().copied().filter(|(tag, _)| [DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH].contains(tag)).collect();
    let (Some(address), Some(size)) = (find(DT_STRTAB), find(DT_STRSZ)) else {
        return if names.is_empty() { Ok(()) } else { Err(damaged("it has no table of strings")) };
    };
    let load = segments.iter().find(|segment| {
        segment.kind == PT_LOAD && address >= segment.address && address - segment.address < segment.size
    });
    let start = match load {
        Some(load) => load.offset.checked_add(address - load.address),
        None if names.is_empty() => return Ok(()),
        None => None,
    };
    let start = start.ok_or_else(|| damaged("its table of strings lies nowhere"))?;
    if size > MAX_STRINGS {
        return Err(damaged("its table of strings is too large"));
    }
    // Names lie near each other: only the stretch that holds them is read.
    let (Some(first), Some(last)) = (names.iter().map(|(_, at)| *at).min(), names.iter().map(|(_, at)| *at).max())
    else {
        return Ok(());
    };
    if last >= size {
        return Err(damaged("a name lies behind its table of strings"));
    }
    let end = last.saturating_add(MAX_NAME as u64).min(size);
    let strings = read_at(start.saturating_add(first), end - first)?;
    for (tag, at) in names {
        let rest = strings.get((at - first) as usize..).unwrap_or_default();
        let rest = &rest[..rest.len().min(MAX_NAME)];
        let name = until_nul(rest);
        if name.len() == rest.len() {
            return Err(damaged("a name has no end"));
        }
        let name = name.to_vec();
        match tag {
            DT_NEEDED => elf.needed.push(name),
            DT_SONAME => elf.soname = Some(name),
            DT_RPATH => elf.rpath = Some(name),
            _ => elf.runpath = Some(name),
        }
    }
    Ok(())
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file with nothing in it but what is read here.
    pub(crate) fn make(
        wide: bool,
        little: bool,
        machine: u16,
        interpreter: Option<&str>,
        needed: &[&str],
        soname: Option<&str>,
        runpath: Option<&str>,
    ) -> Vec<u8> {
        let number = |value: u64, size: usize| -> Vec<u8> {
            if little { value.to_le_bytes()[..size].to_vec() } else { value.to_be_bytes()[8 - size..].to_vec() }
        };
        let word = if wide { 8 } else { 4 };
        let mut strings = vec![0];
        let mut entries: Vec<(u64, u64)> = Vec::new();
        let named = needed.iter().map(|name| (DT_NEEDED, *name));
        let named = named.chain(soname.map(|name| (DT_SONAME, name))).chain(runpath.map(|name| (DT_RUNPATH, name)));
        for (tag, name) in named {
            entries.push((tag, strings.len() as u64));
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
        }
        let header_size = if wide { 64 } else { 52 };
        let (entry_size, count) = (if wide { 56 } else { 32 }, 2 + u64::from(interpreter.is_some()));
        let base = 0x10000;
        let strings_at = header_size + entry_size * count;
        let interpreter_at = strings_at + strings.len() as u64;
        let interpreter_size = interpreter.map_or(0, |name| name.len() as u64 + 1);
        let dynamic_at = interpreter_at + interpreter_size;
        entries.extend([(DT_STRTAB, base + strings_at), (DT_STRSZ, strings.len() as u64), (DT_NULL, 0)]);
        let dynamic_size = entries.len() as u64 * 2 * word as u64;
        let total = dynamic_at + dynamic_size;
        let mut file = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, if little { 1 } else { 2 }, 1];
        file.resize(16, 0);
        file.extend([number(3, 2), number(u64::from(machine), 2), number(1, 4), number(0, word)].concat());
        file.extend([number(header_size, word), number(0, word), number(0, 4), number(header_size, 2)].concat());
        file.extend([number(entry_size, 2), number(count, 2), number(0, 2), number(0, 2), number(0, 2)].concat());
        assert_eq!(file.len() as u64, header_size);
        let mut segment = |kind: u64, offset: u64, size: u64| {
            let address = number(base + offset, word);
            let (kind, flags) = (number(kind, 4), number(4, 4));
            let (offset, size, align) = (number(offset, word), number(size, word), number(1, word));
            file.extend(match wide {
                true => [kind, flags, offset, address.clone(), address, size.clone(), size, align].concat(),
                false => [kind, offset, address.clone(), address, size.clone(), size, flags, align].concat(),
            });
        };
        segment(u64::from(PT_LOAD), 0, total);
        segment(u64::from(PT_DYNAMIC), dynamic_at, dynamic_size);
        if interpreter.is_some() {
            segment(u64::from(PT_INTERP), interpreter_at, interpreter_size);
        }
        file.extend(strings);
        if let Some(name) = interpreter {
            file.extend_from_slice(name.as_bytes());
            file.push(0);
        }
        for (tag, value) in entries {
            file.extend([number(tag, word), number(value, word)].concat());
        }
        file
    }

    fn parse(bytes: &[u8]) -> Result<Option<Elf>, ElfError> {
        read(|offset, length| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let to = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(bytes.len());
            Ok(bytes[from..to].to_vec())
        })
    }

    #[test]
    fn both_classes_and_byte_orders() {
        for (wide, little) in [(true, true), (true, false), (false, true), (false, false)] {
            let bytes = make(
                wide,
                little,
                62,
                Some("/lib/ld.so"),
                &["libc.so.6", "libm.so.6"],
                Some("libx.so.1"),
                Some("$ORIGIN"),
            );
            let elf = parse(&bytes).unwrap().unwrap();
            assert_eq!((elf.wide, elf.little, elf.machine, elf.kind, elf.dynamic), (wide, little, 62, 3, true));
            assert_eq!(elf.interpreter.as_deref(), Some(&b"/lib/ld.so"[..]));
            assert_eq!(elf.needed, [b"libc.so.6", b"libm.so.6"]);
            assert_eq!(elf.soname.as_deref(), Some(&b"libx.so.1"[..]));
            assert_eq!(elf.runpath.as_deref(), Some(&b"$ORIGIN"[..]));
            for cut in 20..bytes.len() {
                assert!(parse(&bytes[..cut]).is_err() || cut > 52, "cut at {cut}");
            }
        }
        for other in [&b""[..], b"#!/bin/sh", b"\x7fEL", b"\x7fELF"] {
            assert_eq!(parse(other).unwrap(), None);
        }
    }

    #[test]
    fn the_programs_of_this_machine() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(parse(&bytes).unwrap().is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..300, value: u8, more in proptest::collection::vec(any::<(usize, u8)>(), 0..8)) {
            let mut bytes = make(true, true, 62, Some("/lib/ld.so"), &["libc.so.6"], None, None);
            for (at, value) in more.into_iter().chain([(at, value)]) {
                let length = bytes.len();
                bytes[at % length] = value;
            }
            let _ = parse(&bytes);
        }
    }
}
