//! Wheels for tests, made file by file.
//!
//! Included by path; it uses no code of the program that it tests.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::io::{Cursor, Write};

use base64::Engine;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;

/// A wheel, with the files that say what it is.
#[derive(Clone, Debug)]
pub struct Wheel {
    pub name: String,
    pub version: String,
    tag: String,
    metadata: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>, u32)>,
    entry_points: String,
}

impl Wheel {
    /// A pure one, for every Python 3.
    pub fn new(name: &str, version: &str) -> Self {
        Wheel {
            name: name.to_owned(),
            version: version.to_owned(),
            tag: "py3-none-any".to_owned(),
            metadata: Vec::new(),
            files: Vec::new(),
            entry_points: String::new(),
        }
    }

    /// For one interpreter, ABI and platform: `cp313-cp313-manylinux_2_17_x86_64`.
    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = tag.to_owned();
        self
    }

    pub fn file(self, path: &str, text: &str) -> Self {
        self.bytes(path, 0o644, text.as_bytes())
    }

    pub fn bytes(mut self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.files.push((path.to_owned(), bytes.to_vec(), mode));
        self
    }

    /// A file of `.data`: `data("scripts/run", "#!python\n")`.
    pub fn data(self, path: &str, text: &str) -> Self {
        let path = format!("{}.data/{path}", self.stem());
        self.file(&path, text)
    }

    /// A line of METADATA.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.metadata.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn requires(self, requirement: &str) -> Self {
        self.field("Requires-Dist", requirement)
    }

    pub fn requires_python(self, versions: &str) -> Self {
        self.field("Requires-Python", versions)
    }

    /// An extra with one requirement.
    pub fn extra(self, name: &str, requirement: &str) -> Self {
        self.field("Provides-Extra", name).requires(&format!("{requirement}; extra == '{name}'"))
    }

    /// A program that the installer makes: `script("tool", "pkg.main:run")`.
    pub fn script(mut self, name: &str, target: &str) -> Self {
        if self.entry_points.is_empty() {
            self.entry_points.push_str("[console_scripts]\n");
        }
        self.entry_points.push_str(&format!("{name} = {target}\n"));
        self
    }

    fn stem(&self) -> String {
        format!("{}-{}", self.name.replace(['-', '.'], "_"), self.version)
    }

    pub fn file_name(&self) -> String {
        format!("{}-{}.whl", self.stem(), self.tag)
    }

    /// METADATA.
    pub fn metadata(&self) -> String {
        let mut text = format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n", self.name, self.version);
        for (name, value) in &self.metadata {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text
    }

    fn contents(&self) -> Vec<(String, Vec<u8>, u32)> {
        let mut files = self.files.clone();
        let info = format!("{}.dist-info", self.stem());
        let pure = self.tag.ends_with("-any");
        let mut add = |name: &str, text: String| files.push((format!("{info}/{name}"), text.into_bytes(), 0o644));
        add("METADATA", self.metadata());
        add("WHEEL", format!("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {pure}\nTag: {}\n", self.tag));
        if !self.entry_points.is_empty() {
            add("entry_points.txt", self.entry_points.clone());
        }
        let mut record = String::new();
        for (path, bytes, _) in &files {
            let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
            record.push_str(&format!("{path},sha256={digest},{}\n", bytes.len()));
        }
        record.push_str(&format!("{info}/RECORD,,\n"));
        files.push((format!("{info}/RECORD"), record.into_bytes(), 0o644));
        files
    }

    /// The whole file.
    pub fn build(&self) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (path, bytes, mode) in self.contents() {
            writer.start_file(path, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
            writer.write_all(&bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// `sha256:…` without the word.
    pub fn sha256(&self) -> String {
        Sha256::digest(self.build()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
