//! From what is written to images: merged, filled in, in the order in which they are built, with no two under one name.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::base::{Base, ImageName, Place, SCHEMES, reference};
use super::environment::Environment;
use super::image::{Image, Labels};
use super::inputs::Inputs;
use super::layer::{ImageItem, Layer, Source};
use super::path::PerArch;
use super::problems::{Fault, Problems, shown};
use super::section::{Created, ImageItemDraft, LayerDraft, Section};
use super::template::{Filled, Scope, Template};
use super::user::User;
use super::{At, Diagnostic, Span};
use crate::code::ErrorCode;
use crate::compress::Encoding;
use crate::nearest::nearest;
use crate::oci::reference::valid_tag;
use crate::oci::{Compression, Family, Reference};
use crate::shown::with_causes;

/// Everything that is written, read.
pub(super) struct Draft {
    pub(super) project: Section,
    pub(super) defaults: Section,
    pub(super) users: BTreeMap<String, User>,
    /// In the order in which they are written.
    pub(super) variants: Vec<(At<String>, Section)>,
    pub(super) images: Vec<ImageDraft>,
}

/// An image as it is written.
pub(super) struct ImageDraft {
    pub(super) name: At<String>,
    /// Its header.
    pub(super) span: Span,
    pub(super) section: Section,
    /// What only one of its variants says, by the variant's name.
    pub(super) variants: Vec<(At<String>, Section)>,
}

/// An image in one variant, merged.
struct Node<'d> {
    name: ImageName,
    draft: &'d ImageDraft,
    section: Section,
    from: At<Base>,
    layers: Vec<Layer>,
    /// What must be there before, and where that is written.
    needs: Vec<At<ImageName>>,
}

/// More images would be a mistake, and take more memory than they are worth.
const MAX_IMAGES: usize = 2000;
/// Bytes of text times images: settings that all images share are kept once for each.
const MAX_COPIES: usize = 256 << 20;

/// The images in the order in which they are built: each after what it stands on.
pub(super) fn images(draft: &Draft, inputs: &Inputs, length: usize, problems: &mut Problems) -> Vec<Image> {
    let resolver = Resolver { draft, inputs, makes: BTreeMap::new() };
    resolver.images(length, problems)
}

struct Resolver<'d> {
    draft: &'d Draft,
    inputs: &'d Inputs,
    /// The variants of each image; none where it has no variants.
    makes: BTreeMap<&'d str, Vec<&'d str>>,
}

impl<'d> Resolver<'d> {
    fn images(mut self, length: usize, problems: &mut Problems) -> Vec<Image> {
        self.variants(problems);
        let count: usize = self.makes.values().map(|variants| variants.len().max(1)).sum();
        if count > MAX_IMAGES || count.saturating_mul(length) > MAX_COPIES {
            let span = self.draft.images.first().map(|image| image.span);
            if let Some(span) = span {
                let diagnostic =
                    problems.error(span, format!("the recipe makes {count} images, more than can be held at once"));
                problems.push(diagnostic.label("expected fewer, in several recipes"));
            }
            return Vec::new();
        }
        let mut nodes = Vec::new();
        for image in &self.draft.images {
            let variants = self.makes.get(image.name.value.as_str()).cloned().unwrap_or_default();
            if variants.is_empty() {
                nodes.extend(self.node(image, None, problems));
            }
            for variant in variants {
                nodes.extend(self.node(image, Some(variant), problems));
            }
        }
        if problems.any_error() {
            return Vec::new();
        }
        let Some(order) = order(&nodes, problems) else { return Vec::new() };
        let mut slots: Vec<Option<Node<'d>>> = nodes.into_iter().map(Some).collect();
        let mut images: Vec<Image> = Vec::new();
        for index in order {
            if let Some(node) = slots[index].take() {
                images.extend(self.image(node, &images, problems));
            }
        }
        one_name_each(&images, problems);
        images
    }

