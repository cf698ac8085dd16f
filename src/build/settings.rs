//! What an image of a recipe comes to over an opened base: numbers for names, values for expressions.

use std::collections::BTreeMap;

use super::layer_tree::LayerTree;
use super::{BuildError, Builder, OpenBase};
use crate::base::LayerStack;
use crate::code::{Cause, ErrorCode, io_or};
use crate::content::Content;
use crate::image::{Change, Settings};
use crate::oci::{ContainerConfig, Platform};
use crate::recipe::{FileMode, Image, ImageName, Labels, NameOrId, OwnerSpec, Setting, Span};
use crate::shown::Shown;
use crate::source::users::{AccountFiles, Accounts, User, UsersError, add_users};
use crate::tree::{Entry, FileTree, Located, NamedDirectory, Origin, Owner, Placer, TreePath};

/// What an image comes to over its base.
pub(super) struct Resolved {
    pub settings: Settings,
    pub annotations: BTreeMap<String, String>,
    pub warnings: Vec<String>,
    /// Who names mean: the recipe's users first, then the base's.
    pub accounts: Accounts,
    /// The base's account files with the image's users; `None` where nothing changes.
    files: Option<AccountFiles>,
    before: AccountFiles,
    homes: Vec<(TreePath, Owner)>,
    /// Where things land that say nothing else.
    pub workdir: Option<TreePath>,
    workdir_owner: Owner,
    users: Vec<String>,
}

/// A longer file is none of accounts.
const MAX_ACCOUNTS: u64 = 16 << 20;

/// The accounts of a base, wherever its links lead, and the first file of them that is no UTF-8 text: names in it can be looked
/// up, but it cannot be written again. Those with passwords are read only where they are to be written: no lock holds them.
fn account_files(
    builder: &Builder<'_>,
    span: Span,
    stack: &LayerStack,
    writes: bool,
) -> Result<(AccountFiles, Option<TreePath>), BuildError> {
    let names = ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"];
    let mut found = Vec::new();
    for name in &names[..if writes { 4 } else { 2 }] {
        let path = TreePath::parse(name).map_err(|error| builder.at(span, error))?;
        let file = stack.rootfs().file(&path).map_err(|error| builder.at(span, error))?;
        let file = file.map(|(path, _, located)| (path, located));
        if let Some((path, _)) = file.as_ref().filter(|(_, located)| located.length() > MAX_ACCOUNTS) {
            let text = format!("{path} of the base is too large to be a file of accounts");
            return Err(builder.told(ErrorCode::Dpkg, span, text));
        }
        found.push(file);
    }
    // Most are kept with what is known of the base; behind links and under other names they are read out of their layers.
    let located: Vec<&Located> = found.iter().flatten().map(|(_, located)| *located).collect();
    let contents = stack.extract(&located, builder.store);
    let contents =
        contents.map_err(|error| builder.caused(span, "reading the accounts of the base".to_owned(), error))?;
    let mut contents = contents.into_iter();
    let (mut texts, mut odd) = (Vec::new(), None);
    for file in found {
        let Some((path, content)) = file.and_then(|(path, _)| Some((path, contents.next()?))) else {
            texts.push(None);
            continue;
        };
        let bytes = content.read_all(MAX_ACCOUNTS).map_err(|error| {
            let text = format!("reading {path} of the base: {error}");
            builder.told(io_or(&error, ErrorCode::BaseDamaged), span, text)
        })?;
        stack.rootfs().was_read(&path, &bytes);
        texts.push(Some(String::from_utf8(bytes).unwrap_or_else(|error| {
            odd.get_or_insert(path);
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        })));
    }
    let mut texts = texts.into_iter();
    let mut next = || texts.next().flatten();
    Ok((AccountFiles { passwd: next(), group: next(), shadow: next(), gshadow: next() }, odd))
}

