//! Reading a requirements file, as pip does.

use std::collections::BTreeSet;

use super::text::{filled, logical_lines, split_option, unquoted, without_users};
use super::{
    Item, Line, MAX_DEPTH, MAX_FILE, MAX_FILES, Place, ReadFile, Requirements, RequirementsError, Variables, beside,
};
use crate::python::RequirementError;
use crate::shown::Shown;

/// Reads a file and those that it includes.
pub(super) struct Reader<'a> {
    pub(super) result: Requirements,
    /// Files already read, with whether as constraints.
    pub(super) seen: BTreeSet<(String, bool)>,
    pub(super) stack: Vec<String>,
    pub(super) variables: Variables<'a>,
    pub(super) read: ReadFile<'a>,
}

impl Reader<'_> {
    /// Reads a file; `name` is what messages call it, without the values of variables.
    pub(super) fn file(
        &mut self,
        file: &str,
        name: &str,
        from: Option<&Place>,
        constraints: bool,
    ) -> Result<(), RequirementsError> {
        if let Some(place) = from {
            let refuse =
                |reason: &str| Err(RequirementsError::Line { place: place.clone(), reason: reason.to_owned() });
            if file.contains("://") {
                return refuse("it includes a file by URL: copy the file beside this one");
            }
            if self.stack.iter().any(|above| above == file) {
                return refuse("it includes a file that includes this one");
            }
            if self.stack.len() >= MAX_DEPTH || self.result.files.len() >= MAX_FILES {
                return refuse("it includes too many files");
            }
        }
        if !self.seen.insert((file.to_owned(), constraints)) {
            return Ok(());
        }
        let failed = |source| RequirementsError::Read { file: name.to_owned(), from: from.cloned(), source };
        let bytes = (self.read)(file).map_err(failed)?;
        if bytes.len() > MAX_FILE {
            return Err(failed(std::io::Error::other(format!("it has more than {MAX_FILE} bytes"))));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| failed(std::io::Error::other("it is no UTF-8")))?;
        self.result.files.push(file.to_owned());
        self.stack.push(file.to_owned());
        for (line, text) in logical_lines(text) {
            self.line(&text, Place { file: name.to_owned(), line }, constraints)?;
        }
        self.stack.pop();
        Ok(())
    }

    fn line(&mut self, text: &str, place: Place, constraints: bool) -> Result<(), RequirementsError> {
        let filled = filled(text, self.variables);
        if filled == text {
            return self.plain_line(text, text, None, place, constraints);
        }
        let outside = without_users(text);
        let written = (super::text::filled(&outside, self.variables) != outside).then_some(outside);
        let result = self.plain_line(&filled, text, written, place.clone(), constraints);
        // What is said of a line may quote it.
        result.map_err(|error| match error {
            RequirementsError::Line { place: at, .. } | RequirementsError::Requirement { place: at, .. }
                if at == place =>
            {
                let reason = "with its variables filled in it cannot be read".to_owned();
                RequirementsError::Line { place: at, reason }
            }
            RequirementsError::Read { from: Some(at), source, .. } if at == place => {
                RequirementsError::Read { file: text.to_owned(), from: Some(at), source }
            }
            other => other,
        })
    }

    /// Reads a line whose variables are filled in; `raw` is the line without.
    fn plain_line(
        &mut self,
        text: &str,
        raw: &str,
        filled: Option<String>,
        place: Place,
        constraints: bool,
    ) -> Result<(), RequirementsError> {
        if text.starts_with('-') {
            return self.option(text, raw, place, constraints);
        }
        let refuse = |reason: String| RequirementsError::Line { place: place.clone(), reason };
        // Options follow the requirement after a blank; everything before the first is the requirement.
        let split = text.find(" -").or_else(|| text.find("\t-")).unwrap_or(text.len());
        let (what, options) = (text[..split].trim(), text[split..].trim());
        let mut hashes = Vec::new();
        let mut other_hashes = false;
        let mut words = options.split_whitespace();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            match name {
                "--hash" => {
                    let value = value.or_else(|| words.next()).unwrap_or("");
                    let (algorithm, _) = value.split_once(':').unwrap_or((value, ""));
                    match algorithm {
                        "sha256" => {
                            hashes.push(value.to_ascii_lowercase().parse().map_err(|_| {
                                refuse("the hash is not `sha256:` and 64 hexadecimal digits".to_owned())
                            })?)
                        }
                        "sha384" | "sha512" => other_hashes = true,
                        _ => {
                            let shown = Shown::new(algorithm.as_bytes());
                            return Err(refuse(format!("the hash is of {shown}: sha256 is needed")));
                        }
                    }
                }
                "--config-settings" | "--config-setting" | "--global-option" | "-C" => {
                    return Err(refuse("it has options for building: only wheels are installed".to_owned()));
                }
                _ => return Err(refuse(format!("the option {} is not known", Shown::new(name.as_bytes())))),
            }
        }
        if hashes.is_empty() && other_hashes {
            return Err(refuse("it has no sha256 hash: one is needed beside others".to_owned()));
        }
        hashes.sort();
        hashes.dedup();
        let item = self.item(what, &place)?;
        let line = Line { item, hashes, filled, place };
        if constraints {
            self.result.constraints.push(line)
        } else {
            self.result.entries.push(line)
        }
        Ok(())
    }

    fn item(&self, what: &str, place: &Place) -> Result<Item, RequirementsError> {
        let refuse = |reason: String| RequirementsError::Line { place: place.clone(), reason };
        let is_url = what
            .split_once("://")
            .is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+'));
        // A URL may hold a semicolon: only one after a blank ends it.
        let end = match is_url {
            true => what.find(" ;").or_else(|| what.find("\t;")).map(|at| at + 1),
            false => what.find(';'),
        };
        let (path, marker) = end.map_or((what, None), |end| (what[..end].trim_end(), Some(&what[end + 1..])));
        let is_path = path.starts_with('.') || path.starts_with('/') || (path.ends_with(".whl") && !path.contains('@'));
        if is_url || is_path {
            let plain = path.split(['#', '?']).next().unwrap_or(path);
            if !plain.ends_with(".whl") {
                return Err(refuse("it names a directory, a source archive or a repository: only wheels are installed; make one with `uv build --wheel` or `pip wheel`".to_owned()));
            }
            let marker = marker.map(str::parse).transpose().map_err(|source| RequirementsError::Requirement {
                place: place.clone(),
                source: RequirementError::Marker { requirement: Shown::new(path.as_bytes()), source },
            })?;
            let path = if is_url { path.to_owned() } else { beside(self.current(), path) };
            return Ok(Item::Wheel(path, marker));
        }
        what.parse()
            .map(Item::Package)
            .map_err(|source| RequirementsError::Requirement { place: place.clone(), source })
    }

    /// The file that is read, as it is found.
    fn current(&self) -> &str {
        self.stack.last().map_or("", String::as_str)
    }

    fn option(&mut self, text: &str, raw: &str, place: Place, constraints: bool) -> Result<(), RequirementsError> {
        let refuse = |reason: String| RequirementsError::Line { place: place.clone(), reason };
        let (name, value) = split_option(text);
        let value = value.map(unquoted);
        let wanted = || {
            value
                .clone()
                .filter(|value| !value.is_empty())
                .ok_or_else(|| refuse(format!("the option {} has no value", Shown::new(name.as_bytes()))))
        };
        match name {
            "-r" | "--requirement" => {
                let file = wanted()?;
                let file = if file.contains("://") { file } else { beside(self.current(), &file) };
                let name = beside(&place.file, &split_option(raw).1.map(unquoted).unwrap_or_default());
                self.file(&file, &name, Some(&place), constraints)?;
            }
            "-c" | "--constraint" => {
                let file = wanted()?;
                let file = if file.contains("://") { file } else { beside(self.current(), &file) };
                let name = beside(&place.file, &split_option(raw).1.map(unquoted).unwrap_or_default());
                self.file(&file, &name, Some(&place), true)?;
            }
            "-i" | "--index-url" | "--pypi-url" => self.result.indexes.index = Some(wanted()?),
            "--extra-index-url" => self.result.indexes.extra.push(wanted()?),
            "-f" | "--find-links" => {
                let links = wanted()?;
                let links = if links.contains("://") { links } else { beside(self.current(), &links) };
                self.result.indexes.find_links.push(links);
            }
            "--no-index" => self.result.indexes.none = true,
            "--pre" => self.result.pre = true,
            "--require-hashes" => self.result.require_hashes = true,
            "--no-binary"
            | "--only-binary"
            | "--trusted-host"
            | "--use-feature"
            | "--prefer-binary"
            | "--no-build-isolation" => {
                self.result.passed_over.push(name.to_owned());
            }
            "-e" | "--editable" => {
                return Err(refuse(
                    "an editable package is a directory of the machine, and an image has it not: copy its files, or make a wheel of it".to_owned(),
                ));
            }
            _ => return Err(refuse(format!("the option {} is not known", Shown::new(name.as_bytes())))),
        }
        Ok(())
    }
}
