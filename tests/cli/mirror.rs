//! A project whose packages come from an archive and an index of its own, which a server on loopback hands out.

use std::process::Command;

use super::deb::Deb;
use super::debian_archive::DebianArchive;
use super::file_server::FileServer;
use super::python_index::PythonIndex;
use super::support::{HEAD, Layout, Project, Run};

/// The project, and where its packages come from: `mirror/debian` and `mirror/python` of its directory.
pub(crate) struct Mirrored {
    pub(crate) project: Project,
    pub(crate) archive: DebianArchive,
    pub(crate) index: PythonIndex,
    pub(crate) server: FileServer,
}

impl Mirrored {
    /// With an archive and an index that have nothing.
    pub(crate) fn new() -> Self {
        let project = Project::empty();
        let archive = DebianArchive::new(&project.path("mirror/debian"));
        let index = PythonIndex::new(&project.path("mirror/python"));
        project.write("ctx/debian.gpg", archive.key.keyring());
        let server = FileServer::of(project.path("mirror"));
        Mirrored { project, archive, index, server }
    }

    /// With these packages in `trixie`.
    pub(crate) fn with(debs: impl IntoIterator<Item = Deb>) -> Self {
        let mut mirrored = Mirrored::new();
        mirrored.archive.suite("trixie");
        for deb in debs {
            mirrored.archive.add("trixie", deb);
        }
        mirrored.archive.publish();
        mirrored
    }

    /// Writes the recipe anew: packages are those of `trixie`.
    pub(crate) fn recipe(&self, images: &str) -> &Self {
        self.recipe_of("suites = [\"trixie\"]\nkeyring = \"debian.gpg\"", images)
    }

    /// The same, with another `[debian]`.
    pub(crate) fn recipe_of(&self, debian: &str, images: &str) -> &Self {
        self.project.write("lapstrake.toml", format!("{HEAD}\n[debian]\n{debian}\n{images}"));
        self
    }

    /// One image `app` from scratch with one layer, `debian = …`.
    pub(crate) fn app(&self, debian: &str) -> &Self {
        self.recipe(&app(debian))
    }

    /// The binary, with the addresses of this mirror and index.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.at(&self.server, arguments)
    }

    /// With those of another server.
    pub(crate) fn at(&self, server: &FileServer, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        command
            .env("LAPSTRAKE_DEBIAN_MIRROR", server.url("/debian"))
            .env("LAPSTRAKE_PYTHON_INDEX", server.url("/python/simple"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.project.end(self.command(arguments))
    }

    /// Locks; gives what was printed.
    pub(crate) fn lock(&self, more: &[&str]) -> String {
        self.run(&[&["lock"], more].concat()).ok().stdout()
    }

    /// The lock as it lies there.
    pub(crate) fn locked(&self) -> String {
        std::fs::read_to_string(self.project.path("lapstrake.lock")).expect("a lock")
    }

    /// Builds everything into `oci:out`, checks all of it, and reads it.
    pub(crate) fn build(&self) -> Layout {
        self.build_with(&[])
    }

    pub(crate) fn build_with(&self, more: &[&str]) -> Layout {
        self.run(&[&["build", "-o", "oci:out"], more].concat()).ok();
        self.project.layout("out")
    }

    /// The digests of a build with nothing in its cache; the cache is kept under that name.
    pub(crate) fn digests_of(&self, cache: &str, more: &[&str]) -> Vec<String> {
        let output = format!("oci:out-{cache}");
        self.run(&[&["build", "-o", &output, "--cache-dir", cache], more].concat()).ok().digests()
    }
}

/// An image `app` from scratch with one layer, `debian = …`.
pub(crate) fn app(debian: &str) -> String {
    format!("[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\nname = \"packages\"\ndebian = {debian}\n")
}
