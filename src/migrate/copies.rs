//! `COPY` and `ADD`.

use super::commands::Kept;
use super::commands::mode_after;
use super::draft::{Copied, How, Item, Layer, Source, Toml};
use super::project::{Found, Project};
use super::report::one_line;
use super::stage::Here;
use super::state::{State, absolute, is_owner, is_pattern, joined, origin, split, within};
use super::value::{Unknown, Value};
use super::{Context, FileKind};
use crate::dockerfile::{Copy, Heredoc, expand};

/// `--mount=type=bind`: a file of the context that is there while a line runs.
pub(super) fn bind(mount: &str, workdir: &str, prefix: &str) -> Option<Copied> {
    let mut kind = "bind";
    let (mut source, mut target, mut from) = ("", "", false);
    for field in mount.split(',') {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        match name.trim() {
            "type" => kind = value,
            "source" | "src" => source = value,
            "target" | "dst" | "destination" => target = value,
            "from" => from = true,
            _ => {}
        }
    }
    if kind != "bind" || from || target.is_empty() {
        return None;
    }
    let dest = absolute(target, workdir);
    let how = if source.is_empty() { How::Contents } else { How::Exact };
    Some(Copied { src: inside(prefix, source), dest, how })
}

/// A path of a Dockerfile's context as a path of the recipe's; `..` never leaves it.
fn inside(prefix: &str, path: &str) -> String {
    joined(prefix, absolute(path, "/").trim_start_matches('/'))
}

const ARCHIVES: [&str; 9] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2"];

impl State {
    pub(super) fn copy(
        &mut self,
        project: &mut Project<'_>,
        here: &Here<'_>,
        copy: &Copy,
        add: bool,
    ) -> Result<Option<String>, Kept> {
        let escape = here.escape;
        let mut sources = Vec::new();
        for source in &copy.sources {
            let plain = source.replace(['\'', '"'], "");
            let heredoc = |heredoc: &&Heredoc| {
                plain.ends_with(&format!("<<{}", heredoc.name)) || plain.ends_with(&format!("<<-{}", heredoc.name))
            };
            if copy.heredocs.iter().find(heredoc).is_none() {
                sources.push(self.path(source, escape)?);
            }
        }
        let written = self.path(&copy.to, escape)?;
        let to = absolute(&written, &self.workdir);
        let mut slash = written.is_empty() || written.ends_with('/') || written == "." || written.ends_with("/.");
        slash |= sources.len() + copy.heredocs.len() > 1 || to == "/";

        let mut layer = Layer::new(Source::Copy(Vec::new()));
        if let Some(chown) = &copy.chown {
            let spec = self.plain(chown, escape)?;
            if !is_owner(&spec) {
                return Err(Kept::new("this is no name or number of a user", "say `owner` in the layer"));
            }
            layer.owner = self.owner(&spec);
        }
        if let Some(chmod) = &copy.chmod {
            let mode = self.plain(chmod, escape)?;
            match (mode_after(&mode, 0o644), mode_after(&mode, 0o755)) {
                (Some(file), Some(dir)) => {
                    // What differs between files and directories keeps files that are executable as they are.
                    let symbolic = mode.contains(['=', '+', '-']);
                    layer.mode = (!symbolic || file != "0644").then_some(file);
                    layer.dir_mode = Some(dir).filter(|dir| dir != "0755");
                }
                _ => return Err(Kept::new("its mode is not known", "say `mode` in the layer")),
            }
        }
        if let Some(from) = &copy.from {
            let from = self.plain(from, escape)?;
            return self.copy_from(project, here, copy, &from, (sources, to, slash), layer);
        }
        let prefix = project.prefix(here.file).to_owned();
        if !copy.heredocs.is_empty() {
            self.heredocs(&copy.heredocs, &to, slash, &layer)?;
            if sources.is_empty() {
                return Ok(Some("files".to_owned()));
            }
        }
        let mut into = "copy".to_owned();
        let mut items = Vec::new();
        for source in &sources {
            if add && (source.contains("://") || source.starts_with("git@")) {
                self.download(copy, source, &to, slash, &layer, escape)?;
                into = "fetch".to_owned();
                continue;
            }
            let path = inside(&prefix, source);
            let lower = path.to_ascii_lowercase();
            if add
                && copy.unpack != Some(false)
                && ARCHIVES.iter().any(|end| lower.ends_with(end))
                && !is_pattern(&path)
            {
                if lower.ends_with("bz2") {
                    return Err(Kept::new(
                        "archives of bzip2 are not read",
                        "pack it with gzip, xz or zstd: `archive = \"x.tar.gz\"`",
                    ));
                }
                let archive = Layer {
                    to: Some(to.clone()),
                    owner: layer.owner.clone(),
                    ..Layer::new(Source::Archive(vec![path]))
                };
                self.add(archive);
                into = "archive".to_owned();
                continue;
            }
            if copy.parents {
                if path.contains("/./") || source.contains("/./") {
                    return Err(Kept::new(
                        "`--parents` with a pivot is not known",
                        "`copy` from that directory, with `include`",
                    ));
                }
                layer.include.push(path);
                continue;
            }
            items.push(self.item(project.context, &path, &to, slash, &mut layer.comments));
        }
        for pattern in &copy.exclude {
            let pattern = self.path(pattern, escape)?;
            for item in &items {
                let folder = match item.how {
                    How::Contents => item.src.clone(),
                    _ if is_pattern(&item.src) || project.context.kind(&item.src) == Some(FileKind::File) => {
                        split(&item.src).0.to_owned()
                    }
                    _ => item.src.clone(),
                };
                let plain = match pattern.starts_with("**/") {
                    true => pattern.clone(),
                    false => joined(&folder, &pattern),
                };
                if !layer.exclude.contains(&plain) {
                    layer.exclude.push(plain);
                }
            }
        }
        if !layer.include.is_empty() {
            let src = if prefix.is_empty() { ".".to_owned() } else { prefix };
            layer.to = Some(to.clone());
            layer.source = Source::Copy(vec![Copied { src, dest: to, how: How::Contents }]);
            self.add(layer);
        } else if !items.is_empty() {
            place(&mut layer, &items, &to);
            layer.source = Source::Copy(items);
            self.add(layer);
        }
        Ok(Some(into))
    }

