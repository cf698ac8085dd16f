//! `/etc/ld.so.cache`: where the dynamic loader finds libraries (ldconfig(8); glibc's `dl-cache.h`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::super::staging::{Staging, StagingError};
use crate::elf::{self, Head};
use crate::tree::{Node, NodeKind, Origin, Owner, ResolveError, Rootfs, TreePath};

/// The most files that `include` lines may lead to.
const MAX_FILES: usize = 1000;

const CACHE: &str = "etc/ld.so.cache";

/// What the cache and each of its entries begin with, in bytes.
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// The mark at the beginning; older versions of ldconfig put a table of another form in front of it.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// What a file of the tree says of itself; `None` where it is no ELF file.
pub type ReadHead<'a, E> = dyn Fn(&TreePath, &Node) -> Result<Option<Head>, E> + 'a;

/// A library: its name, and its path as the cache has it.
pub type Library = (Vec<u8>, Vec<u8>);

type Libraries = Vec<Library>;

/// How the cache marks libraries of an architecture: the flags of an entry, the ELF class and byte order, and the triplet
/// in the names of directories.
struct Marks {
    flags: u32,
    wide: bool,
    little: bool,
    triplet: &'static str,
}

fn marks(architecture: &str) -> Option<Marks> {
    let of = |flags, wide, little, triplet| Some(Marks { flags, wide, little, triplet });
    match architecture {
        "amd64" => of(0x0303, true, true, "x86_64-linux-gnu"),
        "arm64" => of(0x0a03, true, true, "aarch64-linux-gnu"),
        "i386" => of(0x0003, false, true, "i386-linux-gnu"),
        "armhf" => of(0x0903, false, true, "arm-linux-gnueabihf"),
        "armel" => of(0x0b03, false, true, "arm-linux-gnueabi"),
        "ppc64el" => of(0x0503, true, true, "powerpc64le-linux-gnu"),
        "s390x" => of(0x0403, true, false, "s390x-linux-gnu"),
        "riscv64" => of(0x1003, true, true, "riscv64-linux-gnu"),
        _ => None,
    }
}

/// Writes the cache for the tree as it is now, where the image has a loader that reads one. To be done last, since
/// libraries that a recipe copies count, too. Of libraries in layers of a base, the base's own cache is believed, so that
/// they are not read; where it already says all there is, it stays.
///
/// # Errors
/// Where a file cannot be read.
pub fn apply(staging: &mut Staging<'_>, architecture: &str) -> Result<(), StagingError> {
    // Without the list of directories there is no ldconfig either, and nothing that says a cache is wanted.
    if !staging.exists("etc/ld.so.conf") {
        return Ok(());
    }
    let there = staging.read(CACHE)?.and_then(|bytes| parse(&bytes, architecture));
    let head = |path: &TreePath, node: &Node| match &node.kind {
        NodeKind::File(located) => staging.head(path, located),
        _ => Ok(None),
    };
    let config = |path: &str| staging.text(path);
    let Some(bytes) = build(staging.view(), architecture, &config, &head, there.as_deref())? else { return Ok(()) };
    // ldconfig and we may tell of the same libraries in another order, or of one twice.
    let set = |libraries: Option<Libraries>| libraries.map(|list| list.into_iter().collect::<BTreeSet<Library>>());
    if there.is_some() && set(parse(&bytes, architecture)) == set(there) {
        return Ok(());
    }
    staging.file(CACHE, bytes, 0o644, Owner::ROOT, &Origin::new("ld.so.cache"))
}

/// The bytes of the cache for a tree; `None` for an architecture whose cache is not known. `there` is what the tree's own
/// cache says: libraries that it tells of and that lie in layers of a base are not read.
///
/// # Errors
/// What the two readers give.
pub fn build<E: From<ResolveError>>(
    view: &Rootfs,
    architecture: &str,
    text: &dyn Fn(&str) -> Result<Option<String>, E>,
    head: &ReadHead<'_, E>,
    there: Option<&[Library]>,
) -> Result<Option<Vec<u8>>, E> {
    let Some(marks) = marks(architecture) else { return Ok(None) };
    let there = there.map(|there| by_directory(view, there));
    let directories = directories(view, architecture, text)?;
    let mut real: BTreeSet<TreePath> = BTreeSet::new();
    let mut entries: Libraries = Vec::new();
    for directory in directories {
        let Ok(path) = TreePath::parse(&directory) else { continue };
        let Ok(place) = view.resolve(&path) else { continue };
        if view.is_directory(&place) && real.insert(place.clone()) {
            let known = there.as_ref().map(|there| there.get(&place).map_or(&[][..], Vec::as_slice));
            entries.extend(libraries(view, &place, &directory, &marks, head, known)?);
        }
    }
    // Stable: of two libraries of one name, that of the first directory comes first.
    entries.sort_by(|(a, _), (b, _)| compare(b, a));
    Ok(Some(write(&entries, &marks)))
}

