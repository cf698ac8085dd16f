//! What is made over a base of which only a part is known is what is made over all of it, or it is said that something was
//! missed: properties over random bases and random layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::Knowledge;
use crate::content::Content;
use crate::oci::Digest;
use crate::tree::{
    Entry, FileTree, Kind, Located, Missed, Misses, NamedDirectory, Node, NodeKind, Origin, Owner, Placer, Rootfs,
    TreePath,
};

/// What stands at a path of a base.
#[derive(Clone, Debug)]
enum What {
    Directory,
    File,
    /// A file whose contents are kept, where its path is one of those.
    Kept,
    Link(String),
    Special,
}

/// What a layer does.
#[derive(Clone, Debug)]
enum Act {
    File(TreePath),
    Directory(TreePath),
    Link(TreePath, String),
    /// A file with two names.
    Linked(TreePath, TreePath),
    Named(TreePath, Option<u32>),
    Rewrite(TreePath),
    Delete(TreePath),
    /// All that is below one path is put below another, with the modes that it has.
    CopyBelow(TreePath, TreePath),
    /// A file is written again with its mode and owner, as `caps` does.
    Again(TreePath),
    /// The contents of a file decide what is written.
    Look(TreePath, TreePath),
    /// The layer is done. The next one may replace what is below or not.
    Next(bool),
    /// A layer that nobody placed: its parents may be missing, and what it deletes too.
    Foreign(Vec<(TreePath, Option<What>)>),
}

fn any_path() -> impl Strategy<Value = TreePath> {
    let name =
        prop_oneof![4 => Just("a"), 4 => Just("b"), 2 => Just("c"), 1 => Just("a-b"), 1 => Just("\u{e9} \u{1b}")];
    let random = prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"));
    let kept = prop_oneof![Just("etc/passwd"), Just("etc/group"), Just("etc"), Just("usr/lib/os-release")];
    prop_oneof![9 => random, 1 => kept.prop_map(str::to_owned)].prop_map(|path| TreePath::parse(path).unwrap())
}

fn any_target() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => Just("a"), 4 => Just("b"), 1 => Just("c"), 2 => Just("..")];
    (any::<bool>(), prop::collection::vec(part, 1..4))
        .prop_map(|(absolute, parts)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

fn any_what() -> impl Strategy<Value = What> {
    prop_oneof![
        6 => Just(What::Directory),
        3 => Just(What::File),
        1 => Just(What::Kept),
        3 => any_target().prop_map(What::Link),
        1 => Just(What::Special),
    ]
}

fn any_base() -> impl Strategy<Value = Vec<(TreePath, What, u32)>> {
    prop::collection::vec((any_path(), any_what(), 0..0o10000_u32), 0..30)
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => any_path().prop_map(Act::File),
        4 => any_path().prop_map(Act::Directory),
        2 => (any_path(), any_target()).prop_map(|(path, target)| Act::Link(path, target)),
        2 => (any_path(), any_path()).prop_map(|(path, other)| Act::Linked(path, other)),
        2 => (any_path(), prop::option::of(0..0o1000_u32)).prop_map(|(path, mode)| Act::Named(path, mode)),
        2 => any_path().prop_map(Act::Rewrite),
        4 => any_path().prop_map(Act::Delete),
        1 => (any_path(), any_path()).prop_map(|(from, to)| Act::CopyBelow(from, to)),
        1 => any_path().prop_map(Act::Again),
        1 => (any_path(), any_path()).prop_map(|(from, to)| Act::Look(from, to)),
        4 => any::<bool>().prop_map(Act::Next),
        1 => prop::collection::vec((any_path(), prop::option::weighted(0.8, any_what())), 1..4).prop_map(Act::Foreign),
    ]
}

fn any_acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(any_act(), 1..14)
}