    /// Finds out in which variants each image is made.
    fn variants(&mut self, problems: &mut Problems) {
        let declared: BTreeSet<&str> = self.draft.variants.iter().map(|(name, _)| name.value.as_str()).collect();
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for image in &self.draft.images {
            let listed = image.section.variants.as_ref().or(self.draft.defaults.variants.as_ref());
            let mut variants = Vec::new();
            let listed_names: BTreeSet<&str> = listed.into_iter().flatten().map(|name| name.value.as_str()).collect();
            for variant in listed.into_iter().flatten() {
                match declared.contains(variant.value.as_str()) {
                    true => variants.push(variant.value.as_str()),
                    false => {
                        let help = match nearest(&variant.value, declared.iter().copied()) {
                            Some(close) => format!("did you mean `\"{close}\"`?"),
                            None => format!("declare it, if only by an empty table: `[variants.{}]`", variant.value),
                        };
                        let diagnostic = problems
                            .error(variant.span, format!("there is no variant {}", shown(&variant.value)))
                            .coded(ErrorCode::UnknownName);
                        problems.push(diagnostic.label("expected a variant of `[variants]`").help(help));
                    }
                }
            }
            for (name, _) in &image.variants {
                if !listed_names.contains(name.value.as_str()) {
                    let message =
                        format!("image {} is not made in variant {}", shown(&image.name.value), shown(&name.value));
                    let diagnostic = problems
                        .error(name.span, message)
                        .coded(ErrorCode::UnknownName)
                        .label("expected a variant that the image lists");
                    let mut all: Vec<String> = variants.iter().map(|variant| format!("\"{variant}\"")).collect();
                    all.push(format!("\"{}\"", name.value));
                    problems.push(diagnostic.help(format!("list it in the image: `variants = [{}]`", all.join(", "))));
                }
            }
            used.extend(&variants);
            self.makes.insert(&image.name.value, variants);
        }
        for (name, _) in &self.draft.variants {
            if !used.contains(name.value.as_str()) && !problems.any_error() {
                let diagnostic =
                    problems.warning(name.span, format!("no image is made in variant {}", shown(&name.value)));
                problems.push(diagnostic.label("is never used").help("an image lists its variants: `variants = […]`"));
            }
        }
    }

