//! What images and variants are called, by the paths of their Dockerfiles; what bases are, by their names.

use super::draft::{Layer, Source};

/// The image that a Dockerfile makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) image: String,
    pub(super) variant: Option<String>,
}

/// Words at the end of a Dockerfile's name that say for what an image is made, not which.
const VARIANTS: [&str; 16] = [
    "k8s",
    "kubernetes",
    "kube",
    "openshift",
    "docker",
    "compose",
    "dev",
    "development",
    "prod",
    "production",
    "staging",
    "test",
    "ci",
    "debug",
    "local",
    "slim",
];

/// A name that a recipe takes: lower-case letters and digits, separated.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            '.' | '_' | '-' if !out.is_empty() => out.push(c),
            _ if !out.is_empty() && !out.ends_with(['.', '_', '-']) => out.push('-'),
            _ => {}
        }
    }
    out.truncate(100);
    let trimmed = out.trim_end_matches(['.', '_', '-']);
    let mut name = trimmed.to_owned();
    for doubled in ["..", "._", "_.", ".-", "-.", "-_", "_-"] {
        while name.contains(doubled) {
            name = name.replace(doubled, "-");
        }
    }
    if name.is_empty() || name == "scratch" { "app".to_owned() } else { name }
}

/// The names of several Dockerfiles; two of one image are variants of it.
pub(super) fn of(paths: &[String], project: &str) -> Vec<Named> {
    let mut all: Vec<Named> = paths.iter().map(|path| one(path, paths, project)).collect();
    // A variant needs a twin: `Dockerfile.prod` alone is the image.
    for at in 0..all.len() {
        let image = all[at].image.clone();
        let twins: Vec<usize> = (0..all.len()).filter(|other| all[*other].image == image).collect();
        let made = twins.iter().filter(|other| all[**other].variant.is_some()).count();
        if twins.len() == 1 || made == 0 {
            all[at].variant = None;
        } else if all[at].variant.is_none() {
            let cluster =
                twins.iter().filter_map(|other| all[*other].variant.as_deref()).any(|name| name.starts_with('k'));
            let plain = if cluster { "docker" } else { "standard" };
            let taken = twins.iter().any(|other| all[*other].variant.as_deref() == Some(plain));
            all[at].variant = Some(if taken { format!("standard{at}") } else { plain.to_owned() });
        }
    }
    // Two of one name and variant are two images after all.
    for at in 0..all.len() {
        let before = all[..at].iter().filter(|other| **other == all[at]).count();
        if before > 0 {
            all[at] = Named { image: format!("{}-{}", all[at].image, before + 1), variant: None };
        }
    }
    all
}

fn one(path: &str, paths: &[String], project: &str) -> Named {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let lower = file.to_ascii_lowercase();
    let rest = ["dockerfile", "containerfile"]
        .iter()
        .find_map(|word| {
            let before = lower.strip_suffix(word).map(|rest| rest.trim_end_matches(['.', '-', '_']));
            let after = lower.strip_prefix(word).map(|rest| rest.trim_start_matches(['.', '-', '_']));
            after.or(before).map(str::to_owned)
        })
        .unwrap_or_else(|| lower.clone());
    let mut words: Vec<&str> = rest.split(['.', '-', '_']).filter(|word| !word.is_empty()).collect();
    let mut variant = None;
    if let Some(at) = words.iter().position(|word| VARIANTS.contains(word)) {
        // `Dockerfile.k8s` and `Dockerfile.k8s.server`, `Dockerfile.server-k8s`.
        if at + 1 == words.len() || at == 0 {
            variant = Some(words.remove(at).to_owned());
        }
    }
    let usual = ["docker", "deploy", "build", "ci", ".", "dockerfiles", "images", "containers"];
    let mut parent = folder.rsplit('/').next().unwrap_or_default();
    if usual.contains(&parent) {
        parent = "";
    }
    // Where folders hold one service each, they say which.
    let folders: std::collections::BTreeSet<&str> =
        paths.iter().map(|path| path.rsplit_once('/').map_or("", |(folder, _)| folder)).collect();
    let image = match (words.is_empty(), parent.is_empty()) {
        (false, false)
            if folders.len() > 1 && paths.iter().any(|other| other != path && other.ends_with(&format!("/{file}"))) =>
        {
            format!("{parent}-{}", words.join("-"))
        }
        (false, _) => words.join("-"),
        (true, false) => parent.to_owned(),
        (true, true) => project.to_owned(),
    };
    Named { image: clean(&image), variant }
}