/// Acts, and others that have some of them in common, in another order.
fn two_runs() -> impl Strategy<Value = (Vec<Act>, Vec<Act>)> {
    let other = prop::collection::vec((any::<prop::sample::Index>(), prop::option::weighted(0.1, any_act())), 1..14);
    (any_acts(), other).prop_map(|(first, other)| {
        let second = other.into_iter().map(|(at, new)| new.unwrap_or_else(|| first[at.index(first.len())].clone()));
        let second = second.collect();
        (first, second)
    })
}

fn base_of(listed: &[(TreePath, What, u32)]) -> Rootfs {
    let mut base = Rootfs::new();
    for (number, (path, what, mode)) in listed.iter().enumerate() {
        let text = format!("text {number}");
        let kind = match what {
            What::Directory => NodeKind::Directory,
            What::File => NodeKind::File(Located::Layer { layer: 0, offset: number as u64, length: text.len() as u64 }),
            What::Kept => NodeKind::File(Located::Content(Content::inline(text.into_bytes()))),
            What::Link(target) => NodeKind::Symlink(target.as_bytes().into()),
            What::Special => NodeKind::Special,
        };
        base.put(path.clone(), Node { kind, mode: *mode, owner: Owner::new(mode % 3, mode % 2) });
    }
    base
}

/// What a run came to: what each act said, and the layers. Where something was missed, all that was before.
struct Done {
    said: Vec<String>,
    trees: Vec<Arc<FileTree>>,
    view: Rootfs,
    missed: Option<Missed>,
}

/// As builds do it: layers are laid on the view, and merged in where more than single paths are asked for.
fn run(base: &Rootfs, acts: &[Act]) -> Done {
    run_with(base, acts, lay)
}

/// A tree of a build has every directory above what is in it; one that began before somebody took its directory away has not.
fn lay(view: &mut Rootfs, tree: &Arc<FileTree>) {
    match tree.iter().all(|(path, _)| path.ancestors().all(|above| tree.get(&above).is_some())) {
        true => view.lay(tree.clone()),
        false => view.apply(tree),
    }
}

fn run_with(base: &Rootfs, acts: &[Act], put: impl Fn(&mut Rootfs, &Arc<FileTree>)) -> Done {
    let mut done = Done { said: Vec::new(), trees: Vec::new(), view: base.clone(), missed: None };
    let mut replace = false;
    let mut tree = FileTree::new();
    for act in acts.iter().chain([&Act::Next(false)]) {
        let said = match act {
            Act::Next(next) => {
                // As what builds does with every tree; paths that are too many are not tried here.
                tree.repeat_parents(&done.view).unwrap();
                let layer = Arc::new(std::mem::take(&mut tree));
                put(&mut done.view, &layer);
                done.trees.push(layer);
                replace = *next;
                String::new()
            }
            Act::Foreign(entries) => {
                let foreign = Arc::new(foreign(entries));
                done.view.apply(&foreign);
                done.trees.push(foreign);
                String::new()
            }
            act => {
                let mut placer = Placer::new(&done.view, &mut tree, Owner::new(5, 5), Origin::new("test"));
                placer = placer.replacing(replace);
                act_on(&mut placer, act).unwrap_or_else(|error| error)
            }
        };
        if let Some(missed) = base.missed() {
            done.missed = Some(missed.clone());
            return done;
        }
        done.said.push(format!("{act:?}: {said}"));
        if let Some(last) = done.trees.last() {
            done.said.push(listed(last));
        }
    }
    done
}

fn foreign(entries: &[(TreePath, Option<What>)]) -> FileTree {
    let mut tree = FileTree::new();
    let origin = Origin::new("foreign");
    for (path, what) in entries {
        let directory = Entry::directory(0o711, Owner::new(8, 8), origin.clone());
        let entry = match what {
            Some(What::Directory) => directory,
            Some(What::Link(target)) => Entry::symlink(target.as_bytes(), Owner::ROOT, origin.clone()),
            Some(_) => Entry::file(Content::inline(*b"foreign"), 0o600, Owner::ROOT, origin.clone()),
            None => Entry { kind: Kind::Whiteout, ..directory },
        };
        // What does not fit to what is there already is no part of it.
        let _ = tree.insert(path.clone(), entry);
    }
    tree
}