/// Resolves an image over its base.
pub(super) fn resolve(
    builder: &Builder<'_>,
    image: &Image,
    open: &OpenBase,
    platform: &Platform,
) -> Result<Resolved, BuildError> {
    let (before, odd) = account_files(builder, image.from.span, &open.stack, !image.users.is_empty())?;
    let mut accounts = Accounts::read(&before);
    let mut users = Vec::new();
    let mut homes = Vec::new();
    for (name, user) in &builder.recipe.users {
        let wanted = User {
            name: name.clone(),
            uid: user.uid,
            gid: user.gid,
            comment: user.comment.clone(),
            home: user.home.to_string(),
            shell: user.shell.to_string(),
            groups: user.groups.iter().map(|group| group.value.to_string()).collect(),
        };
        // Every user of the recipe gives a meaning to a name; only those that the image lists get entries.
        accounts.know(&wanted);
        if image.users.iter().any(|listed| listed.value == *name) {
            if user.create_home {
                homes.push((user.home.clone(), user.owner()));
            }
            users.push(wanted);
        }
    }
    let users_span = image.users.first().map_or(image.span, |first| first.span);
    if let (Some(odd), false) = (&odd, users.is_empty()) {
        return Err(builder.told(
            ErrorCode::Dpkg,
            users_span,
            format!("{odd} of the base is no UTF-8 text, so no user can be added to it"),
        ));
    }
    let files = add_users(&before, &users).map_err(|error| builder.at(users_span, error))?;

    let mut warnings = Vec::new();
    let base = &open.image.config.config;
    let (env, env_warnings) = image.env.expand(&base.env, &platform.architecture);
    for warning in env_warnings {
        let at = builder.recipe.sources().position(warning.span);
        warnings.push(format!("{at}: {}; {}", warning.message, warning.help));
    }
    let user = match &image.user {
        Some(user) => {
            let owner = owner_of(&accounts, &user.value).map_err(|error| builder.at(user.span, error))?;
            Change::Set(owner.to_string())
        }
        None => {
            let named = base.user.as_deref().filter(|user| !user.is_empty());
            if let Some(name) =
                named.filter(|name| name.split(':').next().is_none_or(|user| user.parse::<u32>().is_err()))
            {
                warnings.push(format!(
                    "{}: the base's user is the name {}, which runAsNonRoot of Kubernetes refuses: set `user` to have it in numbers",
                    image.name,
                    Shown::new(name.as_bytes())
                ));
            }
            Change::Inherit
        }
    };
    let workdir_owner = match &image.rules.owner {
        Some(owner) => owner_of(&accounts, &owner.value).map_err(|error| builder.at(owner.span, error))?,
        None => Owner::ROOT,
    };
    let inherited = base.working_dir.as_deref().filter(|path| !path.is_empty());
    let workdir = match &image.workdir {
        Some(workdir) => Some(workdir.value.clone()),
        None => inherited.and_then(|path| TreePath::parse(path).ok()),
    };
    let settings = Settings {
        user,
        workdir: match &image.workdir {
            Some(workdir) => Change::Set(workdir.value.to_string()),
            None => Change::Inherit,
        },
        env,
        entrypoint: change(&image.entrypoint, Clone::clone),
        cmd: change(&image.cmd, Clone::clone),
        labels: labels(builder, &image.labels, platform)?,
        ports: change(&image.ports, |ports| ports.iter().map(ToString::to_string).collect()),
        volumes: change(&image.volumes, |volumes| volumes.iter().map(ToString::to_string).collect()),
        healthcheck: change(&image.healthcheck, |check| check.value.clone()),
        shell: change(&image.shell, Clone::clone),
        stop_signal: match &image.stop_signal {
            Some(signal) => Change::Set(signal.value.clone()),
            None => Change::Inherit,
        },
    };
    if image.format == crate::oci::Family::Oci && matches!(image.healthcheck, Setting::Set(_)) {
        warnings.push(format!(
            "{}: `healthcheck` is Docker's own; Docker reads it from an OCI image too, podman and others do not: `format = \"docker\"` is understood by all",
            image.name
        ));
    }
    let annotations = labels(builder, &image.annotations, platform)?
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| (key, value)))
        .collect();
    Ok(Resolved {
        settings,
        annotations,
        warnings,
        accounts,
        files,
        before,
        homes,
        workdir,
        workdir_owner,
        users: users.into_iter().map(|user| user.name).collect(),
    })
}

fn change<T, U>(setting: &Setting<T>, of: impl FnOnce(&T) -> U) -> Change<U> {
    match setting {
        Setting::Inherit => Change::Inherit,
        Setting::Clear => Change::Clear,
        Setting::Set(value) => Change::Set(of(value)),
    }
}

fn labels(
    builder: &Builder<'_>,
    labels: &Labels,
    platform: &Platform,
) -> Result<BTreeMap<String, Option<String>>, BuildError> {
    labels
        .iter()
        .map(|(key, value)| {
            let resolved = match &value.value {
                Some(text) => {
                    Some(text.resolve(&platform.architecture).map_err(|error| builder.at(value.span, error))?)
                }
                None => None,
            };
            Ok((key.clone(), resolved))
        })
        .collect()
}

