//! An image in two makes becomes one image with variants: what both have is said once.

use std::collections::BTreeMap;

use super::draft::{Draft, Item, Key, Layer, Overlay, Setting, Source, Toml};

/// Puts the drafts of one image together, each with the name of its variant.
pub(super) fn merge(mut drafts: Vec<(String, Draft)>) -> Option<Draft> {
    lift_owners(&mut drafts);
    let names: Vec<String> = drafts.iter().map(|(name, _)| name.clone()).collect();
    let mut overlays: Vec<Overlay> = names.iter().map(|_| Overlay::default()).collect();
    let mut merged = Draft { name: drafts.first()?.1.name.clone(), ..Draft::default() };
    for (_, draft) in &drafts {
        merged.comments.extend(
            draft.comments.iter().filter(|comment| !merged.comments.contains(comment)).cloned().collect::<Vec<_>>(),
        );
    }
    merged.settings = settings(&drafts, &mut overlays);
    merged.items = items(&drafts, &mut overlays);
    merged.set(Key::Variants, Toml::texts(&names));
    merged.variants = names.into_iter().zip(overlays).collect();
    Some(merged)
}

/// Where the makes differ in who owns the files, and each in one way, that is one `owner`.
fn lift_owners(drafts: &mut [(String, Draft)]) {
    let uniform = |draft: &Draft| -> Option<Option<String>> {
        if let Some(Toml::Text(owner)) = draft.value(Key::Owner) {
            return Some(Some(owner.clone()));
        }
        let mut owners = draft.layers().filter(|layer| layer.owned()).map(|layer| layer.owner.clone());
        let first = owners.next()?;
        owners.all(|owner| owner == first).then_some(first)
    };
    let all: Option<Vec<Option<String>>> = drafts.iter().map(|(_, draft)| uniform(draft)).collect();
    let Some(owners) = all else { return };
    if owners.iter().all(|owner| *owner == owners[0]) {
        return;
    }
    for ((_, draft), owner) in drafts.iter_mut().zip(owners) {
        let Some(owner) = owner.filter(|_| draft.value(Key::Owner).is_none()) else { continue };
        draft.set(Key::Owner, Toml::text(owner));
        for layer in draft.layers_mut() {
            if layer.owned() {
                layer.owner = None;
            }
            match &mut layer.source {
                Source::Dirs(dirs) => dirs
                    .iter_mut()
                    .filter(|(_, owner, _)| owner.is_none())
                    .for_each(|(_, owner, _)| *owner = Some("0:0".to_owned())),
                Source::Symlinks(_) => layer.owner = Some("0:0".to_owned()),
                _ => {}
            }
        }
    }
}

fn settings(drafts: &[(String, Draft)], overlays: &mut [Overlay]) -> BTreeMap<Key, Setting> {
    let mut common: BTreeMap<Key, Setting> = BTreeMap::new();
    let keys: std::collections::BTreeSet<Key> =
        drafts.iter().flat_map(|(_, draft)| draft.settings.keys().copied()).collect();
    for key in keys {
        let all: Vec<Option<&Setting>> = drafts.iter().map(|(_, draft)| draft.settings.get(&key)).collect();
        if matches!(key, Key::Env | Key::Labels) {
            pairs(key, &all, &mut common, overlays);
            continue;
        }
        let first = all.first().copied().flatten();
        let same = first
            .is_some_and(|first| all.iter().all(|setting| setting.is_some_and(|setting| setting.value == first.value)));
        match (same, first) {
            (true, Some(first)) => {
                common.insert(key, Setting { value: first.value.clone(), comments: comments(&all) });
            }
            _ => {
                for (overlay, setting) in overlays.iter_mut().zip(all) {
                    if let Some(setting) = setting {
                        overlay.settings.insert(key, setting.clone());
                    }
                }
            }
        }
    }
    common
}

fn comments(all: &[Option<&Setting>]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for comment in all.iter().flatten().flat_map(|setting| &setting.comments) {
        // The same said of two lines is said once.
        if !out.iter().any(|known| unplaced(known) == unplaced(comment)) {
            out.push(comment.clone());
        }
    }
    out
}

/// A comment without the `FILE:LINE: ` in front.
fn unplaced(comment: &str) -> &str {
    match comment.split_once(": ") {
        Some((place, rest)) if place.rsplit(':').next().is_some_and(|line| line.parse::<usize>().is_ok()) => rest,
        _ => comment,
    }
}

