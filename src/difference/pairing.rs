//! Which layer of one image belongs to which of another.

use std::collections::BTreeSet;

use super::image::Side;
use crate::base::StackLayer;
use crate::limits::Limits;
use crate::oci::{Descriptor, DiffId, annotation};

/// A layer with its line of history.
pub struct Line<'a> {
    /// The blob.
    pub descriptor: &'a Descriptor,
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// What was done.
    pub created_by: Option<&'a str>,
}

impl Line<'_> {
    /// What all parts of a layer have in common.
    pub fn stem(&self) -> Option<&str> {
        self.created_by.map(stem)
    }
}

/// A text without ` (part 2 of 5)`.
pub fn stem(text: &str) -> &str {
    match text.rsplit_once(" (part ") {
        Some((stem, part)) if part.ends_with(')') => stem,
        _ => text,
    }
}

/// What a layer is called where its line of history begins with its name.
pub fn name_of(line: &str) -> Option<&str> {
    stem(line).split_once(": ").map(|(name, _)| name)
}

/// The layers of an image, lowest first. Lines are counted from the top: a base's may be fewer than its layers.
pub fn lines<'a>(side: &Side<'a>) -> Vec<Line<'a>> {
    let layers: Vec<_> = side.manifest.layers.iter().zip(&side.config.rootfs.diff_ids).collect();
    let mut history = side.config.history.iter().rev().filter(|line| !line.empty_layer);
    let line = |(descriptor, diff_id): (&'a Descriptor, &'a DiffId)| Line {
        descriptor,
        diff_id: *diff_id,
        created_by: history.next().and_then(|line| line.created_by.as_deref()),
    };
    let mut lines: Vec<Line<'a>> = layers.into_iter().rev().map(line).collect();
    lines.reverse();
    lines
}

/// Layers that differ and belong together: the parts of one layer of the recipe, by number, now and before.
pub struct Group {
    /// Of the image now.
    pub now: Vec<usize>,
    /// Of the image before.
    pub before: Vec<usize>,
    /// Into how many layers it is cut now.
    pub parts: usize,
}

/// What belongs to what.
pub struct Pairs {
    /// As many of the old layers are those of a base.
    pub old_base: usize,
    /// What differs and belongs together.
    pub groups: Vec<Group>,
    /// Old layers that nothing took the place of.
    pub gone: Vec<usize>,
}

/// Whether both are the same layers, however they are compressed.
pub fn are_same(first: &[Line<'_>], second: &[Line<'_>]) -> bool {
    first.len() == second.len() && first.iter().zip(second).all(|(first, second)| first.diff_id == second.diff_id)
}

/// Pairs layers that differ: those with the same line of history, then those with the same name, then, where as many are
/// left on both sides, those in the same order.
pub fn pair(base: &[Line<'_>], own: &[Line<'_>], old: &[Line<'_>]) -> Pairs {
    let known: BTreeSet<DiffId> = own.iter().map(|line| line.diff_id).collect();
    let same_base = old.get(..base.len()).is_some_and(|old| are_same(base, old));
    let first = if same_base { base.len() } else { 0 };
    let mut left: Vec<usize> = (first..old.len())
        .filter(|number| old.get(*number).is_some_and(|line| !known.contains(&line.diff_id)))
        .collect();
    let there: BTreeSet<DiffId> = old.iter().map(|line| line.diff_id).collect();
    let mut groups: Vec<Group> = Vec::new();
    for (number, line) in own.iter().enumerate().filter(|(_, line)| !there.contains(&line.diff_id)) {
        let is_of = |group: &&mut Group| {
            let other = group.now.first().and_then(|number| own.get(*number));
            line.stem().is_some() && line.created_by != line.stem() && other.and_then(Line::stem) == line.stem()
        };
        match groups.last_mut().filter(|group| is_of(group)) {
            Some(group) => group.now.push(number),
            None => {
                let parts = match line.created_by == line.stem() {
                    true => 1,
                    false => own.iter().filter(|other| other.stem() == line.stem()).count(),
                };
                groups.push(Group { now: vec![number], before: Vec::new(), parts });
            }
        }
    }
    let rules: [fn(&str, &str) -> bool; 2] =
        [|now, before| now == before, |now, before| name_of(now).is_some() && name_of(now) == name_of(before)];
    for rule in rules {
        for group in groups.iter_mut().filter(|group| group.before.is_empty()) {
            let Some(now) = group.now.first().and_then(|number| own.get(*number)?.stem()) else { continue };
            let stem_of = |number: &usize| old.get(*number).and_then(Line::stem);
            // All parts of the first that fits.
            let Some(wanted) = left.iter().filter_map(stem_of).find(|before| rule(now, before)) else { continue };
            let mut whole = false;
            for number in &left {
                if let Some(line) = old.get(*number)
                    && line.stem() == Some(wanted)
                    && !whole
                {
                    group.before.push(*number);
                    whole = line.created_by == Some(wanted);
                }
            }
            left.retain(|number| !group.before.contains(number));
        }
    }
    // Below the first layer that belongs to something stands what the old image stood on.
    let old_base = match same_base {
        true => base.len(),
        false => {
            let leading = left.iter().enumerate().take_while(|(place, number)| place == *number).count();
            let is_ours = |line: &Line<'_>| line.descriptor.annotations.contains_key(annotation::LAYER_KEY);
            let foreign = old.iter().take(leading).take_while(|line| !is_ours(line)).count();
            if foreign == 0 { leading.min(base.len()) } else { foreign }
        }
    };
    left.retain(|number| *number >= old_base);
    let open = groups.iter().filter(|group| group.before.is_empty()).count();
    if open == left.len() {
        let mut rest = left.drain(..);
        for group in groups.iter_mut().filter(|group| group.before.is_empty()) {
            group.before.extend(rest.next());
        }
    }
    Pairs { old_base, groups, gone: left }
}

/// The layers of an image, where their bytes are.
pub(super) fn stacked(side: &Side<'_>) -> Vec<StackLayer> {
    lines(side).iter().map(|line| stacked_layer(side, line)).collect()
}

/// One of them.
pub(super) fn stacked_layer(side: &Side<'_>, line: &Line<'_>) -> StackLayer {
    let descriptor = line.descriptor.clone();
    StackLayer { descriptor, diff_id: line.diff_id, bytes: side.bytes.clone(), limits: Limits::default() }
}
