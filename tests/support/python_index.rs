//! An index of Python packages in a directory, for tests: pages of PEP 503 (HTML) and PEP 691 (JSON), and the files.
//!
//! Included by path, beside `wheel`; it uses no code of the program that it tests.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::wheel::Wheel;

/// A file of a project.
struct Listed {
    name: String,
    bytes: Vec<u8>,
    /// METADATA of a wheel, which indexes give by itself (PEP 658).
    metadata: Option<String>,
    requires_python: Option<String>,
    yanked: bool,
}

/// An index: what it is to hold, written into its directory by [`PythonIndex::publish`].
pub struct PythonIndex {
    directory: PathBuf,
    projects: BTreeMap<String, Vec<Listed>>,
    /// Whether pages have digests.
    pub digests: bool,
}

impl PythonIndex {
    pub fn new(directory: &Path) -> Self {
        PythonIndex { directory: directory.to_owned(), projects: BTreeMap::new(), digests: true }
    }

    pub fn add(&mut self, wheel: &Wheel) -> &mut Self {
        let requires =
            wheel.metadata().lines().find_map(|line| line.strip_prefix("Requires-Python: ").map(str::to_owned));
        self.list(&wheel.name, &wheel.file_name(), wheel.build(), Some(wheel.metadata()), requires)
    }

    /// A source archive, or whatever else.
    pub fn add_file(&mut self, project: &str, name: &str, bytes: &[u8]) -> &mut Self {
        self.list(project, name, bytes.to_vec(), None, None)
    }

    fn list(
        &mut self,
        project: &str,
        name: &str,
        bytes: Vec<u8>,
        metadata: Option<String>,
        requires_python: Option<String>,
    ) -> &mut Self {
        let listed = Listed { name: name.to_owned(), bytes, metadata, requires_python, yanked: false };
        self.projects.entry(normal(project)).or_default().push(listed);
        self
    }

    /// Withdraws a file: it stays for those who have it pinned.
    pub fn yank(&mut self, project: &str, name: &str) -> &mut Self {
        for listed in self.projects.get_mut(&normal(project)).into_iter().flatten() {
            listed.yanked |= listed.name == name;
        }
        self
    }

    /// Takes a file away.
    pub fn remove(&mut self, project: &str, name: &str) -> &mut Self {
        if let Some(files) = self.projects.get_mut(&normal(project)) {
            files.retain(|listed| listed.name != name);
        }
        self
    }

    /// Writes everything anew: `simple/PROJECT/index.html` and `index.json`, and `files/`.
    pub fn publish(&self) -> &Self {
        let _ = fs::remove_dir_all(self.directory.join("files"));
        let _ = fs::remove_dir_all(self.directory.join("simple"));
        for (project, files) in &self.projects {
            let mut html = String::from(
                "<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"1.1\"></head><body>\n",
            );
            let mut entries = Vec::new();
            for listed in files {
                put(&self.directory.join("files").join(&listed.name), &listed.bytes);
                let sha256 = hex(&listed.bytes);
                let url = format!("../../files/{}", listed.name);
                let fragment = if self.digests { format!("#sha256={sha256}") } else { String::new() };
                let mut attributes = String::new();
                let mut entry =
                    json!({ "filename": listed.name, "url": url, "hashes": {}, "size": listed.bytes.len() });
                if self.digests {
                    entry["hashes"]["sha256"] = json!(sha256);
                }
                if let Some(metadata) = &listed.metadata {
                    let name = format!("{}.metadata", listed.name);
                    put(&self.directory.join("files").join(name), metadata.as_bytes());
                    let digest = hex(metadata.as_bytes());
                    attributes.push_str(&format!(" data-core-metadata=\"sha256={digest}\""));
                    entry["core-metadata"] = json!({ "sha256": digest });
                }
                if let Some(versions) = &listed.requires_python {
                    let escaped = versions.replace('<', "&lt;").replace('>', "&gt;");
                    attributes.push_str(&format!(" data-requires-python=\"{escaped}\""));
                    entry["requires-python"] = json!(versions);
                }
                if listed.yanked {
                    attributes.push_str(" data-yanked=\"withdrawn\"");
                    entry["yanked"] = json!("withdrawn");
                }
                html.push_str(&format!("<a href=\"{url}{fragment}\"{attributes}>{}</a><br>\n", listed.name));
                entries.push(entry);
            }
            html.push_str("</body></html>\n");
            let page = json!({ "meta": { "api-version": "1.1" }, "name": project, "files": entries, "versions": [] });
            let directory = self.directory.join("simple").join(project);
            put(&directory.join("index.html"), html.as_bytes());
            put(&directory.join("index.json"), &serde_json::to_vec_pretty(&page).unwrap());
        }
        self
    }
}

/// A project's name as addresses have it (PEP 503).
fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
