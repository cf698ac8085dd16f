//! `chown`, `chmod`, `mkdir`, `ln`, `rm` and their kin: owners, modes, `dirs`, `symlinks`, `files`, `exclude`.

use super::super::draft::{How, Layer, Source};
use super::super::state::{State, fits, is_owner, is_pattern, joined, split, within};
use super::{Call, Done, Kept, Outcome};

/// What installers leave: nothing of it is made here.
const CACHES: [&str; 16] = [
    "/var/lib/apt/lists",
    "/var/cache/apt",
    "/var/cache/apk",
    "/var/cache/debconf",
    "/var/log/apt",
    "/var/log/dpkg.log",
    "/root/.cache",
    "/root/.npm",
    "/root/.local/share/pip",
    "/tmp",
    "/var/tmp",
    "/usr/share/doc",
    "/usr/share/man",
    "/usr/share/locale",
    "/var/log/alternatives.log",
    "/var/cache/ldconfig",
];

impl State {
    pub(super) fn files(&mut self, call: &Call<'_>) -> Outcome {
        match call.program.as_str() {
            "chown" => self.chown(call),
            "chgrp" => Err(Kept::new("only the group changes", "say `owner = \"user:group\"` in the layer")),
            "chmod" => self.chmod(call),
            "mkdir" => self.mkdir(call),
            "install" if call.words.iter().any(|word| word == "-d" || word == "--directory") => self.mkdir(call),
            "install" => Err(Kept::new("it copies inside the image", "`copy` the file to where it should be")),
            "ln" => self.link(call),
            "rm" => self.remove(call),
            "touch" => self.touch(call),
            "find" => self.find(call),
            "setcap" => match call.words.as_slice() {
                [capabilities, path] => {
                    let capabilities = match capabilities.contains("=+") || !capabilities.contains('+') {
                        true => capabilities.clone(),
                        false => capabilities.replacen('+', "=+", 1),
                    };
                    self.add(Layer::new(Source::Caps(vec![(call.path(path), capabilities)])));
                    Ok(Done::Turned("caps".to_owned()))
                }
                _ => Err(Kept::new("this is no plain `setcap`", "`caps = { \"/path\" = \"cap_net_raw=+ep\" }`")),
            },
            "update-ca-certificates" => self.certificates(),
            _ => self.echo(call),
        }
    }

    fn chown(&mut self, call: &Call<'_>) -> Outcome {
        let plain = call.plain();
        let Some((spec, paths)) = plain.split_first().filter(|(_, paths)| !paths.is_empty()) else {
            return Err(Kept::new("this is no plain `chown`", "say `owner` in the layer"));
        };
        let deep = call.words.iter().any(|word| {
            word == "--recursive" || word.starts_with('-') && !word.starts_with("--") && word.contains('R')
        });
        // Without a group, the group stays what it is: root's, of all that is new here.
        let spec = match (spec.split_once(':'), spec.parse::<u32>()) {
            (None, _) => format!("{spec}:0"),
            (Some((user, "")), _) => user.to_owned(),
            _ => (*spec).to_owned(),
        };
        if !is_owner(&spec) {
            return Err(Kept::new("this is no name or number of a user", "say `owner` in the layer"));
        }
        let owner = self.owner(&spec);
        let mut into = Vec::new();
        for path in paths {
            let path = call.path(path);
            if is_pattern(&path) {
                return Err(Kept::new("its paths are a pattern", "say `owner` in the layers that bring the files"));
            }
            let mut found = false;
            let mut partly = false;
            // A directory that was made on the way to others (`mkdir -p`) is an entry of its own from here on.
            let on_the_way = deep && self.made_on_the_way(&path);
            for layer in self.draft.layers_mut() {
                let all: Vec<String> = match &layer.source {
                    Source::Copy(items) | Source::Image { copy: items, .. } => {
                        items.iter().map(|item| item.dest.clone()).collect()
                    }
                    Source::Files(files) => files.iter().map(|(path, _)| path.clone()).collect(),
                    Source::Archive(_) => layer.to.clone().into_iter().collect(),
                    Source::Python(python) => python.venv.iter().chain(&python.target).cloned().collect(),
                    _ => Vec::new(),
                };
                let below = all.iter().filter(|dest| if deep { within(dest, &path) } else { **dest == path }).count();
                partly |= deep && all.iter().any(|dest| within(&path, dest) && *dest != path);
                if below > 0 && below == all.len() {
                    layer.owner.clone_from(&owner);
                    found = true;
                } else if below > 0 {
                    partly = true;
                }
                if let Source::Dirs(dirs) = &mut layer.source {
                    for (_, known, _) in dirs.iter_mut().filter(|(dir, ..)| *dir == path || deep && within(dir, &path))
                    {
                        known.clone_from(&owner);
                        found = true;
                    }
                }
            }
            if partly {
                return Err(Kept::new(
                    format!("`{path}` is a part of what one layer brings"),
                    "copy that part in a layer of its own, with its `owner`",
                ));
            }
            let workdir =
                self.made_here(&self.workdir) && (path == self.workdir || deep && within(&self.workdir, &path));
            if workdir {
                self.workdir_owner = owner.clone();
                found = true;
            }
            if on_the_way && !workdir {
                self.add(Layer::new(Source::Dirs(vec![(path.clone(), owner.clone(), None)])));
            } else if !found {
                if deep && !self.made_here(&path) {
                    return Err(Kept::new(
                        format!("what is in `{path}` is not of this image"),
                        "say `owner` in the layers that bring the files",
                    ));
                }
                self.add(Layer::new(Source::Dirs(vec![(path.clone(), owner.clone(), None)])));
            }
            into.push(path);
        }
        Ok(Done::Turned(format!("owner of {}", into.join(", "))))
    }