/// Where the loader looks: what `/etc/ld.so.conf` names, then its own directories.
///
/// # Errors
/// What the reader gives.
pub fn directories<E>(
    view: &Rootfs,
    architecture: &str,
    text: &dyn Fn(&str) -> Result<Option<String>, E>,
) -> Result<Vec<String>, E> {
    let mut directories = Vec::new();
    config(view, "etc/ld.so.conf", text, &mut directories, &mut 0)?;
    if let Some(marks) = marks(architecture) {
        directories.extend([format!("/lib/{}", marks.triplet), format!("/usr/lib/{}", marks.triplet)]);
    }
    directories.extend(["/lib", "/usr/lib", "/lib64", "/usr/lib64"].map(str::to_owned));
    Ok(directories)
}

/// The directories that a configuration names, in order.
fn config<E>(
    view: &Rootfs,
    path: &str,
    text: &dyn Fn(&str) -> Result<Option<String>, E>,
    directories: &mut Vec<String>,
    files: &mut usize,
) -> Result<(), E> {
    *files += 1;
    if *files > MAX_FILES {
        return Ok(());
    }
    for line in text(path)?.unwrap_or_default().lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(pattern) = line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t'])) else {
            if line.starts_with('/') {
                directories.push(line.trim_end_matches('/').to_owned());
            }
            continue;
        };
        for pattern in pattern.split_whitespace() {
            let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/{pattern}") };
            let (directory, name) = pattern.rsplit_once('/').unwrap_or(("", &pattern));
            let Some(place) = TreePath::parse(directory).ok().and_then(|path| view.resolve(&path).ok()) else {
                continue;
            };
            let names: Vec<String> = view
                .children(&place)
                .filter_map(|(path, _)| String::from_utf8(path.file_name()?.to_vec()).ok())
                .filter(|candidate| matches(name, candidate))
                .collect();
            for name in names {
                config(view, &format!("{directory}/{name}"), text, directories, files)?;
            }
        }
    }
    Ok(())
}

/// Whether a name fits a pattern with stars, in time that both lengths bound.
fn matches(pattern: &str, name: &str) -> bool {
    // A star does not stand for a leading dot.
    if pattern.starts_with('*') && name.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The earliest place leaves the most for what follows.
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What a cache says of files that lie in layers of a base and are still there, by the directory that they are in.
fn by_directory(view: &Rootfs, there: &[Library]) -> BTreeMap<TreePath, Libraries> {
    let mut places: BTreeMap<TreePath, Libraries> = BTreeMap::new();
    for library in there {
        let Ok(path) = TreePath::parse(&library.1) else { continue };
        if !matches!(view.file(&path), Ok(Some((_, _, located))) if !located.is_own()) {
            continue;
        }
        let place = path.parent().and_then(|directory| view.resolve(&directory).ok());
        places.entry(place.unwrap_or_default()).or_default().push(library.clone());
    }
    places
}

/// The libraries of one directory: name, and path as the cache has it. `known` are those of a base, which are then not
/// read.
fn libraries<E>(
    view: &Rootfs,
    place: &TreePath,
    directory: &str,
    marks: &Marks,
    head: &ReadHead<'_, E>,
    known: Option<&[Library]>,
) -> Result<Libraries, E> {
    let mut found: BTreeMap<Vec<u8>, Vec<u8>> = known.unwrap_or_default().iter().cloned().collect();
    let names: Vec<Vec<u8>> = view.children(place).filter_map(|(path, _)| Some(path.file_name()?.to_vec())).collect();
    for name in names {
        let text = String::from_utf8_lossy(&name);
        let library = text.starts_with("lib") || text.starts_with("ld-");
        if !library || !(text.ends_with(".so") || text.contains(".so.")) {
            continue;
        }
        let Ok(path) = place.child(&name) else { continue };
        let Ok(Some((real, node, located))) = view.file(&path) else { continue };
        if known.is_some() && !located.is_own() {
            continue;
        }
        let Some(elf) = head(&real, node)? else { continue };
        if (elf.wide, elf.little, elf.kind) != (marks.wide, marks.little, elf::SHARED) || !elf.dynamic {
            continue;
        }
        // A library is found by the name that it gives itself, where a file of that name is there.
        let soname = elf.soname.unwrap_or_else(|| name.clone());
        let there = place.child(&soname).ok().is_some_and(|path| matches!(view.file(&path), Ok(Some(_))));
        if there && !soname.contains(&b'/') {
            found.insert(soname.clone(), [directory.as_bytes(), b"/", &soname].concat());
        }
    }
    Ok(found.into_iter().collect())
}

/// The loader's order of names: digits count as numbers.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let number = |text: &[u8]| {
                    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
                    digits.fold((0i32, 0), |(value, count), digit| {
                        (value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')), count + 1)
                    })
                };
                let ((x, digits_a), (y, digits_b)) = (number(a), number(b));
                if x != y {
                    return x.cmp(&y);
                }
                (a, b) = (&a[digits_a..], &b[digits_b..]);
            }
            (Some(x), _) if x.is_ascii_digit() => return Ordering::Greater,
            (_, Some(y)) if y.is_ascii_digit() => return Ordering::Less,
            (Some(x), Some(y)) if x != y => return x.cmp(y),
            (Some(_), None) => return Ordering::Greater,
            _ => (a, b) = (&a[1..], &b[1..]),
        }
    }
}