    /// What one source comes to. Docker takes what is in a directory, and a file to a name or into a directory.
    fn item(&self, context: &dyn Context, src: &str, to: &str, slash: bool, comments: &mut Vec<String>) -> Copied {
        if is_pattern(src) {
            return Copied { src: src.to_owned(), dest: joined(to, split(src).1).replace("//", "/"), how: How::Name };
        }
        if src == "." || src.ends_with("/.") {
            return Copied { src: src.to_owned(), dest: to.to_owned(), how: How::Contents };
        }
        let name = split(src).1;
        let (kind, sure) = self.kind(context, src);
        if !sure && slash && !matches!(kind, FileKind::File) {
            comments.push(format!("`{src}` is not there: it is taken for a directory"));
        }
        match kind {
            FileKind::Directory if split(to).1 == name && to != "/" => {
                Copied { src: src.to_owned(), dest: to.to_owned(), how: How::Name }
            }
            FileKind::Directory => Copied { src: src.to_owned(), dest: to.to_owned(), how: How::Contents },
            FileKind::File if slash || self.is_directory(to) => {
                let dest = format!("{}/{name}", to.trim_end_matches('/'));
                Copied { src: src.to_owned(), dest, how: How::Name }
            }
            FileKind::File if split(to).1 == name => {
                Copied { src: src.to_owned(), dest: to.to_owned(), how: How::Name }
            }
            FileKind::File => Copied { src: src.to_owned(), dest: to.to_owned(), how: How::Exact },
        }
    }

    fn heredocs(&mut self, heredocs: &[Heredoc], to: &str, slash: bool, layer: &Layer) -> Result<(), Kept> {
        let mut files = Vec::new();
        for heredoc in heredocs {
            let path = if slash { format!("{}/{}", to.trim_end_matches('/'), heredoc.name) } else { to.to_owned() };
            let text = match heredoc.expand {
                false => heredoc.text.clone(),
                true => {
                    let wrong = |why: String| Kept::new(why, "write the file with `files`");
                    let pieces = expand::pieces_of_heredoc(&heredoc.text).map_err(|error| wrong(error.to_string()))?;
                    let value =
                        Value::fill(&pieces, &|name| self.known_or_open(name)).map_err(|Unknown(why)| wrong(why))?;
                    value.known().ok_or_else(|| wrong("it depends on a variable that is not known here".to_owned()))?
                }
            };
            files.push((path, text));
        }
        self.add(Layer { owner: layer.owner.clone(), mode: layer.mode.clone(), ..Layer::new(Source::Files(files)) });
        Ok(())
    }