    /// Whether `dirs` has directories below this one, and not itself.
    fn made_on_the_way(&self, path: &str) -> bool {
        let dirs = || {
            self.draft.layers().flat_map(|layer| match &layer.source {
                Source::Dirs(dirs) => dirs.as_slice(),
                _ => &[],
            })
        };
        dirs().any(|(dir, ..)| dir != path && within(dir, path)) && !dirs().any(|(dir, ..)| dir == path)
    }

    /// Whether a directory is new in this image, as far as that can be said.
    fn made_here(&self, path: &str) -> bool {
        self.workdirs.iter().any(|made| within(made, path))
            || self.draft.layers().any(|layer| match &layer.source {
                Source::Dirs(dirs) => dirs.iter().any(|(dir, ..)| within(dir, path)),
                Source::Copy(items) | Source::Image { copy: items, .. } => {
                    items.iter().any(|item| within(&item.dest, path))
                }
                Source::Files(files) => files.iter().any(|(file, _)| within(file, path)),
                _ => false,
            })
    }

    fn chmod(&mut self, call: &Call<'_>) -> Outcome {
        let mut plain: Vec<&str> = Vec::new();
        let mut deep = false;
        for word in &call.words {
            match word.as_str() {
                "-R" | "--recursive" => deep = true,
                "-v" | "-c" | "-f" | "--verbose" | "--changes" | "--silent" => {}
                word => plain.push(word),
            }
        }
        let Some((mode, paths)) = plain.split_first().filter(|(_, paths)| !paths.is_empty()) else {
            return Err(Kept::new("this is no plain `chmod`", "say `mode` or `modes` in the layer"));
        };
        let (file, dir) = match (mode_after(mode, 0o644), mode_after(mode, 0o755)) {
            (Some(file), Some(dir)) => (file, dir),
            _ => return Err(Kept::new("its mode is not known", "say `mode` or `modes` in the layer")),
        };
        let mut into = Vec::new();
        for path in paths {
            let path = call.path(path);
            let mut found = false;
            let workdir = path == self.workdir && !deep;
            for layer in self.draft.layers_mut() {
                match &mut layer.source {
                    Source::Dirs(dirs) => {
                        for (_, _, known) in
                            dirs.iter_mut().filter(|(known, ..)| *known == path || deep && within(known, &path))
                        {
                            *known = Some(dir.clone());
                            found = true;
                        }
                    }
                    Source::Copy(items) | Source::Image { copy: items, .. } => {
                        let to = layer.to.clone().unwrap_or_default();
                        for item in items.clone() {
                            if let Some(pattern) = pattern_of(&path, &item.dest, &to, &item.src, item.how) {
                                let list = &mut layer.modes;
                                match deep {
                                    true => {
                                        list.push((joined(&pattern, "**"), file.clone()));
                                        if dir != "0755" {
                                            list.push((format!("{}/", joined(&pattern, "**")), dir.clone()));
                                        }
                                    }
                                    false => list.push((pattern, file.clone())),
                                }
                                found = true;
                            }
                        }
                    }
                    Source::Files(files) if files.iter().all(|(file, _)| *file == path) => {
                        layer.mode = Some(file.clone());
                        found = true;
                    }
                    Source::Fetch(fields) => {
                        let to = layer.to.clone().unwrap_or_default();
                        let name = fields.iter().find(|(key, _)| key == "name").map(|(_, name)| name.clone());
                        if let Some(super::super::draft::Toml::Text(name)) = name
                            && format!("{}/{name}", to.trim_end_matches('/')) == path
                        {
                            fields.retain(|(key, _)| key != "mode");
                            fields.push(("mode".to_owned(), super::super::draft::Toml::text(&file)));
                            found = true;
                        }
                    }
                    _ => {}
                }
            }
            if !found {
                if workdir && self.made_here(&path) {
                    self.add(Layer::new(Source::Dirs(vec![(
                        path.clone(),
                        self.workdir_owner.clone(),
                        Some(dir.clone()),
                    )])));
                    into.push(path);
                    continue;
                }
                return Err(Kept::new(
                    format!("no `COPY` of this image brings `{path}`"),
                    "say `modes` in the layer that brings it, or `dirs` for a directory of the base",
                ));
            }
            into.push(path);
        }
        Ok(Done::Turned(format!("modes of {}", into.join(", "))))
    }

