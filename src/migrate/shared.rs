//! What several images begin with becomes an image that they stand on; what all say goes to `[defaults]` or `[variants]`.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, Item, Key, Layer, Overlay, Recipe, Setting, Source, Toml};

/// Finds images with the same beginning, and puts it into one below them.
pub(super) fn bases(recipe: &mut Recipe) {
    let own: BTreeSet<String> = recipe.images.iter().map(|draft| draft.name.clone()).collect();
    let mut groups: Vec<(String, Vec<String>, Layer, Vec<usize>)> = Vec::new();
    for (at, draft) in recipe.images.iter().enumerate() {
        if let Some(Toml::Text(from)) = draft.value(Key::From)
            && !own.contains(from)
            && draft.value(Key::Publish).is_none()
        {
            let variants: Vec<String> = draft.variants.iter().map(|(name, _)| name.clone()).collect();
            let Some(first) = draft.layers().next() else { continue };
            let group = groups
                .iter_mut()
                .find(|(known, made, layer, _)| known == from && *made == variants && layer.same_as(first));
            match group {
                Some((.., members)) => members.push(at),
                None => groups.push((from.clone(), variants, first.clone(), vec![at])),
            }
        }
    }
    for (_, variants, _, members) in groups {
        if members.len() < 2 {
            continue;
        }
        let name = ["base", "common-base", "shared-base"]
            .into_iter()
            .find(|name| recipe.images.iter().all(|draft| draft.name != *name));
        let Some(name) = name else { continue };
        if let Some(base) = base(name, &variants, &mut recipe.images, &members) {
            recipe.images.push(base);
        }
    }
    let depth = |name: &str, images: &[Draft]| {
        let mut depth = 0;
        let mut at = name.to_owned();
        while let Some(Toml::Text(from)) =
            images.iter().find(|draft| draft.name == at).and_then(|draft| draft.value(Key::From))
        {
            depth += 1;
            at.clone_from(from);
            if depth > images.len() {
                break;
            }
        }
        depth
    };
    let mut order: Vec<(usize, Draft)> =
        recipe.images.iter().map(|draft| (depth(&draft.name, &recipe.images), draft.clone())).collect();
    // What is not published is below others, if only to copy from.
    order.sort_by_key(|(depth, draft)| (*depth, draft.value(Key::Publish).is_none()));
    recipe.images = order.into_iter().map(|(_, draft)| draft).collect();
}

/// Layers before the first that is not the same in all.
fn common_layers(drafts: &[&Draft]) -> Vec<Layer> {
    let mut common: Vec<Layer> = Vec::new();
    let lists: Vec<Vec<&Layer>> = drafts.iter().map(|draft| draft.layers().collect()).collect();
    let owners_agree = drafts.iter().all(|draft| {
        draft.value(Key::Owner) == drafts[0].value(Key::Owner)
            && draft.variants.iter().zip(&drafts[0].variants).all(|((_, one), (_, other))| {
                let value =
                    |overlay: &Overlay, key: Key| overlay.settings.get(&key).map(|setting| setting.value.clone());
                [Key::Owner, Key::Exclude].into_iter().all(|key| value(one, key) == value(other, key))
            })
    });
    for at in 0.. {
        let row: Option<Vec<&&Layer>> = lists.iter().map(|list| list.get(at)).collect();
        let Some(row) = row else { break };
        let first = row[0];
        let bound = first.owned() || matches!(first.source, Source::Dirs(_) | Source::Symlinks(_));
        if !row.iter().all(|layer| layer.same_as(first)) || bound && !owners_agree {
            break;
        }
        let mut layer = (**first).clone();
        for comment in row[1..].iter().flat_map(|layer| &layer.comments) {
            if !layer.comments.contains(comment) {
                layer.comments.push(comment.clone());
            }
        }
        common.push(layer);
    }
    common
}

