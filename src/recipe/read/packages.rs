//! What is said about Debian and Python packages.

use url::Url;

use super::{Fields, Reader};
use crate::code::ErrorCode;
use crate::recipe::document::Node;
use crate::recipe::packages::{
    DebianArchive, DebianPackage, DebianSettings, DebianSource, PythonIndex, PythonInput, PythonSource, PythonTarget,
    debian_name, place_name, python_group, python_version, suite_name, url,
};
use crate::recipe::path::{FilePath, FromText, PerArch};
use crate::recipe::problems::{Fault, shown};
use crate::recipe::{At, Span, vocabulary};
use crate::tree::TreePath;

/// What layers may leave out because it is said once for all of them.
#[derive(Clone, Debug, Default)]
pub(in crate::recipe) struct PackageDefaults {
    debian: DebianSource,
    indexes: Vec<PythonIndex>,
    python_version: Option<At<String>>,
    python_compile: bool,
    python_break: bool,
}

impl Reader<'_> {
    /// `[debian]` and `[python]`.
    pub(in crate::recipe) fn packages(&mut self, recipe: &Fields<'_>) -> (DebianSettings, PackageDefaults) {
        let mut settings = DebianSettings::default();
        let mut defaults = PackageDefaults::default();
        if let Some(fields) = recipe.table("debian", &vocabulary::DEBIAN) {
            self.debian_options(&fields, &mut defaults.debian);
            settings.mirror = self.read(fields.text("mirror"), mirror);
            settings.keyring = self.read(fields.text("keyring"), FilePath::from_text);
            settings.snapshot = self.checked(fields.text("snapshot"), snapshot);
            for (name, node) in fields.each("archives") {
                let Some(table) = node.table() else { continue };
                let rule = |text: &str| match text {
                    "debian" | "debian-security" => {
                        Err(Fault::new(format!("{} is Debian's own archive", shown(text)), "expected another name")
                            .help("its mirror is `[debian] mirror`"))
                    }
                    text => place_name(text),
                };
                let name = self.checked(Some(name.clone()), rule);
                let fields = Fields::new(table, &vocabulary::DEBIAN_ARCHIVE);
                let archive = DebianArchive {
                    mirror: self.read(fields.text("mirror"), mirror),
                    suites: self.all_checked(fields.get("suites"), suite_name),
                    components: self.all_checked(fields.get("components"), suite_name),
                    keyring: self.read(fields.text("keyring"), FilePath::from_text),
                    origin: fields.text("origin"),
                    snapshot: self.checked(fields.text("snapshot"), snapshot),
                    name: name.clone().unwrap_or(At::new(String::new(), node.span)),
                };
                if let Some(name) = name {
                    settings.archives.insert(name.value, archive);
                }
            }
        }
        if let Some(fields) = recipe.table("python", &vocabulary::PYTHON) {
            defaults.indexes = self.indexes(&fields);
            defaults.python_version = self.checked(fields.text("version"), python_version);
            defaults.python_break = fields.flag("break_system_packages").unwrap_or(false);
            defaults.python_compile = fields.flag("compile").unwrap_or(false);
        }
        (settings, defaults)
    }

    fn debian_options(&mut self, fields: &Fields<'_>, source: &mut DebianSource) {
        let names =
            |reader: &mut Self, key: &'static str, rule: fn(&str) -> Result<(), Fault>, place: &mut Vec<At<String>>| {
                if let Some(node) = fields.get(key) {
                    *place = reader.all_checked(Some(node), rule);
                    reader.refuse_doubles(place, "name");
                }
            };
        names(self, "suites", suite_name, &mut source.suites);
        names(self, "components", suite_name, &mut source.components);
        names(self, "without", debian_name, &mut source.without);
        names(self, "skip_scripts", debian_name, &mut source.skip_scripts);
        let flag = |key: &'static str, place: &mut bool| *place = fields.flag(key).unwrap_or(*place);
        flag("slim", &mut source.slim);
        flag("strict", &mut source.strict);
        flag("recommends", &mut source.recommends);
        flag("compile", &mut source.compile);
    }

    pub(super) fn debian_source(&mut self, node: &Node, packages: &PackageDefaults) -> DebianSource {
        let mut source = packages.debian.clone();
        let list = match node.table() {
            None => Some(node),
            Some(table) => {
                let fields = Fields::new(table, &vocabulary::DEBIAN_SOURCE);
                self.debian_options(&fields, &mut source);
                source.essential = fields.flag("essential").unwrap_or(false);
                fields.get("packages")
            }
        };
        source.packages = self.read_all(list, DebianPackage::parse);
        self.refuse_doubles(&source.packages, "package");
        if source.packages.is_empty() && !source.essential && !self.problems.any_error() {
            let diagnostic = self.problems.error(node.span, "no package is named").label("expected at least one");
            self.problems.push(diagnostic);
        }
        source
    }

    fn indexes(&mut self, fields: &Fields<'_>) -> Vec<PythonIndex> {
        let Some(node) = fields.get("index") else { return Vec::new() };
        let Some(table) = node.table() else {
            let url = self.read(node.text(), mirror);
            return url.map(|url| PythonIndex { name: "default".to_owned(), url }).into_iter().collect();
        };
        let mut indexes = Vec::new();
        for (name, node) in table.iter() {
            let name = self.checked(Some(name.clone()), place_name);
            let url = self.read(node.text(), mirror);
            if let (Some(name), Some(url)) = (name, url) {
                indexes.push(PythonIndex { name: name.value, url });
            }
        }
        indexes
    }

    pub(super) fn python_source(
        &mut self,
        fields: &Fields<'_>,
        place: Span,
        packages: &PackageDefaults,
    ) -> Option<PythonSource> {
        let requirements = self.read_all(fields.get("requirements"), PerArch::parse);
        let files = [
            ("pylock", self.read(fields.text("pylock"), PerArch::parse)),
            ("uv_lock", self.read(fields.text("uv_lock"), PerArch::parse)),
            ("pyproject", self.read(fields.text("pyproject"), PerArch::parse)),
        ];
        let wheels = self.read_all(fields.get("wheels"), |text| {
            match text.contains(['*', '?', '[']) || text.ends_with(".whl") {
                true => PerArch::parse(text),
                false => Err(Fault::new(
                    format!("{} is no wheel", shown(text)),
                    "expected the path of a `.whl`, or a pattern",
                )),
            }
        });
        let extras = self.all_checked(fields.get("extras"), python_group);
        let groups = self.all_checked(fields.get("groups"), python_group);
        let version = self.checked(fields.text("version"), python_version).or_else(|| packages.python_version.clone());
        let indexes = self.indexes(fields);
        let target = self.read(fields.text("target"), PerArch::parse);
        let venv: Option<At<PerArch<TreePath>>> = self.read(fields.text("venv"), PerArch::parse);
        let compile = fields.flag("compile").unwrap_or(packages.python_compile);

        let mut named: Vec<(&str, Span)> =
            requirements.first().map(|first| ("requirements", first.span)).into_iter().collect();
        named.extend(files.iter().filter_map(|(key, file)| file.as_ref().map(|file| (*key, file.span))));
        if let [(first, first_span), (second, second_span), ..] = named.as_slice() {
            let diagnostic = self
                .problems
                .error(*second_span, format!("`{second}` and `{first}` both say which packages are taken"))
                .label("expected one of them")
                .also(*first_span, "the other");
            self.problems.push(diagnostic);
        }
        if named.is_empty() && wheels.is_empty() && !self.problems.any_error() {
            let diagnostic = self
                .problems
                .error(place, "`python` says not which packages are taken")
                .coded(ErrorCode::MissingKey)
                .label("expected `requirements`, `pylock`, `uv_lock`, `pyproject` or `wheels`");
            self.problems.push(diagnostic);
        }
        let of_project = named.iter().any(|(key, _)| *key != "requirements");
        for (key, list) in [("extras", &extras), ("groups", &groups)] {
            if let Some(first) = list.first().filter(|_| !of_project) {
                let diagnostic = self
                    .problems
                    .error(first.span, format!("`{key}` is of a project: a requirements file has none"))
                    .label("expected with `pylock`, `uv_lock` or `pyproject`");
                self.problems.push(diagnostic);
            }
        }
        if let (Some(target), Some(venv)) = (&target, &venv) {
            let diagnostic = self
                .problems
                .error(venv.span, "packages go to one place")
                .label("expected either `venv` or `target`")
                .also(target.span, "the other");
            self.problems.push(diagnostic);
        }
        let [(_, pylock), (_, uv_lock), (_, pyproject)] = files;
        let input = match (requirements.is_empty(), pylock, uv_lock, pyproject) {
            (false, ..) => PythonInput::Requirements(requirements),
            (_, Some(file), ..) => PythonInput::Pylock(file),
            (_, _, Some(file), _) => PythonInput::UvLock(file),
            (.., Some(file)) => PythonInput::Pyproject(file),
            _ => PythonInput::None,
        };
        let target = match (venv, target) {
            (Some(path), _) => PythonTarget::Venv(path),
            (None, Some(path)) => PythonTarget::Directory(path),
            (None, None) => PythonTarget::Interpreter,
        };
        let indexes = if indexes.is_empty() { packages.indexes.clone() } else { indexes };
        let break_system_packages = fields.flag("break_system_packages").unwrap_or(packages.python_break);
        Some(PythonSource { input, wheels, extras, groups, target, version, indexes, compile, break_system_packages })
    }
}

pub(super) fn mirror(text: &str) -> Result<Url, Fault> {
    url(text, &["https", "http", "file"])
}

pub(super) fn snapshot(text: &str) -> Result<(), Fault> {
    for hole in ["{archive}", "{timestamp}", "{path}"] {
        if !text.contains(hole) {
            return Err(Fault::new(
                format!("{} has no `{hole}`", shown(text)),
                "expected a URL with `{archive}`, `{timestamp}` and `{path}`",
            ));
        }
    }
    mirror(&text.replace(['{', '}'], "")).map(|_| ())
}