/// Whether a base is the image that another Dockerfile makes: `base`, `eveai-base`, `registry/eveai/base:latest`.
pub(super) fn makes(image: &str, project: &str, base: &str) -> bool {
    let plain = base.split('@').next().unwrap_or(base);
    let (path, last) = plain.rsplit_once('/').unwrap_or(("", plain));
    let (name, tag) = last.split_once(':').map_or((last, ""), |(name, tag)| (name, tag));
    let name = name.to_ascii_lowercase().replace('_', "-");
    let image = image.replace('_', "-");
    let project = clean(project).replace('_', "-");
    if name == format!("{project}-{image}") || name.ends_with(&format!("-{image}")) {
        return true;
    }
    let own_tag = tag.is_empty() || tag == "latest" || tag == "local" || tag == "dev";
    name == image && (own_tag && path.is_empty() || path.ends_with(&project) && !path.is_empty())
}

/// The suites of a Debian base, by its name.
pub(super) fn suites(base: &str) -> Vec<String> {
    let (image, tag) = image_and_tag(base);
    if tag.contains("alpine") || image.contains("alpine") || image.contains("ubuntu") {
        return Vec::new();
    }
    let by_name = ["trixie", "bookworm", "bullseye"].into_iter().find(|suite| tag.contains(suite));
    let suite = by_name.or(match (image.as_str(), tag.split(['-', '.']).next().unwrap_or_default()) {
        ("debian", "13" | "latest" | "stable") => Some("trixie"),
        ("debian", "12") => Some("bookworm"),
        ("debian", "11") => Some("bullseye"),
        _ => None,
    });
    match suite {
        Some(suite) => vec![suite.to_owned(), format!("{suite}-updates"), format!("{suite}-security")],
        None => Vec::new(),
    }
}

/// The repository's last name and the tag of a base, in small letters.
fn image_and_tag(base: &str) -> (String, String) {
    let lower = base.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    let (image, tag) = name.split_once(':').unwrap_or((name, "latest"));
    (image.to_owned(), tag.to_owned())
}

/// What scripts need of any base.
const PLAIN: [&str; 7] = ["base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dash", "libc-bin"];

/// The package of what a base is there for.
fn program(image: &str) -> Option<&'static str> {
    match image {
        "python" => Some("python3"),
        "nginx" => Some("nginx"),
        "node" => Some("nodejs"),
        _ => None,
    }
}

/// The Debian packages that do for scripts what a base does.
fn packages(image: &str) -> Vec<&'static str> {
    PLAIN.into_iter().chain(program(image)).collect()
}

/// What stands in the place of a base where there is to be none: nothing where it has no shell either.
pub(super) fn instead(base: &str) -> Vec<Layer> {
    let (image, _) = image_and_tag(base);
    if base.contains("distroless") {
        return Vec::new();
    }
    let packages = packages(&image).into_iter().map(str::to_owned).collect();
    let mut layer = Layer::new(Source::Debian { packages, recommends: false, slim: true, suites: Vec::new() });
    layer.comments.push(format!("what `{base}` has and scripts need: leave out what none of yours runs"));
    let mut layers = vec![layer];
    if image == "python" {
        layers[0].comments.push("python3 is the suite's: 3.13 in trixie, 3.11 in bookworm".to_owned());
        let mut link = Layer::new(Source::Symlinks(vec![("/usr/bin/python".to_owned(), "python3".to_owned())]));
        link.comments.push(format!("`{base}` has it by this name, too"));
        layers.push(link);
    }
    layers
}

/// What else a base could be.
pub(super) fn advice(base: &str) -> Vec<String> {
    let (image, tag) = image_and_tag(base);
    if tag.contains("alpine") || image.contains("alpine") {
        return vec![
            "Alpine: `debian` layers and most wheels want a Debian base, such as the same name without `alpine`"
                .to_owned(),
        ];
    }
    if image != "debian" && program(&image).is_none() {
        return Vec::new();
    }
    let quoted: Vec<String> = packages(&image).iter().map(|package| format!("\"{package}\"")).collect();
    vec![
        "or Debian packages alone, and no registry: an image with from = \"scratch\", publish = false, and one layer"
            .to_owned(),
        format!("  debian = {{ packages = [{}], slim = true }}", quoted.join(", ")),
    ]
}
