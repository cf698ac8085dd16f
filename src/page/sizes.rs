//! What takes the room: sizes down to packages and files, in bounds.
//!
//! Equal subtrees are one node, whichever images have them, so that a page about ten images on one base is about as long as
//! one about the base. What is small is put together until there are few enough nodes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::shown;

/// As many nodes a page has at most.
pub(super) const MAX_NODES: usize = 24_000;

/// Sizes of many images. Nodes come after what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    nodes: Vec<Node>,
    known: BTreeMap<Node, usize>,
}

/// Something that takes room, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// A file, in the layer of that number, where that is known.
    File { name: String, size: u64, layer: Option<usize> },
    /// A directory, a package, or a kind of things, with what is in it, the largest first.
    Group { name: String, size: u64, files: u64, within: Vec<usize> },
    /// So many files that are too small to be shown each.
    Rest { size: u64, files: u64 },
}

impl Node {
    pub(super) fn size(&self) -> u64 {
        match self {
            Node::File { size, .. } | Node::Group { size, .. } | Node::Rest { size, .. } => *size,
        }
    }

    fn files(&self) -> u64 {
        match self {
            Node::File { .. } => 1,
            Node::Group { files, .. } | Node::Rest { files, .. } => *files,
        }
    }

    fn name(&self) -> &str {
        match self {
            Node::File { name, .. } | Node::Group { name, .. } => name,
            Node::Rest { .. } => "",
        }
    }

    fn is_rest(&self) -> bool {
        matches!(self, Node::Rest { .. })
    }
}

/// Files by path, on their way to become nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Branch {
    below: BTreeMap<Vec<u8>, Branch>,
    file: Option<(u64, Option<usize>)>,
}

impl Branch {
    /// Puts a file of that size there.
    pub(super) fn put<'p>(&mut self, path: impl Iterator<Item = &'p [u8]>, size: u64, layer: Option<usize>) {
        let mut here = self;
        for name in path {
            here = here.below.entry(name.to_vec()).or_default();
        }
        here.file = Some((size, layer));
    }
}

impl Sizes {
    fn node(&mut self, node: Node) -> usize {
        if let Some(number) = self.known.get(&node) {
            return *number;
        }
        let number = self.nodes.len();
        self.known.insert(node.clone(), number);
        self.nodes.push(node);
        number
    }

    /// A group of nodes; the largest go first, and what is put together last.
    pub(super) fn group(&mut self, name: String, mut within: Vec<usize>) -> usize {
        let order = |number: &usize| {
            let node = self.nodes.get(*number);
            let (rest, size) = node.map_or((true, 0), |node| (node.is_rest(), node.size()));
            (rest, std::cmp::Reverse(size), node.map(Node::name).unwrap_or_default().to_owned(), *number)
        };
        within.sort_by_cached_key(order);
        let parts = || within.iter().filter_map(|number| self.nodes.get(*number));
        let (size, files) = (parts().map(Node::size).sum(), parts().map(Node::files).sum());
        self.node(Node::Group { name, size, files, within })
    }

    /// What is in a branch. A directory that holds another one alone is told with it: `usr/lib`.
    pub(super) fn within(&mut self, branch: &Branch) -> Vec<usize> {
        let mut found = Vec::new();
        for (name, below) in &branch.below {
            if let Some((size, layer)) = below.file {
                found.push(self.node(Node::File { name: shown(name), size, layer }));
                continue;
            }
            let (mut name, mut below) = (shown(name), below);
            while let (Some((next, only)), 1) = (below.below.iter().next(), below.below.len())
                && only.file.is_none()
            {
                name = format!("{name}/{}", shown(next));
                below = only;
            }
            let within = self.within(below);
            found.push(self.group(name, within));
        }
        found
    }

    /// The same with at most so many nodes, and where each of these is now; with the size, in bytes, below which things are
    /// put together.
    pub(super) fn bounded(&self, roots: &[usize], limit: usize) -> (Sizes, Vec<usize>, u64) {
        let mut least = 1;
        loop {
            let (sizes, now) = self.without_small(roots, least);
            if sizes.nodes.len() <= limit.max(roots.len()) || least > u64::MAX / 4 {
                return (sizes, now, least);
            }
            least = if least == 1 { 256 } else { least * 2 };
        }
    }

    /// The same, where of each group what is smaller than that is put together.
    fn without_small(&self, roots: &[usize], least: u64) -> (Sizes, Vec<usize>) {
        let mut sizes = Sizes::default();
        let mut now: Vec<Option<usize>> = Vec::with_capacity(self.nodes.len());
        for (number, node) in self.nodes.iter().enumerate() {
            let is_root = roots.contains(&number);
            now.push(match node {
                _ if node.size() < least && !is_root => None,
                Node::Group { name, within, .. } => {
                    let (mut kept, mut size, mut files) = (Vec::new(), 0, 0);
                    for part in within {
                        match now.get(*part).copied().flatten() {
                            Some(part) => kept.push(part),
                            None => {
                                let small = self.nodes.get(*part);
                                size += small.map_or(0, Node::size);
                                files += small.map_or(0, Node::files);
                            }
                        }
                    }
                    if files > 0 {
                        kept.push(sizes.node(Node::Rest { size, files }));
                    }
                    Some(sizes.group(name.clone(), kept))
                }
                other => Some(sizes.node(other.clone())),
            });
        }
        let roots: Vec<usize> =
            roots.iter().map(|root| now.get(*root).copied().flatten().unwrap_or_default()).collect();
        (sizes.only(&roots), roots_of(&sizes, &roots))
    }