    fn mkdir(&mut self, call: &Call<'_>) -> Outcome {
        let mut mode = None;
        let (mut user, mut group) = (None, None);
        let mut paths = Vec::new();
        let mut words = call.words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-m" | "--mode" => mode = words.next().cloned(),
                "-o" | "--owner" => user = words.next().cloned(),
                "-g" | "--group" => group = words.next().cloned(),
                word if word.starts_with("--mode=") => mode = Some(word["--mode=".len()..].to_owned()),
                word if word.starts_with("-m") && word.len() > 3 => mode = Some(word[2..].to_owned()),
                word if word.starts_with('-') => {}
                word => paths.push(word.to_owned()),
            }
        }
        if paths.is_empty() || paths.iter().any(|path| is_pattern(path) || path.contains(['{', '}'])) {
            return Err(Kept::new("its paths are not plain", "name each directory in `dirs`"));
        }
        let mode = match mode.as_deref().map(|mode| mode_after(mode, 0o755)) {
            Some(None) => {
                return Err(Kept::new("its mode is not known", "`dirs = { \"/data\" = { mode = \"0750\" } }`"));
            }
            Some(Some(mode)) => Some(mode).filter(|mode| mode != "0755"),
            None => None,
        };
        // What a process of another user makes is that user's.
        let owner = match (user, group) {
            (Some(user), Some(group)) => self.owner(&format!("{user}:{group}")),
            (Some(user), None) => self.owner(&format!("{user}:0")),
            (None, Some(group)) => self.owner(&format!("0:{group}")),
            (None, None) => self.user.clone().and_then(|user| self.owner(&user)),
        };
        let dirs: Vec<_> = paths
            .iter()
            .map(|path| call.path(path))
            .filter(|path| !(*path == self.workdir && mode.is_none()) && path != "/")
            .map(|path| (path, owner.clone(), mode.clone()))
            .collect();
        if dirs.is_empty() {
            return Ok(Done::Nothing("the working directory is made by itself"));
        }
        self.add(Layer::new(Source::Dirs(dirs)));
        Ok(Done::Turned("dirs".to_owned()))
    }

    fn link(&mut self, call: &Call<'_>) -> Outcome {
        let symbolic = call
            .words
            .iter()
            .any(|word| word == "--symbolic" || word.starts_with('-') && !word.starts_with("--") && word.contains('s'));
        let plain = call.plain();
        let (true, [target, path]) = (symbolic, plain.as_slice()) else {
            return Err(Kept::new("this is no single symlink", "`symlinks = { \"/path\" = \"target\" }`"));
        };
        if is_pattern(target) || is_pattern(path) {
            return Err(Kept::new("its paths are a pattern", "`symlinks = { \"/path\" = \"target\" }`"));
        }
        let mut full = call.path(path);
        if path.ends_with('/') || self.is_directory(&full) {
            full = joined(&full, split(target).1);
        }
        self.add(Layer::new(Source::Symlinks(vec![(full, (*target).to_owned())])));
        Ok(Done::Turned("symlinks".to_owned()))
    }

    fn remove(&mut self, call: &Call<'_>) -> Outcome {
        let plain: Vec<String> = call.plain().into_iter().map(str::to_owned).collect();
        let mut removed = Vec::new();
        let mut turned = Vec::new();
        for word in &plain {
            let path = call.path(word);
            let cache = CACHES.iter().any(|cache| within(&path, cache))
                || path.contains("/.cache")
                || path.contains("/__pycache__");
            if cache && self.origin(&path, &[]).is_none() {
                continue;
            }
            if self.read.contains(&path) {
                continue;
            }
            if self.exclude(&path) {
                turned.push(path);
                continue;
            }
            if is_pattern(&path) || call.pattern(word) {
                return Err(Kept::new(
                    "the base is not searched for what fits a pattern",
                    "name each path in `remove`, or leave it out with `exclude` where it is copied",
                ));
            }
            if path == "/" {
                return Err(Kept::new("the root is not removed", "leave the line out"));
            }
            removed.push(path);
        }
        if removed.is_empty() && turned.is_empty() {
            return Ok(Done::Nothing("nothing is left to clean up"));
        }
        let into = match (removed.is_empty(), turned.is_empty()) {
            (true, _) => "exclude",
            (false, true) => "remove",
            _ => "exclude, remove",
        };
        if !removed.is_empty() {
            let mut layer = Layer::new(Source::Remove(removed));
            layer.comments.push("what the base does not have cannot be removed: then leave it out".to_owned());
            self.add(layer);
        }
        Ok(Done::Turned(into.to_owned()))
    }

    /// Leaves a path out where it is copied.
    fn exclude(&mut self, path: &str) -> bool {
        let mut found = false;
        for layer in self.draft.layers_mut() {
            let Source::Copy(items) = &mut layer.source else { continue };
            let mut whole = None;
            for (at, item) in items.iter().enumerate() {
                if item.dest == path && item.how != How::Contents && !is_pattern(&item.src) {
                    whole = Some(at);
                } else if within(path, &item.dest) && !is_pattern(&item.src) && path != item.dest {
                    let below = if item.dest == "/" { path } else { &path[item.dest.len()..] };
                    layer.exclude.push(joined(&item.src, below));
                    found = true;
                }
            }
            if let Some(at) = whole {
                items.remove(at);
                found = true;
            }
        }
        self.draft.items.retain(|item| match item {
            super::Item::Layer(layer) => !matches!(&layer.source, Source::Copy(items) if items.is_empty()),
            super::Item::Comment(_) => true,
        });
        found
    }

    /// `find DIR -name X -delete` and the like.
    fn find(&mut self, call: &Call<'_>) -> Outcome {
        let removes = call.words.iter().any(|word| word == "-delete")
            || call.words.windows(2).any(|pair| pair[0] == "-exec" && pair[1] == "rm");
        let names: Vec<&String> = call
            .words
            .windows(2)
            .filter(|pair| matches!(pair[0].as_str(), "-name" | "-iname"))
            .map(|pair| &pair[1])
            .collect();
        let odd = call.words.iter().any(|word| {
            matches!(
                word.as_str(),
                "!" | "-not" | "-perm" | "-mtime" | "-size" | "-newer" | "-path" | "-user" | "-empty"
            )
        });
        if !removes || names.is_empty() || odd {
            return Err(Kept::new(
                "what it finds is not known",
                "leave the files out with `exclude` where they are copied",
            ));
        }
        let roots: Vec<String> = call
            .words
            .iter()
            .take_while(|word| !word.starts_with(['-', '(', '!']))
            .map(|word| call.path(word))
            .collect();
        let mut found = false;
        for layer in self.draft.layers_mut() {
            let Source::Copy(items) = &layer.source else { continue };
            let below = |dest: &str| roots.iter().any(|root| within(dest, root) || within(root, dest));
            if items.iter().any(|item| below(&item.dest)) {
                for name in &names {
                    let pattern = format!("**/{name}");
                    if !layer.exclude.contains(&pattern) {
                        layer.exclude.push(pattern);
                    }
                }
                found = true;
            }
        }
        match found {
            true => Ok(Done::Turned("exclude".to_owned())),
            false => Ok(Done::Nothing("nothing is left to clean up")),
        }
    }

    fn touch(&mut self, call: &Call<'_>) -> Outcome {
        let files: Vec<(String, String)> =
            call.plain().into_iter().map(|path| (call.path(path), String::new())).collect();
        if files.is_empty() || files.iter().any(|(path, _)| self.origin(path, &[]).is_some()) {
            return Ok(Done::Nothing("times of files are fixed"));
        }
        self.write(files);
        Ok(Done::Turned("files".to_owned()))
    }

    fn write(&mut self, files: Vec<(String, String)>) {
        let owner = self.user.clone().and_then(|user| self.owner(&user));
        self.add(Layer { owner, ..Layer::new(Source::Files(files)) });
    }

    fn echo(&mut self, call: &Call<'_>) -> Outcome {
        let Some((file, add)) = &call.output else { return Ok(Done::Nothing("it only prints")) };
        let path = call.path(file);
        let text = match call.program.as_str() {
            "echo" => {
                let words = call.words.iter().skip_while(|word| *word == "-e" || *word == "-n");
                let mut text = words.map(String::as_str).collect::<Vec<_>>().join(" ");
                if !call.words.iter().any(|word| word == "-n") {
                    text.push('\n');
                }
                if text.contains('\\') {
                    return Err(Kept::new("what it writes depends on the shell", "write the file with `files`"));
                }
                text
            }
            _ => match call.words.as_slice() {
                [text] if !text.contains('%') => text.replace("\\n", "\n").replace("\\t", "\t"),
                [format, text] if format == "%s" || format == "%s\\n" => match format.len() {
                    2 => text.clone(),
                    _ => format!("{text}\n"),
                },
                _ => return Err(Kept::new("what it writes is not known", "write the file with `files`")),
            },
        };
        if *add {
            let known = self.draft.layers_mut().find_map(|layer| match &mut layer.source {
                Source::Files(files) => files.iter_mut().find(|(known, _)| *known == path),
                _ => None,
            });
            return match known {
                Some((_, known)) => {
                    known.push_str(&text);
                    Ok(Done::Turned("files".to_owned()))
                }
                None => Err(Kept::new("it adds to a file", "write the whole file with `files`, or `copy` it")),
            };
        }
        self.write(vec![(path, text)]);
        Ok(Done::Turned("files".to_owned()))
    }

    /// Certificates that were copied to where Debian looks for its own.
    fn certificates(&mut self) -> Outcome {
        let folder = "/usr/local/share/ca-certificates";
        let mut paths = Vec::new();
        for layer in self.draft.layers() {
            if let Source::Copy(items) = &layer.source {
                for item in items.iter().filter(|item| within(&item.dest, folder)) {
                    match item.how == How::Contents || is_pattern(&item.src) {
                        true => {
                            return Err(Kept::new(
                                "which certificates these are is not known",
                                "`ca = [\"company.pem\"]` names each",
                            ));
                        }
                        false => paths.push(item.src.clone()),
                    }
                }
            }
        }
        if paths.is_empty() {
            return Ok(Done::Nothing("`ca-certificates` brings its bundle"));
        }
        self.add(Layer::new(Source::Ca(paths)));
        Ok(Done::Turned("ca".to_owned()))
    }
}