fn act_on(placer: &mut Placer<'_>, act: &Act) -> Result<String, String> {
    let origin = Origin::new("test");
    let file = |text: &str, mode, owner| Entry::file(Content::inline(text.as_bytes()), mode, owner, origin.clone());
    let view = placer.below();
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let landed = match act {
        Act::File(path) => placer.put(path, file("new", 0o640, Owner::ROOT)),
        Act::Directory(path) => placer.directory(path, Entry::directory(0o750, Owner::new(7, 7), origin)),
        Act::Link(path, target) => placer.put(path, Entry::symlink(target.as_bytes(), Owner::ROOT, origin)),
        Act::Linked(path, other) => match placer.put(path, file("two names", 0o604, Owner::new(3, 4))) {
            Ok(landed) => {
                let kind = Kind::Hardlink(landed);
                placer.put(other, Entry { kind, ..file("", 0o604, Owner::new(3, 4)) })
            }
            failed => failed,
        },
        Act::Named(path, mode) => {
            let named = NamedDirectory { mode: *mode, owner: None, usual: (0o755, Owner::new(9, 9)), origin };
            placer.named_directory(path, &named)
        }
        Act::Rewrite(path) => placer.rewrite(path, Content::inline(*b"again"), 0o600, Owner::ROOT, origin),
        Act::Delete(path) => placer.delete(path, origin),
        Act::CopyBelow(from, to) => {
            let from = view.resolve(from).map_err(|error| words(&error))?;
            for (path, node) in view.below(&from) {
                let Some(rest) = path.strip_prefix(&from) else { continue };
                let Ok(to) = to.join(&rest) else { continue };
                let entry = match &node.kind {
                    NodeKind::Directory => Entry::directory(node.mode, node.owner, origin.clone()),
                    NodeKind::Symlink(target) => Entry::symlink(target.clone(), node.owner, origin.clone()),
                    _ => file("copy", node.mode, node.owner),
                };
                placer.put(&to, entry).map_err(|error| words(&error))?;
            }
            return Ok(view.get(&from).map_or("nothing", |_| "something").to_owned());
        }
        Act::Again(path) => match view.file(path).map_err(|error| words(&error))? {
            Some((path, node, located)) => {
                placer.put(&path, file(&located.length().to_string(), node.mode, node.owner))
            }
            None => return Ok("no file".to_owned()),
        },
        Act::Look(path, to) => match view.file(path).map_err(|error| words(&error))? {
            Some((_, _, Located::Content(content))) => {
                let text = String::from_utf8(content.read_all(100).unwrap()).unwrap();
                placer.put(to, file(&text, 0o644, Owner::ROOT))
            }
            Some((_, _, Located::Layer { offset, .. })) => {
                placer.put(to, file(&format!("text {offset}"), 0o644, Owner::ROOT))
            }
            Some((_, _, Located::Unknown { path, .. })) => {
                view.needs_contents(path);
                return Ok("wrong".to_owned());
            }
            None => return Ok("no file".to_owned()),
        },
        Act::Next(_) | Act::Foreign(_) => return Ok(String::new()),
    };
    landed.map(|path| path.to_string()).map_err(|error| words(&error))
}

fn listed(tree: &FileTree) -> String {
    let line = |(path, entry): (&TreePath, &Entry)| {
        let what = match &entry.kind {
            Kind::File(content) => String::from_utf8_lossy(&content.read_all(100).unwrap()).into_owned(),
            Kind::Symlink(target) => String::from_utf8_lossy(target).into_owned(),
            _ => String::new(),
        };
        format!("{} {path} {:04o} {} {what}\n", entry.kind.word(), entry.mode, entry.owner)
    };
    tree.iter().map(line).collect()
}

/// Whether a tree says anything of a path but what it is already: names it, or takes the place of something above it.
fn is_touched(tree: &FileTree, path: &TreePath) -> bool {
    let below = Origin::new("the layers below");
    let said = |path: &TreePath| tree.get(path).filter(|entry| entry.origin != below);
    said(path).is_some()
        || path.ancestors().any(|above| said(&above).is_some_and(|entry| !matches!(entry.kind, Kind::Directory)))
}