/// `env` and `labels` are put together key by key.
fn pairs(key: Key, all: &[Option<&Setting>], common: &mut BTreeMap<Key, Setting>, overlays: &mut [Overlay]) {
    let tables: Vec<&[(String, Toml)]> = all
        .iter()
        .map(|setting| match setting.map(|setting| &setting.value) {
            Some(Toml::Table(pairs)) => pairs.as_slice(),
            _ => &[],
        })
        .collect();
    let value = |table: &[(String, Toml)], name: &str| {
        table.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut shared = Vec::new();
    let mut own: Vec<Vec<(String, Toml)>> = tables.iter().map(|_| Vec::new()).collect();
    for (at, table) in tables.iter().enumerate() {
        for (name, text) in *table {
            let same = tables.iter().all(|other| value(other, name).as_ref() == Some(text));
            match same {
                true if at == 0 => shared.push((name.clone(), text.clone())),
                true => {}
                false => own[at].push((name.clone(), text.clone())),
            }
        }
    }
    if !shared.is_empty() {
        common.insert(key, Setting { value: Toml::Table(shared), comments: comments(all) });
    }
    for (overlay, pairs) in overlays.iter_mut().zip(own) {
        if !pairs.is_empty() {
            overlay.settings.insert(key, Setting { value: Toml::Table(pairs), comments: Vec::new() });
        }
    }
}

fn items(drafts: &[(String, Draft)], overlays: &mut [Overlay]) -> Vec<Item> {
    let mut left: Vec<Vec<Option<Item>>> =
        drafts.iter().map(|(_, draft)| draft.items.iter().cloned().map(Some).collect()).collect();
    let mut common = Vec::new();
    let Some((first, _)) = left.split_first().map(|(first, rest)| (first.clone(), rest.len())) else { return common };
    for (at, item) in first.into_iter().enumerate() {
        let Some(item) = item else { continue };
        let found: Option<Vec<usize>> = left[1..]
            .iter()
            .map(|items| items.iter().position(|other| other.as_ref().is_some_and(|other| alike(&item, other))))
            .collect();
        let Some(found) = found else { continue };
        let mut all = vec![item];
        left[0][at] = None;
        for (items, at) in left[1..].iter_mut().zip(found) {
            all.extend(items[at].take());
        }
        common.push(unite(all, overlays));
    }
    for (overlay, items) in overlays.iter_mut().zip(left) {
        overlay.items.extend(items.into_iter().flatten());
    }
    common
}

/// Whether two items are one, but for what is left out and which packages there are.
pub(super) fn alike(one: &Item, other: &Item) -> bool {
    match (one, other) {
        (Item::Comment(one), Item::Comment(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| unplaced(one) == unplaced(other))
        }
        (Item::Layer(one), Item::Layer(other)) => {
            if let (
                Source::Debian { packages, recommends, slim, .. },
                Source::Debian { packages: more, recommends: also, slim: too, .. },
            ) = (&one.source, &other.source)
            {
                return recommends == also && slim == too && packages.iter().any(|package| more.contains(package));
            }
            let plain = |layer: &Layer| Layer { exclude: Vec::new(), ..layer.clone() };
            plain(one).same_as(&plain(other))
        }
        _ => false,
    }
}

fn unite(all: Vec<Item>, overlays: &mut [Overlay]) -> Item {
    let layers: Vec<&Layer> =
        all.iter().filter_map(|item| if let Item::Layer(layer) = item { Some(layer) } else { None }).collect();
    let Some(first) = layers.first() else { return all.into_iter().next().unwrap_or(Item::Comment(Vec::new())) };
    let mut united = (*first).clone();
    united.comments.clear();
    for comment in layers.iter().flat_map(|layer| &layer.comments) {
        if !united
            .comments
            .iter()
            .any(|known| known == comment || (unplaced(known) == unplaced(comment) && unplaced(comment) != comment))
        {
            united.comments.push(comment.clone());
        }
    }
    united.exclude.retain(|pattern| layers.iter().all(|layer| layer.exclude.contains(pattern)));
    for (overlay, layer) in overlays.iter_mut().zip(&layers) {
        let more: Vec<Toml> =
            layer.exclude.iter().filter(|pattern| !united.exclude.contains(pattern)).map(Toml::text).collect();
        if !more.is_empty() {
            let setting = overlay
                .settings
                .entry(Key::Exclude)
                .or_insert(Setting { value: Toml::List(Vec::new()), comments: Vec::new() });
            if let Toml::List(list) = &mut setting.value {
                let new: Vec<Toml> = more.into_iter().filter(|pattern| !list.contains(pattern)).collect();
                list.extend(new);
            }
        }
    }
    if let Source::Debian { packages, .. } = &mut united.source {
        let sets: Vec<Vec<String>> = layers
            .iter()
            .map(|layer| match &layer.source {
                Source::Debian { packages, .. } => packages.clone(),
                _ => Vec::new(),
            })
            .collect();
        packages.retain(|package| sets.iter().all(|set| set.contains(package)));
        for ((overlay, set), layer) in overlays.iter_mut().zip(&sets).zip(&layers) {
            let more: Vec<String> = set.iter().filter(|package| !packages.contains(package)).cloned().collect();
            if !more.is_empty()
                && let Source::Debian { recommends, slim, suites, .. } = &layer.source
            {
                let (recommends, slim, suites) = (*recommends, *slim, suites.clone());
                let source = Source::Debian { packages: more, recommends, slim, suites };
                let comments = layer.comments.first().cloned().into_iter().collect();
                overlay.items.push(Item::Layer(Layer { comments, ..Layer::new(source) }));
            }
        }
    }
    Item::Layer(united)
}