/// What a cache says of libraries of an architecture, in its order; `None` where it is none that can be read. Those for
/// certain machines alone are passed over: the loader finds the others.
pub fn parse(bytes: &[u8], architecture: &str) -> Option<Vec<Library>> {
    let marks = marks(architecture)?;
    let start = match bytes.starts_with(MAGIC) {
        true => 0,
        false => bytes.windows(MAGIC.len()).position(|window| window == MAGIC)?,
    };
    let bytes = bytes.get(start..)?;
    let number = |at: usize| {
        let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if marks.little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    let text = |at: u32| {
        let rest = bytes.get(at as usize..)?;
        Some(rest[..rest.iter().position(|byte| *byte == 0)?].to_vec())
    };
    let count = number(MAGIC.len())? as usize;
    if count > bytes.len() / ENTRY {
        return None;
    }
    let mut libraries = Vec::with_capacity(count);
    for at in (0..count).map(|entry| HEADER + ENTRY * entry) {
        let plain = number(at + 16)? == 0 && number(at + 20)? == 0;
        if plain && number(at)? == marks.flags {
            libraries.push((text(number(at + 4)?)?, text(number(at + 8)?)?));
        }
    }
    Some(libraries)
}

fn write(entries: &[Library], marks: &Marks) -> Vec<u8> {
    let number = |value: usize| match marks.little {
        true => (value as u32).to_le_bytes(),
        false => (value as u32).to_be_bytes(),
    };
    let start = HEADER + ENTRY * entries.len();
    let mut strings: Vec<u8> = Vec::new();
    let mut table: Vec<u8> = Vec::new();
    for (name, path) in entries {
        table.extend(number(marks.flags as usize));
        for text in [name, path] {
            table.extend(number(start + strings.len()));
            strings.extend_from_slice(text);
            strings.push(0);
        }
        // Versions of the kernel and of the hardware that are needed: none.
        table.extend([0; 12]);
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend(number(entries.len()));
    bytes.extend(number(strings.len()));
    bytes.push(if marks.little { 2 } else { 3 });
    bytes.resize(HEADER, 0);
    [bytes, table, strings].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::make;
    use crate::tree::Located;

    fn names(cache: &[u8]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let libraries = parse(cache, "amd64").unwrap();
        libraries.iter().map(|(name, path)| format!("{} {}", text(name), text(path))).collect()
    }

    #[test]
    fn libraries_are_found_by_their_own_names() {
        let origin = Origin::new("test");
        let no_base = |_, _, _| Err(std::io::Error::other("there is no base"));
        let mut staging = Staging::new(Rootfs::new(), &no_base);
        let library = |soname: Option<&str>| make(true, true, 62, None, &[], soname, None);
        for (path, bytes) in [
            ("etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n".to_vec()),
            ("etc/ld.so.conf.d/a.conf", b"# local\n/usr/local/lib\n".to_vec()),
            ("etc/ld.so.conf.d/b.conf", b"/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu/\n".to_vec()),
            ("etc/ld.so.conf.d/c", b"/opt/no\n".to_vec()),
            ("usr/local/lib/libz.so.1", library(Some("libz.so.1"))),
            ("usr/lib/x86_64-linux-gnu/libz.so.1.3", library(Some("libz.so.1"))),
            ("usr/lib/x86_64-linux-gnu/libx.so.10", library(Some("libx.so.10"))),
            ("usr/lib/x86_64-linux-gnu/libx.so.9", library(Some("libx.so.9"))),
            ("usr/lib/x86_64-linux-gnu/libnoname.so", library(None)),
            ("usr/lib/x86_64-linux-gnu/libgone.so", library(Some("libgone.so.1"))),
            ("usr/lib/x86_64-linux-gnu/libscript.so", b"GROUP ( x )".to_vec()),
            ("usr/lib/x86_64-linux-gnu/libsmall.so", make(false, true, 3, None, &[], None, None)),
            ("usr/lib/x86_64-linux-gnu/deep/libdeep.so", library(None)),
        ] {
            staging.file(path, bytes, 0o644, Owner::ROOT, &origin).unwrap();
        }
        staging.symlink("lib", "usr/lib", &origin).unwrap();
        staging.symlink("usr/lib/x86_64-linux-gnu/libz.so.1", "libz.so.1.3", &origin).unwrap();
        apply(&mut staging, "amd64").unwrap();
        let cache = staging.read("etc/ld.so.cache").unwrap().unwrap();
        assert_eq!(
            names(&cache),
            [
                "libz.so.1 /usr/local/lib/libz.so.1",
                "libz.so.1 /lib/x86_64-linux-gnu/libz.so.1",
                "libx.so.10 /lib/x86_64-linux-gnu/libx.so.10",
                "libx.so.9 /lib/x86_64-linux-gnu/libx.so.9",
                "libnoname.so /lib/x86_64-linux-gnu/libnoname.so",
            ]
        );
    }

    #[test]
    fn a_bases_cache_is_believed_and_its_libraries_are_not_read() {
        let origin = Origin::new("test");
        let marks = marks("amd64").unwrap();
        let pair = |name: &str, path: &str| (name.as_bytes().to_vec(), path.as_bytes().to_vec());
        let there = [
            pair("libold.so.1", "/usr/lib/libold.so.1"),
            pair("libgone.so.1", "/usr/lib/libgone.so.1"),
            pair("liba.so.1", "/usr/lib/liba.so.1"),
        ];
        // As older versions wrote it: another table in front.
        let cache = [b"ld.so-1.7.0\0\0\0\0\0", &write(&there, &marks)[..]].concat();
        let mut base = Rootfs::new();
        let path = |text: &str| TreePath::parse(text).unwrap();
        let put = |base: &mut Rootfs, text: &str, offset: u64, length: u64| {
            let kind = NodeKind::File(Located::Layer { layer: 0, offset, length });
            base.put(path(text), Node { kind, mode: 0o644, owner: Owner::ROOT });
        };
        put(&mut base, "etc/ld.so.cache", 0, cache.len() as u64);
        put(&mut base, "etc/ld.so.conf", 1000, 15);
        for library in ["usr/lib/libold.so.1", "usr/lib/liba.so.1", "usr/lib/libunknown.so.1"] {
            put(&mut base, library, 9000, 10);
        }
        let read = |_: usize, offset: u64, _: u64| match offset {
            0 => Ok(cache.clone()),
            1000 => Ok(b"/usr/local/lib\n".to_vec()),
            _ => Err(std::io::Error::other("a library of the base is read")),
        };
        // Nothing but what has gone is new: then the cache is the base's, without it.
        let mut staging = Staging::new(base.clone(), &read);
        apply(&mut staging, "amd64").unwrap();
        let lines = names(&staging.read(CACHE).unwrap().unwrap());
        assert_eq!(lines, ["libold.so.1 /usr/lib/libold.so.1", "liba.so.1 /usr/lib/liba.so.1"]);
        // Another library comes in, and one takes the place of the base's.
        let mut staging = Staging::new(base.clone(), &read);
        let library = |soname| make(true, true, 62, None, &[], Some(soname), None);
        staging.file("usr/local/lib/libnew.so.1", library("libnew.so.1"), 0o644, Owner::ROOT, &origin).unwrap();
        staging.file("usr/lib/liba.so.1", library("liba.so.1"), 0o644, Owner::ROOT, &origin).unwrap();
        apply(&mut staging, "amd64").unwrap();
        let lines = names(&staging.read(CACHE).unwrap().unwrap());
        assert_eq!(
            lines,
            [
                "libold.so.1 /usr/lib/libold.so.1",
                "libnew.so.1 /usr/local/lib/libnew.so.1",
                "liba.so.1 /usr/lib/liba.so.1"
            ]
        );
        // What says all there is stays.
        let tree = staging.into_tree(&base).unwrap();
        base.apply(&tree);
        let mut staging = Staging::new(base, &read);
        apply(&mut staging, "amd64").unwrap();
        assert!(!staging.holds(&path(CACHE)));
        for end in 0..cache.len() {
            assert_ne!(parse(&cache[..end], "amd64"), parse(&cache, "amd64"), "cut at {end}");
        }
    }

    #[test]
    fn names_stand_in_the_loaders_order() {
        let ordered: [&[u8]; 7] =
            [b"lib.so", b"lib.so.1", b"lib.so.2", b"lib.so.10", b"liba.so", b"libb.so", b"lib2.so"];
        for (at, a) in ordered.iter().enumerate() {
            for (after, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&after), "{:?} {:?}", a, b);
            }
        }
    }
}