    /// `ADD https://…`.
    fn download(
        &mut self,
        copy: &Copy,
        url: &str,
        to: &str,
        slash: bool,
        layer: &Layer,
        escape: char,
    ) -> Result<(), Kept> {
        let plain = url.split(['?', '#']).next().unwrap_or(url);
        if !url.starts_with("http") || plain.ends_with(".git") || url.contains('#') {
            return Err(Kept::new("a repository is added", "check it out in the pipeline, and `copy` it"));
        }
        let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if host.contains('@') {
            return Err(Kept::new("its URL holds credentials", "`fetch` it without: logins come from `.netrc`"));
        }
        let Some(checksum) = &copy.checksum else {
            return Err(Kept::new(
                "a download without a digest can be anything",
                "`fetch = { url = \"…\", sha256 = \"…\" }`; `sha256sum` of the file says which",
            ));
        };
        let checksum = self.plain(checksum, escape)?;
        let digest = checksum.strip_prefix("sha256:").unwrap_or_default();
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(Kept::new("its digest is not one of SHA-256", "`fetch = { url = \"…\", sha256 = \"…\" }`"));
        }
        let unpack = copy.unpack == Some(true);
        let name = plain.rsplit('/').next().unwrap_or_default();
        let mut fields = vec![("url".to_owned(), Toml::text(url)), ("sha256".to_owned(), Toml::text(digest))];
        let mut fetched = Layer { owner: layer.owner.clone(), ..Layer::new(Source::Fetch(Vec::new())) };
        if unpack {
            fields.push(("unpack".to_owned(), Toml::True));
            fetched.to = Some(to.to_owned());
        } else {
            let (folder, file) = match slash {
                true => (to.to_owned(), name.to_owned()),
                false => (split(to).0.to_owned(), split(to).1.to_owned()),
            };
            if file.is_empty() {
                return Err(Kept::new(
                    "its URL names no file",
                    "`fetch = { url = \"…\", sha256 = \"…\", name = \"…\" }`",
                ));
            }
            fields.push(("name".to_owned(), Toml::text(file)));
            // What Docker gives to downloads.
            let mode = layer.mode.clone().unwrap_or_else(|| "0600".to_owned());
            fields.push(("mode".to_owned(), Toml::text(mode)));
            fetched.to = Some(folder);
        }
        fetched.source = Source::Fetch(fields);
        self.add(fetched);
        Ok(())
    }

    /// `COPY --from`: a stage, another image of the recipe, or one from elsewhere.
    fn copy_from(
        &mut self,
        project: &mut Project<'_>,
        here: &Here<'_>,
        copy: &Copy,
        from: &str,
        (sources, to, slash): (Vec<String>, String, bool),
        mut layer: Layer,
    ) -> Result<Option<String>, Kept> {
        if !copy.exclude.is_empty() || copy.parents {
            return Err(Kept::new("its flags are not known with `--from`", "`image = { image = \"…\", copy = […] }`"));
        }
        let found = project.find(here.file, here.stage, from)?;
        if matches!(&found, Found::Outside(name) if name.contains("/uv:") || name.ends_with("/uv")) {
            let said = format!(
                "{}: {}: `python` installs packages, and needs no uv in the image",
                here.place,
                one_line(&here.instruction.text)
            );
            self.draft.items.push(Item::Comment(vec![said]));
            return Ok(Some("nothing: `python` installs packages".to_owned()));
        }
        if let Found::Stage(stage, number) = &found {
            // What a stage installed from wheels is installed here: no image in between, and no compiler.
            let path = sources.first().map(|source| absolute(source, "/")).unwrap_or_default();
            let taken: Vec<_> = stage
                .pythons
                .iter()
                .filter(|python| {
                    let same =
                        |place: &Option<String>| place.as_ref().is_some_and(|place| within(&path, place) && to == path);
                    let prefix = python.prefix.as_ref() == Some(&path) && (to.starts_with("/usr") || to == path);
                    let own = python.prefix.is_none() && python.venv.is_none() && python.target.is_none();
                    let site =
                        own && path == to && (path.contains("/site-packages") || path.contains("/dist-packages"));
                    same(&python.venv) || same(&python.target) || prefix || site
                })
                .cloned()
                .collect();
            if !taken.is_empty() && sources.len() == 1 {
                self.written.extend(stage.written.iter().cloned());
                for mut python in taken {
                    let prefix = python.prefix.take();
                    let mut layer = Layer { owner: layer.owner.clone(), ..Layer::new(Source::Python(python.clone())) };
                    layer.comments.push(format!(
                        "what stage {} installs is installed here, from wheels: it needs no stage",
                        number.shown
                    ));
                    if prefix.as_ref().is_some_and(|prefix| prefix.ends_with("/.local")) {
                        layer
                            .comments
                            .push(format!("they go to the interpreter's own place, not to {to}: leave it out of PATH"));
                    }
                    self.pythons.push(python);
                    self.add(layer);
                }
                return Ok(Some("python".to_owned()));
            }
            let programs =
                self.pythons.iter().any(|python| python.venv.is_none()) && path == to && path == "/usr/local/bin";
            if programs {
                let said = format!(
                    "{}: {}: the packages above bring their programs",
                    here.place,
                    one_line(&here.instruction.text)
                );
                self.draft.items.push(Item::Comment(vec![said]));
                return Ok(Some("the packages bring their programs".to_owned()));
            }
            if stage.kept > 0 {
                let mut items = Vec::new();
                for source in &sources {
                    let path = absolute(source, "/");
                    let (src, known) = plain_copy(stage, &path);
                    if is_pattern(&src) {
                        return Err(Kept::new(
                            "which files these are is not known",
                            "build them in the pipeline, and `copy` them",
                        ));
                    }
                    layer.comments.push(format!(
                        "stage {} is not turned: build `{src}` in the pipeline, before `lapstrake build`",
                        number.shown
                    ));
                    if !known {
                        layer.comments.push(format!("where `{path}` of that stage lies in the context is a guess"));
                    }
                    items.push(self.item(project.context, &src, &to, slash, &mut Vec::new()));
                }
                let kept = stage.draft.items.iter().filter_map(|item| match item {
                    Item::Comment(lines) if lines.len() > 1 && lines[1].contains("NOT TURNED") => lines.first(),
                    _ => None,
                });
                layer.comments.extend(kept.map(|line| format!("  NOT TURNED: {line}")));
                place(&mut layer, &items, &to);
                layer.source = Source::Copy(items);
                self.add(layer);
                return Ok(Some("copy, of what the pipeline builds".to_owned()));
            }
        }
        let image = project.image_of(&found);
        let mut items = Vec::new();
        for source in &sources {
            let src = absolute(source, "/");
            if is_pattern(&src) {
                items.push(Copied { dest: joined(&to, split(&src).1), src, how: How::Name });
                continue;
            }
            let name = split(&src).1.to_owned();
            let (kind, _) = match &found {
                Found::Stage(stage, _) | Found::Image(stage, _) => match stage.origin(&src, &[]) {
                    Some(origin) => self.kind(project.context, &origin),
                    None => (guess_inside(&src), false),
                },
                Found::Outside(_) => (guess_inside(&src), false),
            };
            items.push(match kind {
                FileKind::Directory if split(&to).1 == name => Copied { src, dest: to.clone(), how: How::Name },
                FileKind::Directory => Copied { src, dest: to.clone(), how: How::Contents },
                FileKind::File if slash || self.is_directory(&to) => {
                    Copied { src, dest: format!("{}/{name}", to.trim_end_matches('/')), how: How::Name }
                }
                FileKind::File if split(&to).1 == name => Copied { src, dest: to.clone(), how: How::Name },
                FileKind::File => Copied { src, dest: to.clone(), how: How::Exact },
            });
        }
        place(&mut layer, &items, &to);
        layer.source = Source::Image { image, copy: items };
        self.add(layer);
        Ok(Some("image".to_owned()))
    }
}