    /// The nodes that can be reached from these, in the same order.
    fn only(&self, roots: &[usize]) -> Sizes {
        let reached = self.reached(roots);
        let mut sizes = Sizes::default();
        let mut now: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for (node, reached) in self.nodes.iter().zip(reached) {
            now.push(sizes.nodes.len());
            if reached {
                let mut node = node.clone();
                if let Node::Group { within, .. } = &mut node {
                    *within = within.iter().filter_map(|part| now.get(*part).copied()).collect();
                }
                sizes.node(node);
            }
        }
        sizes
    }

    fn reached(&self, roots: &[usize]) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        for root in roots {
            if let Some(is) = reached.get_mut(*root) {
                *is = true;
            }
        }
        // What is in a node comes before it.
        for number in (0..self.nodes.len()).rev() {
            if let (Some(true), Some(Node::Group { within, .. })) = (reached.get(number), self.nodes.get(number)) {
                for part in within {
                    if let Some(is) = reached.get_mut(*part) {
                        *is = true;
                    }
                }
            }
        }
        reached
    }

    /// Size and number of files of a node.
    pub(super) fn total(&self, number: usize) -> (u64, u64) {
        self.nodes.get(number).map_or((0, 0), |node| (node.size(), node.files()))
    }

    /// As the page's script reads it: `[name, size, layer]` is a file (layer -1 is unknown), `[name, size, files, [within]]` a
    /// group, `[size, files]` what was put together.
    pub(super) fn json(&self) -> Value {
        let node = |node: &Node| match node {
            Node::File { name, size, layer } => json!([name, size, layer.map_or(-1, |layer| layer as i64)]),
            Node::Group { name, size, files, within } => json!([name, size, files, within]),
            Node::Rest { size, files } => json!([size, files]),
        };
        self.nodes.iter().map(node).collect()
    }
}

/// Where roots are once only what they reach is left.
fn roots_of(sizes: &Sizes, roots: &[usize]) -> Vec<usize> {
    let reached = sizes.reached(roots);
    let before = |root: &usize| reached.iter().take(*root).filter(|reached| **reached).count();
    roots.iter().map(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(files: &[(&str, u64)]) -> Branch {
        let mut branch = Branch::default();
        for (path, size) in files {
            branch.put(path.split('/').map(str::as_bytes), *size, Some(0));
        }
        branch
    }

    fn image(sizes: &mut Sizes, files: &[(&str, u64)]) -> usize {
        let within = sizes.within(&branch(files));
        sizes.group("all".to_owned(), within)
    }

    /// A node and what is in it, as text.
    fn text(sizes: &Sizes, number: usize) -> String {
        match &sizes.nodes[number] {
            Node::File { name, size, .. } => format!("{name}={size}"),
            Node::Rest { size, files } => format!("{files} smaller={size}"),
            Node::Group { name, size, within, .. } => {
                let within: Vec<String> = within.iter().map(|part| text(sizes, *part)).collect();
                format!("{name}={size}({})", within.join(" "))
            }
        }
    }

    #[test]
    fn directories_hold_their_files_the_largest_first() {
        let mut sizes = Sizes::default();
        let root = image(&mut sizes, &[("usr/lib/a/x", 5), ("usr/lib/a/y", 9), ("usr/lib/b", 2), ("app", 1)]);
        assert_eq!(text(&sizes, root), "all=17(usr/lib=16(a=14(y=9 x=5) b=2) app=1)");
        assert_eq!(sizes.total(root), (17, 4));
    }

    #[test]
    fn what_several_images_have_is_there_once() {
        let mut sizes = Sizes::default();
        let first = image(&mut sizes, &[("usr/a", 5), ("usr/b", 7), ("app/x", 1)]);
        let before = sizes.nodes.len();
        let second = image(&mut sizes, &[("usr/a", 5), ("usr/b", 7), ("app/x", 2)]);
        assert_ne!(first, second);
        // The file that differs, its directory and the whole.
        assert_eq!(sizes.nodes.len(), before + 3);
    }

    #[test]
    fn small_things_are_put_together_until_all_fits() {
        let mut sizes = Sizes::default();
        let files: Vec<(String, u64)> =
            (0..3000_u64).map(|number| (format!("d{}/f{number}", number % 30), number)).collect();
        let files: Vec<(&str, u64)> = files.iter().map(|(path, size)| (path.as_str(), *size)).collect();
        let root = image(&mut sizes, &files);
        let (whole, roots, least) = sizes.bounded(&[root], 10_000);
        assert_eq!(least, 1, "all fits");
        // Of the one that is empty there is nothing to see.
        assert_eq!(whole.total(roots[0]), sizes.total(root));
        let (bounded, roots, least) = sizes.bounded(&[root], 1000);
        assert!(bounded.nodes.len() <= 1000 && least > 1);
        assert_eq!(bounded.total(roots[0]), sizes.total(root), "nothing is lost");
        let (least_of_all, roots, _) = sizes.bounded(&[root], 1);
        assert_eq!(least_of_all.total(roots[0]), sizes.total(root));
        for (number, node) in bounded.nodes.iter().enumerate() {
            if let Node::Group { within, .. } = node {
                assert!(within.iter().all(|part| *part < number), "what is in a node comes before it");
                assert!(!within.is_empty());
            }
        }
    }

    #[test]
    fn names_are_made_fit_to_be_shown() {
        let mut sizes = Sizes::default();
        let root = image(&mut sizes, &[("a\u{202e}b\n", 1)]);
        assert_eq!(text(&sizes, root), "all=1(a\\u{202e}b\\n=1)");
    }
}