fn base(name: &str, variants: &[String], images: &mut [Draft], members: &[usize]) -> Option<Draft> {
    let drafts: Vec<&Draft> = members.iter().map(|at| &images[*at]).collect();
    let layers = common_layers(&drafts);
    if layers.is_empty() {
        return None;
    }
    let mut base = Draft { name: name.to_owned(), ..Draft::default() };
    let names: Vec<String> = drafts.iter().map(|draft| draft.name.clone()).collect();
    base.comments.push(format!("what {} begin with", names.join(", ")));
    let same = |key: Key| {
        let first = drafts[0].settings.get(&key)?;
        drafts.iter().all(|draft| draft.value(key) == Some(&first.value)).then(|| first.clone())
    };
    let moved = [Key::From, Key::Platforms, Key::Users, Key::User, Key::Workdir, Key::Shell, Key::StopSignal];
    for key in moved.into_iter().chain([Key::Owner]) {
        if let Some(setting) = same(key) {
            base.settings.insert(key, setting);
        }
    }
    // An entrypoint takes the command below it away, so both move or none.
    let both = |key: Key| drafts.iter().all(|draft| draft.value(key).is_none()) || same(key).is_some();
    let entrypoint = both(Key::Entrypoint)
        && drafts
            .iter()
            .all(|draft| draft.variants.iter().all(|(_, overlay)| !overlay.settings.contains_key(&Key::Entrypoint)));
    if entrypoint && let Some(setting) = same(Key::Entrypoint) {
        base.settings.insert(Key::Entrypoint, setting);
    }
    let mut pairs = Vec::new();
    if let Some(Toml::Table(first)) = drafts[0].value(Key::Env) {
        for (key, value) in first {
            let all = drafts.iter().all(|draft| matches!(draft.value(Key::Env), Some(Toml::Table(other)) if other.contains(&(key.clone(), value.clone()))));
            if all {
                pairs.push((key.clone(), value.clone()));
            }
        }
    }
    if !pairs.is_empty() {
        let said: Vec<String> =
            drafts[0].settings.get(&Key::Env).map(|setting| setting.comments.clone()).unwrap_or_default();
        let comments = said
            .into_iter()
            .filter(|comment| pairs.iter().any(|(name, _)| comment.contains(&format!(" {name} "))))
            .collect();
        base.settings.insert(Key::Env, Setting { value: Toml::Table(pairs.clone()), comments });
    }
    // What is said between the layers goes with them.
    let mut next = 0;
    for item in &drafts[0].items {
        match item {
            Item::Layer(_) => {
                base.items.extend(layers.get(next).cloned().map(Item::Layer));
                next += 1;
            }
            Item::Comment(_) if next <= layers.len() => base.items.push(item.clone()),
            Item::Comment(_) => {}
        }
    }
    base.set(Key::Publish, Toml::False);
    if !variants.is_empty() {
        base.set(Key::Variants, Toml::texts(variants));
        for (at, variant) in variants.iter().enumerate() {
            let mut overlay = Overlay::default();
            for key in [Key::Users, Key::User, Key::Owner, Key::Exclude] {
                let first = drafts[0].variants.get(at).and_then(|(_, overlay)| overlay.settings.get(&key));
                if let Some(setting) = first
                    && drafts.iter().all(|draft| {
                        draft
                            .variants
                            .get(at)
                            .and_then(|(_, overlay)| overlay.settings.get(&key))
                            .map(|other| &other.value)
                            == Some(&setting.value)
                    })
                {
                    overlay.settings.insert(key, setting.clone());
                }
            }
            base.variants.push((variant.clone(), overlay));
        }
    }
    for at in members {
        let draft = &mut images[*at];
        let mut seen = 0;
        draft.items.retain(|item| match item {
            Item::Layer(_) => {
                seen += 1;
                seen > layers.len()
            }
            Item::Comment(_) if seen <= layers.len() => {
                !base.items.iter().any(|other| super::twins::alike(item, other))
            }
            Item::Comment(_) => true,
        });
        for key in moved.into_iter().chain(entrypoint.then_some(Key::Entrypoint)) {
            if base.settings.contains_key(&key) {
                draft.settings.remove(&key);
            }
        }
        if let Some(Setting { value: Toml::Table(own), comments }) = draft.settings.get_mut(&Key::Env) {
            own.retain(|pair| !pairs.contains(pair));
            comments.retain(|comment| own.iter().any(|(name, _)| comment.contains(&format!(" {name} "))));
            if own.is_empty() {
                draft.settings.remove(&Key::Env);
            }
        }
        // Accounts are made once, below.
        for ((_, overlay), (_, below)) in draft.variants.iter_mut().zip(&base.variants) {
            if below.settings.contains_key(&Key::Users) {
                overlay.settings.remove(&Key::Users);
            }
            if below.settings.contains_key(&Key::User) {
                overlay.settings.remove(&Key::User);
            }
        }
        draft.set(Key::From, Toml::text(name));
    }
    Some(base)
}