/// The pattern below `to` for a path that an item brings.
fn pattern_of(path: &str, dest: &str, to: &str, src: &str, how: How) -> Option<String> {
    if is_pattern(src) {
        // Names land beside each other: those that fit both are meant.
        let (folder, name) = split(path);
        let (_, pattern) = split(src);
        let same = folder == split(dest).0 && (name == pattern || fits(pattern, name) || fits(name, pattern));
        return same.then(|| below(path, to)).flatten();
    }
    if within(path, dest) && (how != How::Contents || path != dest) {
        return below(path, to);
    }
    // Above: everything that the item brings.
    None
}

fn below(path: &str, to: &str) -> Option<String> {
    match to {
        "/" => Some(path.trim_start_matches('/').to_owned()),
        to => Some(path.strip_prefix(to)?.trim_start_matches('/').to_owned()),
    }
}

/// What a mode of `chmod` makes of a mode, in four octal digits.
pub(in crate::migrate) fn mode_after(mode: &str, before: u32) -> Option<String> {
    if !mode.is_empty() && mode.len() <= 5 && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        let number = u32::from_str_radix(mode, 8).ok()?;
        return (number <= 0o7777).then(|| format!("{number:04o}"));
    }
    let mut now = before;
    for clause in mode.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let (who, rest) = clause.split_at(at);
        let (sign, bits) = rest.split_at(1);
        let mut mask = 0;
        for c in who.chars() {
            mask |= match c {
                'u' => 0o700,
                'g' => 0o070,
                'o' => 0o007,
                'a' => 0o777,
                _ => return None,
            };
        }
        if who.is_empty() {
            mask = if bits == "w" { 0o200 } else { 0o777 };
        }
        let mut given = 0;
        for c in bits.chars() {
            given |= match c {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                // For directories, and for files that somebody may execute.
                'X' if before & 0o111 != 0 => 0o111,
                'X' => 0,
                _ => return None,
            };
        }
        match sign {
            "+" => now |= given & mask,
            "-" => now &= !(given & mask),
            _ => now = now & !mask | given & mask,
        }
    }
    Some(format!("{now:04o}"))
}