/// Semantics 34: a login shell reads Debian's `/etc/profile`, which sets PATH anew.
pub(super) fn login_shell_warning(name: &ImageName, config: &ContainerConfig) -> Option<String> {
    let path = config.path()?;
    let usual = |part: &str| {
        matches!(
            part,
            "/usr/local/sbin"
                | "/usr/local/bin"
                | "/usr/sbin"
                | "/usr/bin"
                | "/sbin"
                | "/bin"
                | "/usr/local/games"
                | "/usr/games"
        )
    };
    let lost = path.split(':').find(|part| !usual(part))?;
    let words: Vec<&String> = config.entrypoint.iter().chain(&config.cmd).flatten().collect();
    let login = words.windows(2).any(|pair| {
        let shell = pair[0].rsplit('/').next().is_some_and(|name| matches!(name, "sh" | "bash" | "dash" | "zsh"));
        shell && pair[1].starts_with('-') && !pair[1].starts_with("--") && pair[1].contains('l')
    });
    login.then(|| {
        format!(
            "{name}: a login shell (`-l`) sets PATH anew in /etc/profile of Debian, so that `{lost}` is lost: leave the `l` \
             out, or set PATH where it is used"
        )
    })
}

/// Who an owner of the recipe is.
pub(super) fn owner_of(accounts: &Accounts, spec: &OwnerSpec) -> Result<Owner, UsersError> {
    let text = |name: &NameOrId| name.to_string();
    accounts.resolve(&text(&spec.user), spec.group.as_ref().map(text).as_deref())
}

impl Resolved {
    /// The line of history of the accounts' layer.
    pub(super) fn accounts_line(&self) -> String {
        let mut parts = Vec::new();
        if self.files.is_some() {
            parts.push(format!("users {}", self.users.join(", ")));
        }
        if !self.homes.is_empty() {
            let homes: Vec<String> = self.homes.iter().map(|(home, _)| home.to_string()).collect();
            parts.push(format!("homes {}", homes.join(", ")));
        }
        if let (Change::Set(workdir), owner) = (&self.settings.workdir, self.workdir_owner) {
            parts.push(format!("workdir {workdir} of {owner}"));
        }
        parts.join("; ")
    }

    /// Labels of the command line hold over the recipe's.
    pub(super) fn labels_on_top(&mut self, labels: &BTreeMap<String, String>) {
        self.settings.labels.extend(labels.iter().map(|(key, value)| (key.clone(), Some(value.clone()))));
    }
}

/// The implicit first layer (semantics 15): accounts, homes, workdir, where they are new.
pub(super) fn accounts_layer(
    image: &Image,
    resolved: &Resolved,
    open: &OpenBase,
) -> Result<Option<LayerTree>, BuildError> {
    let mut tree = FileTree::new();
    let origin = Origin::new(format!("users of {}", image.name));
    let failed = |source: Cause| BuildError::Outside {
        at: image.name.to_string(),
        what: "adding users and the workdir".to_owned(),
        remote: false,
        source,
    };
    let path = |text: &str| TreePath::parse(text).map_err(|error| failed(error.into()));
    {
        let mut placer = Placer::new(open.stack.rootfs(), &mut tree, Owner::ROOT, origin.clone());
        if let Some(files) = &resolved.files {
            for (at, new, old, mode, group) in [
                ("etc/passwd", &files.passwd, &resolved.before.passwd, 0o644, 0),
                ("etc/group", &files.group, &resolved.before.group, 0o644, 0),
                ("etc/shadow", &files.shadow, &resolved.before.shadow, 0o640, 42),
                ("etc/gshadow", &files.gshadow, &resolved.before.gshadow, 0o640, 42),
            ] {
                if let Some(text) = new.as_ref().filter(|_| new != old) {
                    let content = Content::inline(text.as_bytes());
                    placer
                        .rewrite(&path(at)?, content, mode, Owner::new(0, group), origin.clone())
                        .map_err(|error| failed(error.into()))?;
                }
            }
        }
        for (home, owner) in &resolved.homes {
            // As useradd makes it.
            placer
                .directory(home, Entry::directory(0o700, *owner, origin.clone()))
                .map_err(|error| failed(error.into()))?;
        }
    }
    if let Some(workdir) = &image.workdir
        && !workdir.value.is_root()
    {
        let origin = Origin::new(format!("workdir of {}", image.name));
        let mut placer = Placer::new(open.stack.rootfs(), &mut tree, Owner::ROOT, origin.clone());
        let mode = match image.rules.dir_mode.as_ref().map(|mode| mode.value) {
            Some(FileMode::Octal(mode)) => mode.bits(),
            Some(FileMode::Preserve) | None => 0o755,
        };
        let named = NamedDirectory { mode: None, owner: None, usual: (mode, resolved.workdir_owner), origin };
        placer.named_directory(&workdir.value, &named).map_err(|error| failed(error.into()))?;
    }
    let title = "accounts".to_owned();
    Ok((!tree.is_empty()).then(|| LayerTree {
        title,
        span: image.span,
        split: 1,
        created_by: resolved.accounts_line(),
        tree,
        newest: None,
    }))
}