/// Programs and what has a dot are files, in images from elsewhere.
fn guess_inside(path: &str) -> FileKind {
    let program =
        ["/bin/", "/sbin/"].iter().any(|folder| path.contains(folder)) || split(path).0 == "/" && !path.ends_with('/');
    if program { FileKind::File } else { super::state::guess(path) }
}

/// Where a path of a stage lies in the context: what a build makes lies where its sources were copied.
fn plain_copy(stage: &State, path: &str) -> (String, bool) {
    let copies = stage.draft.layers().filter_map(|layer| match &layer.source {
        Source::Copy(items) => Some(items.as_slice()),
        _ => None,
    });
    let all: Vec<&Copied> = copies.flatten().collect();
    let mut best: Option<(usize, String)> = None;
    for item in all {
        if let Some(origin) = origin(item, path)
            && best.as_ref().is_none_or(|(length, _)| item.dest.len() >= *length)
        {
            best = Some((item.dest.len(), origin));
        }
    }
    match best {
        Some((_, origin)) => (origin, true),
        None => (split(path).1.to_owned(), false),
    }
}

/// Where the items of a layer land: what `to` is.
fn place(layer: &mut Layer, items: &[Copied], to: &str) {
    let folders: Vec<&str> = items
        .iter()
        .filter_map(|item| match item.how {
            How::Name => Some(split(&item.dest).0),
            How::Contents => Some(to),
            How::Exact => None,
        })
        .collect();
    layer.to = match folders.split_first() {
        Some((first, rest)) if rest.iter().all(|folder| folder == first) => Some((*first).to_owned()),
        Some(_) => Some(to.to_owned()),
        None => Some(split(to).0.to_owned()),
    };
}