/// What a run teaches, once it was written down and read again.
fn learn(watched: &Rootfs) -> Knowledge {
    let learned = Knowledge::new(Digest::of(b""), watched.learned().unwrap());
    let lines = learned.lines();
    let read = Knowledge::parse(lines.iter().map(String::as_str), &learned.texts()).unwrap();
    assert_eq!(read, learned, "{lines:#?}");
    read
}

fn partial(knowledge: &Knowledge) -> Rootfs {
    Rootfs::partial(knowledge.known().clone(), Misses::default())
}

fn watch(base: &Rootfs) -> Rootfs {
    let mut watched = base.clone();
    watched.watch();
    watched
}

/// All that is said is true of the base.
fn check_truth(knowledge: &Knowledge, base: &Rootfs) {
    let known = knowledge.known();
    for (path, node) in known.nodes() {
        let real = base.get(path).unwrap();
        assert_eq!((real.mode, real.owner), (node.mode, node.owner), "{path}");
        match (&real.kind, &node.kind) {
            (NodeKind::File(real), NodeKind::File(told)) => assert_eq!(real.length(), told.length(), "{path}"),
            (real, told) => assert_eq!(real, told, "{path}"),
        }
    }
    for path in known.absent() {
        assert_eq!(base.get(path), None);
    }
    for directory in known.complete() {
        for (path, _) in base.below(directory).filter(|(path, _)| path.parent().as_ref() == Some(directory)) {
            assert!(known.nodes().contains_key(path), "{path}");
        }
    }
}

/// Nothing is different but where the view says that it missed something.
fn check_other(knowledge: &Knowledge, base: &Rootfs, acts: &[Act]) -> Option<Missed> {
    let (full, other) = (run(base, acts), run(&partial(knowledge), acts));
    assert_eq!(full.said[..other.said.len()], other.said[..], "{:?}", other.missed);
    if other.missed.is_none() {
        assert_eq!(full.said.len(), other.said.len());
        assert!(same(&full.view, &other.view.over(base)));
    }
    other.missed
}