    /// One image in one variant, merged, with what it stands on.
    fn node(&self, draft: &'d ImageDraft, variant: Option<&str>, problems: &mut Problems) -> Option<Node<'d>> {
        let mut section = self.draft.project.clone().under(&self.draft.defaults).under(&draft.section);
        if let Some(variant) = variant {
            for of in [&self.draft.variants, &draft.variants] {
                if let Some((_, over)) = of.iter().find(|(name, _)| name.value == variant) {
                    section = section.under(over);
                }
            }
        }
        let name = ImageName { image: draft.name.value.clone(), variant: variant.map(str::to_owned) };
        for user in section.users.iter().flatten() {
            if !self.draft.users.contains_key(&user.value) {
                let close = nearest(&user.value, self.draft.users.keys().map(String::as_str));
                let help = match close {
                    Some(close) => format!("did you mean `\"{close}\"`?"),
                    None => format!("declare it in `[users.{}]`", user.value),
                };
                let diagnostic = problems
                    .error(user.span, format!("there is no user {}", shown(&user.value)))
                    .coded(ErrorCode::UnknownName);
                problems.push(diagnostic.label("expected a user of `[users]`").help(help));
            }
        }
        let Some(from) = &section.from else {
            let diagnostic = problems
                .error(draft.span, format!("image {} stands on nothing", shown(&draft.name.value)))
                .coded(ErrorCode::MissingKey)
                .label("expected a `from` in it")
                .help("`from = \"scratch\"` is an empty base; others are an image of this recipe, or a reference such as `\"debian:13-slim\"`");
            problems.push(diagnostic);
            return None;
        };
        let scope = Scope { inputs: self.inputs, image: &name.image, variant };
        let mut needs = Vec::new();
        let from = self.base(from, &scope, &mut needs, problems);
        let layers = section.layers.iter().map(|layer| self.layer(layer, &scope, &mut needs, problems)).collect();
        Some(Node { name, draft, from: from?, layers, section, needs })
    }

    /// What a `from` stands for.
    fn base(
        &self,
        text: &At<Template>,
        scope: &Scope<'_>,
        needs: &mut Vec<At<ImageName>>,
        problems: &mut Problems,
    ) -> Option<At<Base>> {
        let filled = fill(text, scope, problems)?;
        let result = match filled.constant() {
            Some("scratch") => Ok(Base::Scratch),
            Some(word) if self.makes.contains_key(word) => self.of_recipe(word, scope),
            Some(word) if !word.contains(['/', ':', '@']) => Err(self.no_such_image(word, scope)),
            _ => PerArch::<Place>::new(filled.clone()).map(Base::Place),
        };
        if let Some(warning) = filled.constant().and_then(|word| self.resembles_variant(word, text.span, problems)) {
            problems.push(warning);
        }
        let written = At::new(text.value.text().to_owned(), text.span);
        let fault = |fault| text.value.stray().unwrap_or_else(|| hidden(fault, &filled));
        let base = problems.take(&written, result.map_err(fault))?;
        if let Base::Image(name) = &base {
            needs.push(At::new(name.clone(), text.span));
        }
        Some(At::new(base, text.span))
    }

    /// What to say where a reference reads like an image of the recipe in a variant that it has.
    fn resembles_variant(&self, word: &str, span: Span, problems: &Problems) -> Option<Diagnostic> {
        let (image, variant) = word.split_once(':')?;
        self.makes.get(image)?.contains(&variant).then_some(())?;
        let hub = format!("docker.io/library/{word}");
        let message = format!("{} is an image of Docker Hub, and not {} of this recipe", shown(word), shown(image));
        let help = format!(
            "`\"{image}\"` is the recipe's, in the same variant as the image that stands on it; `\"{hub}\"` is Docker Hub's"
        );
        Some(problems.warning(span, message).label(format!("stands for `{hub}`")).help(help))
    }

    /// Semantics 1: variant V stands on its base's variant V, else on the base where that has none.
    fn of_recipe(&self, base: &str, scope: &Scope<'_>) -> Result<Base, Fault> {
        let makes = self.makes.get(base).map(Vec::as_slice).unwrap_or_default();
        let variant = match scope.variant {
            _ if makes.is_empty() => None,
            Some(variant) if makes.contains(&variant) => Some(variant.to_owned()),
            variant => {
                let list: Vec<String> = makes.iter().map(|make| format!("`{make}`")).collect();
                let (message, help) = match variant {
                    Some(variant) => (
                        format!(
                            "image {} is made in variant {}, and {} is not",
                            shown(scope.image),
                            shown(variant),
                            shown(base)
                        ),
                        format!("add it to the variants of {}", shown(base)),
                    ),
                    None => (
                        format!(
                            "image {} has no variants, and {} is made in variants only",
                            shown(scope.image),
                            shown(base)
                        ),
                        format!("give {} variants too, or let it stand on an image without", shown(scope.image)),
                    ),
                };
                return Err(Fault::new(message, format!("is made in {}", list.join(", "))).help(help));
            }
        };
        Ok(Base::Image(ImageName { image: base.to_owned(), variant }))
    }

    fn no_such_image(&self, word: &str, scope: &Scope<'_>) -> Fault {
        let fault = Fault::new(
            format!("there is no image {} in this recipe", shown(word)),
            "expected an image of this recipe, `\"scratch\"`, a reference or a place",
        )
        .coded(ErrorCode::UnknownName);
        let known = self.makes.keys().copied().filter(|name| *name != scope.image);
        match nearest(word, known.chain(["scratch"]).chain(SCHEMES)) {
            Some(scheme) if SCHEMES.contains(&scheme) => fault.help(format!("a place is written `\"{scheme}:PATH\"`")),
            Some(close) => fault.help(format!("did you mean `\"{close}\"`?")),
            None => fault.help(format!("a reference has a `/`, `:` or `@`: `\"{word}:TAG\"` is Docker Hub's")),
        }
    }

    fn layer(
        &self,
        draft: &LayerDraft,
        scope: &Scope<'_>,
        needs: &mut Vec<At<ImageName>>,
        problems: &mut Problems,
    ) -> Layer {
        let mut layer = draft.layer.clone();
        if let Some(image) = &draft.image {
            let mut items = Vec::new();
            for ImageItemDraft { from, copy } in &image.items {
                if let Some(base) = self.base(from, scope, needs, problems) {
                    if base.value == Base::Scratch {
                        let diagnostic = problems.error(base.span, "there is nothing in `scratch` to copy");
                        problems.push(diagnostic.label("expected an image of this recipe, a reference or a place"));
                    }
                    let span = base.span;
                    items.push(At::new(ImageItem { from: base, copy: copy.clone() }, span));
                }
            }
            layer.sources.push(At::new(Source::Image(items), image.span));
            layer.sources.sort_by_key(|source| source.span);
        }
        layer
    }

    /// Everything else of an image.
    fn image(&self, node: Node<'d>, before: &[Image], problems: &mut Problems) -> Option<Image> {
        let Node { name, draft, section, from, layers, .. } = node;
        let scope = Scope { inputs: self.inputs, image: &name.image, variant: name.variant.as_deref() };
        let publish = section.publish.unwrap_or(true);

        let mut env = Environment::default();
        for (key, value) in &section.env {
            let filled = match &value.value {
                None => Some(None),
                Some(template) => {
                    let result = template.fill(&scope);
                    let written = At::new(template.text().to_owned(), value.span);
                    problems.take(&written, result).map(Some)
                }
            };
            if let Some(filled) = filled {
                env.0.insert(key.clone(), At::new(filled, value.span));
            }
        }
        let mut labels = |written: &BTreeMap<String, At<Option<Template>>>| {
            let mut labels = Labels::new();
            for (key, value) in written {
                let filled = match &value.value {
                    None => Some(None),
                    Some(template) => {
                        let template = At::new(template.clone(), value.span);
                        fill(&template, &scope, problems).and_then(|filled| PerArch::new(filled).ok()).map(Some)
                    }
                };
                if let Some(filled) = filled {
                    labels.insert(key.clone(), At::new(filled, value.span));
                }
            }
            labels
        };
        let (labels, annotations) = (labels(&section.labels), labels(&section.annotations));

        let (mut repository, mut tags, mut fixed) = (None, Vec::new(), None);
        if publish {
            repository = section.repository.as_ref().and_then(|text| self.repository(text, &scope, problems));
            (tags, fixed) = match &section.tags {
                Some(written) => self.tags(written, &scope, problems),
                None => {
                    let usual = name.variant.clone().unwrap_or_else(|| "latest".to_owned());
                    (vec![At::new(usual.clone(), draft.span)], Some(usual))
                }
            };
        }
        let called = repository.as_ref().map(|repository| {
            let tagged = fixed.and_then(|tag| repository.value.with_tag(&tag).ok());
            tagged.unwrap_or_else(|| repository.value.clone())
        });

        let base = match &from.value {
            Base::Image(base) => before.iter().find(|image| image.name == *base),
            _ => None,
        };
        let platforms = match (section.platforms, base.and_then(|base| base.platforms.as_ref())) {
            (None, inherited) => inherited.cloned(),
            (Some(own), None) => Some(own),
            (Some(own), Some(inherited)) => {
                for platform in &own {
                    if !inherited.iter().any(|of_base| of_base.value.satisfies(&platform.value)) {
                        let list: Vec<String> =
                            inherited.iter().map(|platform| format!("`{}`", platform.value)).collect();
                        let diagnostic = problems
                            .error(
                                platform.span,
                                format!("the base of {} is not built for {}", shown(&name.to_string()), platform.value),
                            )
                            .coded(ErrorCode::NotBuilt)
                            .label(format!("expected {}", list.join(" or ")))
                            .also(from.span, "the base");
                        problems.push(diagnostic);
                    }
                }
                Some(own)
            }
        };

        let format = section.format.as_ref().map_or(Family::Oci, |format| format.value);
        if let (Family::Docker, Some(encoding)) = (format, &section.encoding)
            && encoding.value.compression() == Compression::Zstd
        {
            let mut diagnostic = problems
                .error(encoding.span, "Docker's format has no media type for zstd")
                .coded(ErrorCode::ZstdInDocker)
                .label("expected `\"gzip\"` or `\"none\"`")
                .help("either leave `compression` out, or use `format = \"oci\"`");
            if let Some(format) = &section.format {
                diagnostic = diagnostic.also(format.span, "the format");
            }
            problems.push(diagnostic);
        }
        let created = section.created.and_then(|created| self.created(created, problems));

        Some(Image {
            span: draft.span,
            from,
            publish,
            users: section.users.unwrap_or_default(),
            user: section.user,
            workdir: section.workdir,
            ports: section.ports,
            volumes: section.volumes,
            entrypoint: section.entrypoint,
            cmd: section.cmd,
            env,
            labels,
            annotations,
            healthcheck: section.healthcheck,
            shell: section.shell,
            stop_signal: section.stop_signal,
            rules: section.rules,
            layers,
            repository,
            tags,
            called,
            platforms,
            format,
            encoding: section.encoding.map_or(Encoding::GZIP, |encoding| encoding.value),
            created,
            name,
        })
    }

    fn created(&self, created: At<Created>, problems: &mut Problems) -> Option<At<Timestamp>> {
        let result = match created.value {
            Created::Date(date) => Ok(date),
            Created::Commit => self
                .inputs
                .git
                .commit_time()
                .map_err(|error| {
                    Fault::new(
                        format!("the date of the commit is not known: {}", with_causes(&error)),
                        "there is no value for it",
                    )
                })
                .and_then(|seconds| {
                    Timestamp::from_second(seconds)
                        .map_err(|_| Fault::new("the date of the commit is none", "there is no value for it"))
                }),
        };
        let written = At::new(String::new(), created.span);
        problems.take(&written, result).map(|date| At::new(date, created.span))
    }

    fn repository(&self, text: &At<Template>, scope: &Scope<'_>, problems: &mut Problems) -> Option<At<Reference>> {
        let filled = fill(text, scope, problems)?;
        let result = match filled.constant() {
            None => Err(of_one_platform("a repository")),
            Some(text) => reference(text).and_then(|reference| match (reference.tag(), reference.digest()) {
                (None, None) => Ok(reference),
                (Some(tag), _) => Err(Fault::new(
                    format!("a repository has no tag, and this one has {}", shown(tag)),
                    "expected a repository",
                )
                .help(format!("tags have a key of their own: `tags = [\"{tag}\"]`"))),
                (None, Some(_)) => Err(Fault::new("a repository has no digest", "expected a repository")),
            }),
        };
        let written = At::new(text.value.text().to_owned(), text.span);
        problems
            .take(&written, result.map_err(|fault| text.value.stray().unwrap_or_else(|| hidden(fault, &filled))))
            .map(|reference| At::new(reference, text.span))
    }

    /// Tags, each once: two placeholders may come to the same. The first of them that does not move with the commit or the
    /// environment, too.
    fn tags(
        &self,
        written: &[At<Template>],
        scope: &Scope<'_>,
        problems: &mut Problems,
    ) -> (Vec<At<String>>, Option<String>) {
        let mut tags: Vec<At<String>> = Vec::new();
        let mut fixed = None;
        let mut seen = BTreeSet::new();
        for text in written {
            let Some(filled) = fill(text, scope, problems) else { continue };
            let result = match filled.constant() {
                None => Err(of_one_platform("a tag")),
                Some(tag) if valid_tag(tag) => Ok(tag.to_owned()),
                Some(tag) => Err(text.value.stray().unwrap_or_else(|| {
                    let expected = "expected up to 128 letters, digits, `_`, `.` and `-`, not `.` or `-` first";
                    let fault = match tag.contains('@') {
                        // What stands in front of it may be a login.
                        true => Fault::new("a tag holds no `@`", expected).secret(),
                        false => Fault::new(format!("{} is no tag", filled.shown()), expected),
                    };
                    match tag.contains(['/', ':']) {
                        true => fault.help("the repository has a key of its own: `repository = \"…\"`"),
                        false => fault,
                    }
                })),
            };
            let written = At::new(text.value.text().to_owned(), text.span);
            let Some(tag) = problems.take(&written, result) else { continue };
            if fixed.is_none() && !text.value.moves() {
                fixed = Some(tag.clone());
            }
            if seen.insert(tag.clone()) {
                tags.push(At::new(tag, text.span));
            }
        }
        (tags, fixed)
    }
}

fn fill(text: &At<Template>, scope: &Scope<'_>, problems: &mut Problems) -> Option<Filled> {
    let result = text.value.fill(scope);
    let written = At::new(text.value.text().to_owned(), text.span);
    problems.take(&written, result)
}

fn of_one_platform(what: &str) -> Fault {
    Fault::new(format!("{what} names all platforms of an image at once"), "expected without `{arch}`")
        .help("the platforms of an image are found through its index")
}

/// What came from the environment is not repeated.
fn hidden(fault: Fault, filled: &Filled) -> Fault {
    match filled.is_from_env() {
        false => fault,
        true => Fault { message: "with what the environment says it makes no sense".to_owned(), help: None, ..fault },
    }
}

/// The order in which images are built: as they are written, but each after what it needs. `None` where there is a circle.
fn order(nodes: &[Node<'_>], problems: &mut Problems) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let index: BTreeMap<&ImageName, usize> = nodes.iter().enumerate().map(|(at, node)| (&node.name, at)).collect();
    let mut state = vec![State::New; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for root in 0..nodes.len() {
        // The way down from here: a node, and which of its needs comes next.
        let mut way: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((at, next)) = way.pop() {
            if next == 0 && state[at] == State::Done {
                continue;
            }
            state[at] = State::Open;
            let Some(need) = nodes[at].needs.get(next) else {
                state[at] = State::Done;
                order.push(at);
                continue;
            };
            way.push((at, next + 1));
            let Some(&below) = index.get(&need.value) else { continue };
            match state[below] {
                State::Done => {}
                State::New => way.push((below, 0)),
                State::Open => {
                    let start = way.iter().position(|(node, _)| *node == below).unwrap_or(0);
                    circle(nodes, &way[start..], problems);
                    return None;
                }
            }
        }
    }
    Some(order)
}

fn circle(nodes: &[Node<'_>], way: &[(usize, usize)], problems: &mut Problems) {
    let mut names: Vec<String> = way.iter().map(|(node, _)| nodes[*node].name.to_string()).collect();
    names.extend(names.first().cloned());
    let mut steps = way.iter().filter_map(|(node, next)| nodes[*node].needs.get(next.checked_sub(1)?));
    let Some(first) = steps.next() else { return };
    let message = match way.len() {
        1 => format!("image {} stands on itself", shown(&names[0])),
        _ => format!("images stand on each other in a circle: {}", names.join(" → ")),
    };
    let mut diagnostic = problems
        .error(first.span, message)
        .coded(ErrorCode::Circle)
        .label("expected a base that does not need this image");
    for step in steps.take(8) {
        if step.span != first.span {
            diagnostic = diagnostic.also(step.span, format!("which needs {}", shown(&step.value.to_string())));
        }
    }
    problems.push(diagnostic);
}

/// Semantics 6: no two images of a recipe have one name. What a repository has too many in is told once, however many tags
/// and images that is.
fn one_name_each(images: &[Image], problems: &mut Problems) {
    type ByTag<'a> = BTreeMap<&'a str, Vec<(&'a Image, Span)>>;
    let mut named: BTreeMap<String, ByTag<'_>> = BTreeMap::new();
    for image in images {
        let repository = match &image.repository {
            Some(repository) => repository.value.name(),
            None => image.name.image.clone(),
        };
        for tag in &image.tags {
            named.entry(repository.clone()).or_default().entry(&tag.value).or_default().push((image, tag.span));
        }
    }
    for (repository, mut tags) in named {
        tags.retain(|_, named| named.len() > 1);
        let mut doubles = tags.iter();
        let Some((tag, [(first, span), (_, at), ..])) = doubles.next().map(|(tag, named)| (tag, &named[..])) else {
            continue;
        };
        let (more, also) = (doubles.count(), tags.values().flatten().map(|(image, _)| &image.name));
        let also: BTreeSet<&ImageName> = also.collect();
        let names: Vec<String> = also.iter().map(|name| shown(&name.to_string())).collect();
        let (last, others) = names.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
        let more = match more {
            0 => String::new(),
            1 => " (and 1 tag more)".to_owned(),
            more => format!(" (and {more} tags more)"),
        };
        let text = format!("images {} and {last} have one name: {repository}:{tag}{more}", others.join(", "));
        let mut diagnostic = problems.error(*at, text).label("expected a name of its own for each");
        if span != at {
            diagnostic = diagnostic.also(*span, "the other");
        }
        let help = match also.iter().all(|name| name.image == first.name.image) {
            true => "give each variant tags of its own: `[variants.NAME]`, `tags = […]`",
            false => {
                "put `{image}` into `repository`, or give each image its own; one that is not published has `publish = false`"
            }
        };
        problems.push(diagnostic.help(help));
    }
}
