//! Whether what an image starts is in it. A runtime would say so only when it is run: a typing error is told here.

use crate::nearest::nearest;
use crate::oci::ContainerConfig;
use crate::shown::Shown;
use crate::tree::{NodeKind, Rootfs, Seen, SeenKind, TreePath};

/// Where programs are looked for where the image does not say: what Docker and containerd set.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Programs that start what comes after them: the first that is no option.
const INITS: [&str; 4] = ["tini", "dumb-init", "catatonit", "docker-init"];

/// Programs that read what comes after them: a file, where it is no option and names a directory.
const INTERPRETERS: [&str; 7] = ["sh", "bash", "dash", "python", "node", "perl", "ruby"];

/// What entrypoint and command name and the image does not have, in a sentence each.
pub(super) fn missing(config: &ContainerConfig, view: &Rootfs) -> Vec<String> {
    let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let entrypoint = words(&config.entrypoint);
    let words: Vec<String> = entrypoint.iter().cloned().chain(words(&config.cmd)).collect();
    let image =
        Image { view, workdir: config.working_dir.as_deref().unwrap_or("/"), path: config.path().unwrap_or(PATH) };
    let mut told = Vec::new();
    let mut rest = &words[..];
    // An init starts a program that may be another interpreter: each is looked at.
    while let Some((program, arguments)) = rest.split_first() {
        let of = if words.len() - rest.len() < entrypoint.len() { "entrypoint" } else { "cmd" };
        if let Some(why) = image.program(program) {
            told.push(format!("{of} starts {}, which {why}", Shown::new(program.as_bytes())));
        }
        let name = program.rsplit('/').next().unwrap_or_default();
        if INITS.contains(&name) {
            let options = arguments.iter().take_while(|word| word.starts_with('-')).count();
            rest = &arguments[options..];
            continue;
        }
        let is_interpreter = INTERPRETERS.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
        if let Some(script) = arguments.first().filter(|script| is_interpreter && script.contains('/'))
            && !script.starts_with('-')
            && let Some(why) = image.missing(script)
        {
            told.push(format!(
                "{} is given {}, which {why}",
                Shown::new(program.as_bytes()),
                Shown::new(script.as_bytes())
            ));
        }
        break;
    }
    told
}

struct Image<'a> {
    view: &'a Rootfs,
    workdir: &'a str,
    path: &'a str,
}

impl Image<'_> {
    /// Why a program does not start, where it does not.
    fn program(&self, program: &str) -> Option<String> {
        if program.contains('/') {
            return match self.file(program) {
                Some(node) if node.mode & 0o111 == 0 => Some("is not executable".to_owned()),
                Some(_) => None,
                None => self.missing(program),
            };
        }
        let is_there =
            |directory: &str| self.file(&format!("{directory}/{program}")).is_some_and(|node| node.mode & 0o111 != 0);
        let mut directories = self.path.split(':').filter(|directory| !directory.is_empty());
        let names = || {
            let directories = self.path.split(':').filter_map(|directory| self.directory(directory));
            directories.flat_map(|directory| self.names(&directory)).collect::<Vec<_>>()
        };
        match directories.any(is_there) {
            true => None,
            false => Some(format!("is in no directory of PATH{}", meant(program, &names()))),
        }
    }

    /// Why a file cannot be read, where it is not there.
    fn missing(&self, file: &str) -> Option<String> {
        if self.file(file).is_some() {
            return None;
        }
        let path = self.absolute(file);
        let (directory, name) = path.rsplit_once('/')?;
        let names = self.directory(directory).map(|directory| self.names(&directory)).unwrap_or_default();
        Some(format!("is not in the image{}", meant(name, &names)))
    }

    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.workdir) }
    }

    fn file(&self, path: &str) -> Option<Seen<'_>> {
        let path = self.view.resolve(&TreePath::parse(self.absolute(path)).ok()?).ok()?;
        self.view.see(&path).filter(|seen| seen.kind == SeenKind::File)
    }

    fn directory(&self, path: &str) -> Option<TreePath> {
        let place = self.view.resolve(&TreePath::parse(path).ok()?).ok()?;
        self.view.is_directory(&place).then_some(place)
    }

    fn names(&self, directory: &TreePath) -> Vec<String> {
        let files = self.view.children(directory).filter(|(_, node)| !matches!(node.kind, NodeKind::Directory));
        files.filter_map(|(path, _)| String::from_utf8(path.file_name()?.to_vec()).ok()).collect()
    }
}

fn meant(name: &str, names: &[String]) -> String {
    let near = nearest(name, names.iter().map(String::as_str));
    near.map(|near| format!(" (did you mean {}?)", Shown::new(near.as_bytes()))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::tree::{Located, Node, Owner};

    fn told(config: ContainerConfig) -> String {
        let mut view = Rootfs::new();
        for (path, mode) in [
            ("usr/bin/tini", 0o755),
            ("usr/bin/python3.11", 0o755),
            ("usr/bin/gunicorn", 0o755),
            ("app/start.sh", 0o755),
            ("app/data.sh", 0o644),
            ("app/worker.py", 0o644),
        ] {
            let kind = NodeKind::File(Located::Content(Content::inline(*b"x")));
            view.put(TreePath::parse(path).unwrap(), Node { kind, mode, owner: Owner::ROOT });
        }
        let link = NodeKind::Symlink((*b"usr/bin").into());
        view.put(TreePath::parse("bin").unwrap(), Node { kind: link, mode: 0o777, owner: Owner::ROOT });
        missing(&ContainerConfig { working_dir: Some("/app".to_owned()), ..config }, &view).join("; ")
    }

    fn list(words: &str) -> Option<Vec<String>> {
        Some(words.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn what_starts_is_looked_for_where_a_runtime_looks() {
        for (entrypoint, cmd, expected) in [
            ("", "./start.sh", ""),
            ("", "/app/start.sh --port 80", ""),
            ("", "gunicorn app:app", ""),
            ("/bin/tini -s --", "python3.11 worker.py", ""),
            ("/bin/tini -- gunicorn", "whatever", ""),
            ("", "python3.11 -m web/x", ""),
            ("", "./strat.sh", "cmd starts `./strat.sh`, which is not in the image (did you mean `start.sh`?)"),
            ("", "./data.sh", "cmd starts `./data.sh`, which is not executable"),
            ("", "gunicron", "cmd starts `gunicron`, which is in no directory of PATH (did you mean `gunicorn`?)"),
            (
                "/usr/bin/tinii --",
                "./start.sh",
                "entrypoint starts `/usr/bin/tinii`, which is not in the image (did you mean `tini`?)",
            ),
            ("tini --", "nothing-like-it", "cmd starts `nothing-like-it`, which is in no directory of PATH"),
            (
                "tini --",
                "python3.11 /app/wroker.py",
                "`python3.11` is given `/app/wroker.py`, which is not in the image (did you mean `worker.py`?)",
            ),
        ] {
            let entrypoint = if entrypoint.is_empty() { None } else { list(entrypoint) };
            assert_eq!(
                told(ContainerConfig { entrypoint, cmd: list(cmd), ..ContainerConfig::default() }),
                expected,
                "{cmd}"
            );
        }
        assert_eq!(told(ContainerConfig::default()), "");
        let config = ContainerConfig { cmd: list("start.sh"), env: vec!["PATH=/app".to_owned()], ..Default::default() };
        assert_eq!(told(config), "");
    }
}