fn same(one: &Rootfs, other: &Rootfs) -> bool {
    // Contents that were looked at are the same bytes in another place.
    let flat = |view: &Rootfs| -> BTreeMap<TreePath, String> {
        view.iter().map(|(path, node)| (path.clone(), format!("{node:?}"))).collect()
    };
    flat(one) == flat(other)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_same_build_misses_nothing(base in any_base(), acts in any_acts()) {
        let base = base_of(&base);
        let watched = watch(&base);
        let first = run(&watched, &acts);
        let plain = run(&base, &acts);
        prop_assert_eq!(&first.said, &plain.said);
        let knowledge = learn(&watched);
        check_truth(&knowledge, &base);
        let missed = check_other(&knowledge, &base, &acts);
        prop_assert!(!matches!(missed, Some(Missed::Path(_))), "{:?} of {:#?}", missed, knowledge.lines());
    }

    #[test]
    fn another_build_is_the_same_or_misses(base in any_base(), (first, second) in two_runs()) {
        let base = base_of(&base);
        let watched = watch(&base);
        run(&watched, &first);
        check_other(&learn(&watched), &base, &second);
    }

    #[test]
    fn what_is_known_is_never_wrong(base in any_base(), first in any_acts(), second in any_acts()) {
        let base = base_of(&base);
        let watched = watch(&base);
        run(&watched, &first);
        check_other(&learn(&watched), &base, &second);
    }

    #[test]
    fn two_builds_share_what_they_learn(base in any_base(), (first, second) in two_runs()) {
        let base = base_of(&base);
        let watched = watch(&base);
        run(&watched, &first);
        run(&watched, &second);
        let knowledge = learn(&watched);
        for acts in [&first, &second] {
            let missed = check_other(&knowledge, &base, acts);
            prop_assert!(!matches!(missed, Some(Missed::Path(_))), "{:?}", missed);
        }
    }

    /// Fails where a layer that is watched on a partly known base teaches more than is known, or loses what it stands on.
    #[test]
    fn what_is_learned_over_a_part_is_true_of_all(base in any_base(), (first, second) in two_runs()) {
        let base = base_of(&base);
        let watched = watch(&base);
        run(&watched, &first);
        let below = run(&partial(&learn(&watched)), &first);
        if below.missed.is_none() {
            let view = watch(&below.view);
            let whole = below.view.over(&base);
            let above = run(&view, &second);
            prop_assert_eq!(view.misses().and_then(Misses::first), view.missed());
            if above.missed.is_none() {
                check_truth(&learn(&view), &whole);
                prop_assert!(same(&run(&whole, &second).view, &above.view.over(&base)));
            }
        }
    }

    #[test]
    fn a_layer_unpacked_alone_changes_nothing_of_what_is_below(base in any_base(), mut acts in any_acts()) {
        acts.retain(|act| !matches!(act, Act::Foreign(_)));
        let base = base_of(&base);
        let mut view = base.clone();
        for tree in run(&base, &acts).trees {
            let mut merged = view.clone();
            merged.apply(&tree);
            // What the recipe never spoke of stays as it was.
            for (path, node) in view.iter().filter(|(path, _)| !is_touched(&tree, path)) {
                prop_assert_eq!(merged.get(path), Some(node), "{}", path);
            }
            // In a directory of its own, missing parents become root's and 0755; then the whole lies over what is below.
            let mut alone = Rootfs::new();
            alone.apply(&tree);
            for (path, _) in tree.iter().filter(|(_, entry)| matches!(entry.kind, Kind::Whiteout)) {
                view.remove(path);
            }
            for (path, node) in alone.iter() {
                view.put(path.clone(), node.clone());
            }
            prop_assert!(same(&view, &merged), "{}", listed(&tree));
            view = merged;
        }
    }

    #[test]
    fn layers_that_are_not_merged_answer_as_if_they_were(base in any_base(), acts in any_acts(), paths in prop::collection::vec(any_path(), 20)) {
        let base = base_of(&base);
        let laid = run(&base, &acts);
        let merged = run_with(&base, &acts, |view, tree| view.apply(tree));
        prop_assert_eq!(&laid.said, &merged.said);
        let mut view = base.clone();
        laid.trees.iter().for_each(|tree| lay(&mut view, tree));
        // Single paths first: nothing is merged in for them.
        for path in paths.iter().chain(laid.trees.iter().flat_map(|tree| tree.iter().map(|(path, _)| path))) {
            prop_assert_eq!(view.see(path), merged.view.see(path), "{}", path);
            prop_assert_eq!(view.resolve(path), merged.view.resolve(path), "{}", path);
            prop_assert_eq!(view.is_directory(path), merged.view.is_directory(path), "{}", path);
        }
        prop_assert!(same(&view, &merged.view));
    }

    #[test]
    fn layers_lie_on_all_of_the_base_as_they_lay_on_a_part(base in any_base(), acts in any_acts()) {
        let base = base_of(&base);
        let watched = watch(&base);
        let done = run(&watched, &acts);
        let part = partial(&learn(&watched));
        let mut view = part.clone();
        for tree in &done.trees {
            view.apply(tree);
        }
        prop_assert!(part.missed().is_none());
        prop_assert!(same(&done.view, &view.over(&base)));
        prop_assert!(same(&done.view, &done.view.over(&base)));
    }
}

#[test]
fn the_properties_meet_both_ends() {
    let mut runner = TestRunner::deterministic();
    let (mut whole, mut missed) = (0, 0);
    for _ in 0..300 {
        let (base, (first, second)) = (any_base(), two_runs()).new_tree(&mut runner).unwrap().current();
        let base = base_of(&base);
        let watched = watch(&base);
        run(&watched, &first);
        match check_other(&learn(&watched), &base, &second) {
            None => whole += 1,
            Some(_) => missed += 1,
        }
    }
    assert!(whole > 50 && missed > 50, "{whole} {missed}");
}