/// One `owner` for all images, where everything that it is for agrees.
pub(super) fn owner(recipe: &mut Recipe) {
    let mut owners: BTreeSet<Option<String>> = BTreeSet::new();
    for draft in &recipe.images {
        let image = match draft.value(Key::Owner) {
            Some(Toml::Text(owner)) => Some(owner.clone()),
            _ => None,
        };
        if draft
            .variants
            .iter()
            .any(|(_, overlay)| overlay.settings.contains_key(&Key::Owner) || !overlay.items.is_empty())
        {
            return;
        }
        if draft.value(Key::Workdir).is_some() && image.is_none() {
            owners.insert(None);
        }
        if draft.layers().any(|layer| matches!(layer.source, Source::Dirs(_) | Source::Symlinks(_))) && image.is_none()
        {
            owners.insert(None);
        }
        owners.extend(draft.layers().filter(|layer| layer.owned()).map(|layer| layer.owner.clone().or(image.clone())));
    }
    let [Some(owner)] = owners.into_iter().collect::<Vec<_>>().try_into().unwrap_or([None]) else { return };
    for draft in &mut recipe.images {
        draft.settings.remove(&Key::Owner);
        for layer in draft.layers_mut().filter(|layer| layer.owned()) {
            layer.owner = None;
        }
    }
    recipe.owner = Some(owner);
}

/// What all images say in a variant goes to `[variants.NAME]`.
pub(super) fn variants(recipe: &mut Recipe) {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in recipe.images.iter().flat_map(|draft| &draft.variants) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    for name in names {
        let mut table: BTreeMap<Key, Setting> = BTreeMap::new();
        let overlays = |images: &[Draft]| -> Vec<(bool, BTreeMap<Key, Setting>)> {
            let of = |draft: &Draft| {
                draft
                    .variants
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, overlay)| (draft.value(Key::Publish).is_some(), overlay.settings.clone()))
            };
            images.iter().filter_map(of).collect()
        };
        let all = overlays(&recipe.images);
        for key in [Key::Users, Key::User, Key::Owner, Key::StopSignal, Key::Healthcheck, Key::Format, Key::Exclude] {
            // What is below others runs nothing: a health check of theirs does it no harm, a user neither.
            let counted: Vec<Option<&Setting>> = all
                .iter()
                .filter(|(below, _)| !below || matches!(key, Key::Owner | Key::Exclude))
                .map(|(_, settings)| settings.get(&key))
                .collect();
            let present: Vec<&Setting> = counted.iter().filter_map(|setting| *setting).collect();
            let needed = match key {
                // Accounts and users are said below, and inherited.
                Key::Users | Key::User => continue,
                _ => counted.len(),
            };
            if present.len() < needed || present.len() < 2 {
                continue;
            }
            let most = present
                .iter()
                .max_by_key(|setting| present.iter().filter(|other| other.value == setting.value).count());
            let Some(most) = most.copied() else { continue };
            let count = present.iter().filter(|other| other.value == most.value).count();
            if count < 2 || key == Key::Exclude && count < present.len() {
                continue;
            }
            table.insert(key, most.clone());
        }
        for draft in &mut recipe.images {
            for (_, overlay) in draft.variants.iter_mut().filter(|(known, _)| *known == name) {
                overlay
                    .settings
                    .retain(|key, setting| table.get(key).is_none_or(|hoisted| hoisted.value != setting.value));
            }
        }
        recipe.variants.push((name, table));
    }
}
