//! YAML (and with it JSON) as a tree in which every node knows its place in the text.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{ManifestError, Position};

/// Nesting that is followed; manifests have a tenth of it.
const MAX_DEPTH: usize = 128;

/// Nodes of a text, as written; the largest manifests have a tenth of it.
const MAX_NODES: usize = 500_000;

/// Nodes of a text where every alias counts as what it stands for: whoever follows aliases visits no more.
const MAX_VISITS: usize = 1_000_000;

/// Characters that may begin a token (all that the parser keeps of `[…]` before it tells of the first node).
const MAX_MARKS: usize = 2_000_000;

/// What is said of a text that is too large.
const TOO_MANY: &str = "more values than any manifest has, aliases counted as what they stand for";

/// A node of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(usize);

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A value, as it reads.
    Scalar { value: String, style: ScalarStyle },
    /// Keys and values, in the order of the text.
    Mapping(Vec<(NodeId, NodeId)>),
    /// Items.
    Sequence(Vec<NodeId>),
    /// Another node by its anchor.
    Alias(NodeId),
}

struct Node {
    kind: Kind,
    /// Of a scalar that is one word of the text, with its quotes: where. Of anything else: where it begins.
    bytes: Range<usize>,
    position: Position,
}

/// The documents of a text.
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// The root of each document.
    pub(super) documents: Vec<NodeId>,
}

/// A mapping or sequence that is not at its end yet.
struct Open {
    id: NodeId,
    is_mapping: bool,
    children: Vec<NodeId>,
    /// Its anchor; 0 where it has none.
    anchor: usize,
    /// The visits that were counted before it.
    before: usize,
    /// Nesting below it so far, aliases followed.
    height: usize,
}

/// What an alias stands for.
struct Anchored {
    id: NodeId,
    /// Nodes, aliases followed.
    size: usize,
    /// Nesting, aliases followed.
    height: usize,
}

impl Tree {
    /// Reads all documents of a text.
    ///
    /// # Errors
    /// [`ManifestError`], where it is no YAML, where an alias stands within what it stands for, and where it is larger or
    /// nested deeper than any manifest, aliases followed.
    pub(super) fn parse(text: &str) -> Result<Self, ManifestError> {
        few_marks(text)?;
        // The parser counts characters.
        let offsets: Option<Vec<usize>> =
            (!text.is_ascii()).then(|| text.char_indices().map(|(offset, _)| offset).collect());
        let offset = |index: usize| match &offsets {
            Some(offsets) => offsets.get(index).copied().unwrap_or(text.len()),
            None => index.min(text.len()),
        };
        let mut tree = Tree { nodes: Vec::new(), documents: Vec::new() };
        let mut anchors: BTreeMap<usize, Anchored> = BTreeMap::new();
        let mut open: Vec<Open> = Vec::new();
        let mut visits = 0;
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let marker = error.marker();
                ManifestError {
                    position: Position { line: marker.line(), column: marker.col() + 1 },
                    what: error.info().to_owned(),
                }
            })?;
            let position = Position { line: span.start.line(), column: span.start.col() + 1 };
            let refused = |what: &str| ManifestError { position, what: what.to_owned() };
            let (mut size, mut height) = (1, 0);
            let (kind, anchor) = match event {
                Event::Scalar(value, style, anchor, _) => (Kind::Scalar { value: value.into_owned(), style }, anchor),
                Event::SequenceStart(anchor, _) => (Kind::Sequence(Vec::new()), anchor),
                Event::MappingStart(anchor, _) => (Kind::Mapping(Vec::new()), anchor),
                Event::Alias(anchor) => {
                    let target = anchors.get(&anchor).ok_or_else(|| refused("an alias has no anchor before it"))?;
                    if open.iter().any(|open| open.id == target.id) {
                        return Err(refused("an alias stands within what it stands for"));
                    }
                    (size, height) = (target.size, target.height);
                    (Kind::Alias(target.id), 0)
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let ended = open.pop().ok_or_else(|| refused("more ends than it begins"))?;
                    if let Some(parent) = open.last_mut() {
                        parent.height = parent.height.max(ended.height + 1);
                    }
                    if let Some(anchored) = anchors.get_mut(&ended.anchor) {
                        (anchored.size, anchored.height) = (visits - ended.before, ended.height);
                    }
                    tree.end(ended);
                    continue;
                }
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd => continue,
            };
            let id = NodeId(tree.nodes.len());
            let before = visits;
            visits += size;
            if id.0 == MAX_NODES || visits > MAX_VISITS {
                return Err(refused(TOO_MANY));
            }
            let is_mapping = matches!(kind, Kind::Mapping(_));
            let begins = is_mapping || matches!(kind, Kind::Sequence(_));
            if open.len() + height + usize::from(begins) > MAX_DEPTH {
                return Err(refused("nested deeper than any manifest"));
            }
            let whole = offset(span.start.index())..offset(span.end.index());
            let start = behind_properties(text, whole.clone());
            let bytes = match &kind {
                Kind::Scalar { value, style } => word(text, start..whole.end, value, *style).unwrap_or(start..start),
                _ => start..start,
            };
            tree.nodes.push(Node { kind, bytes, position });
            if anchor != 0 {
                anchors.insert(anchor, Anchored { id, size, height });
            }
            match open.last_mut() {
                Some(parent) => {
                    parent.children.push(id);
                    parent.height = parent.height.max(height + 1);
                }
                None => tree.documents.push(id),
            }
            if begins {
                open.push(Open { id, is_mapping, children: Vec::new(), anchor, before, height: 0 });
            }
        }
        Ok(tree)
    }

    fn end(&mut self, Open { id, is_mapping, children, .. }: Open) {
        self.nodes[id.0].kind = match is_mapping {
            true => Kind::Mapping(children.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()),
            false => Kind::Sequence(children),
        };
    }

    /// The node, behind its alias where it is one.
    pub(super) fn behind(&self, id: NodeId) -> NodeId {
        match self.nodes[id.0].kind {
            Kind::Alias(target) => target,
            _ => id,
        }
    }

    /// Every node, in the order of the text.
    pub(super) fn all(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// What are values of mappings, items of sequences or whole documents, in the order of the text.
    pub(super) fn values(&self) -> impl Iterator<Item = NodeId> {
        let below = self.nodes.iter().flat_map(|node| match &node.kind {
            Kind::Mapping(entries) => entries.iter().map(|(_, value)| *value).collect(),
            Kind::Sequence(items) => items.clone(),
            Kind::Scalar { .. } | Kind::Alias(_) => Vec::new(),
        });
        self.documents.iter().copied().chain(below)
    }

    /// What a node is.
    pub(super) fn kind(&self, id: NodeId) -> &Kind {
        &self.nodes[id.0].kind
    }

    /// Where a scalar is, with its quotes, and without anchor and tag: empty where it is not one word of the text. Of anything
    /// else, where it begins.
    pub(super) fn bytes(&self, id: NodeId) -> Range<usize> {
        self.nodes[id.0].bytes.clone()
    }

    /// Where a node begins.
    pub(super) fn position(&self, id: NodeId) -> Position {
        self.nodes[id.0].position
    }

    /// Keys and values of a mapping, behind its alias; none of anything else.
    pub(super) fn entries(&self, id: NodeId) -> &[(NodeId, NodeId)] {
        match self.kind(self.behind(id)) {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence, behind its alias; none of anything else.
    pub(super) fn items(&self, id: NodeId) -> &[NodeId] {
        match self.kind(self.behind(id)) {
            Kind::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The value of a scalar, behind its alias.
    pub(super) fn scalar(&self, id: NodeId) -> Option<&str> {
        match self.kind(self.behind(id)) {
            Kind::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The value of a key, which may be an alias: the last one, as readers take it.
    pub(super) fn get(&self, mapping: NodeId, key: &str) -> Option<NodeId> {
        let found = self.entries(mapping).iter().rev().find(|(name, _)| self.scalar(*name) == Some(key));
        found.map(|(_, value)| *value)
    }
}

/// Refuses a text that the parser would need too much memory for.
fn few_marks(text: &str) -> Result<(), ManifestError> {
    let is_mark = |c: char| matches!(c, '[' | ']' | '{' | '}' | ',' | ':' | '?' | '"' | '\'' | '&' | '*' | '!');
    match text.match_indices(is_mark).nth(MAX_MARKS) {
        None => Ok(()),
        Some((at, _)) => {
            let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
            let position =
                Position { line: text[..line].matches('\n').count() + 1, column: text[line..at].chars().count() + 1 };
            Err(ManifestError { position, what: TOO_MANY.to_owned() })
        }
    }
}

/// Where a node begins that may have an anchor and a tag in front.
fn behind_properties(text: &str, bytes: Range<usize>) -> usize {
    let mut rest = &text[bytes.clone()];
    while rest.starts_with(['&', '!']) {
        let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        rest = rest[end..].trim_start_matches(|c: char| c.is_ascii_whitespace());
    }
    bytes.end - rest.len()
}

/// Where a scalar is that is written as it reads. What is found for it by the parser may have a comment behind it.
fn word(text: &str, bytes: Range<usize>, value: &str, style: ScalarStyle) -> Option<Range<usize>> {
    let quote = match style {
        ScalarStyle::Plain => "",
        ScalarStyle::SingleQuoted => "'",
        ScalarStyle::DoubleQuoted => "\"",
        ScalarStyle::Literal | ScalarStyle::Folded => return None,
    };
    let written = &text[bytes.clone()];
    let rest = written.strip_prefix(quote)?.strip_prefix(value)?.strip_prefix(quote)?;
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let is_whole = behind.is_empty() || behind.starts_with('#') && behind.len() < rest.len();
    is_whole.then(|| bytes.start..bytes.end - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scalar_is_where_it_says() {
        let text = "\u{feff}# ä\r\na: \"ü\" # ö\r\nb: [x, 'y', &n z, *n]\r\n---\r\n{\"c\":\t\"d\"}\r\n";
        let tree = Tree::parse(text).unwrap();
        assert_eq!(tree.documents.len(), 2);
        let scalars: Vec<&str> = (0..tree.nodes.len())
            .map(NodeId)
            .filter(|id| matches!(tree.kind(*id), Kind::Scalar { .. }))
            .map(|id| &text[tree.bytes(id)])
            .collect();
        assert_eq!(scalars, ["a", "\"ü\"", "b", "x", "'y'", "z", "\"c\"", "\"d\""]);
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        let wrong = Tree::parse("a: 1\nb: {{ .Values.x }}\nc: [\n").err().unwrap();
        assert!(wrong.position.line >= 2, "{wrong:?}");
        let deep = "[".repeat(10_000);
        assert!(Tree::parse(&deep).is_err());
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        let error = Tree::parse(text).err().expect("it is refused");
        format!("{}: {error}", error.position)
    }

    #[test]
    fn an_alias_within_what_it_stands_for_is_refused() {
        assert_eq!(refused("a: &a\n  image: *a\n"), "2:10: an alias stands within what it stands for");
        let list = "apiVersion: v1\nkind: List\nitems: &a\n- items: *a\n";
        assert_eq!(refused(list), "4:10: an alias stands within what it stands for");
    }

    #[test]
    fn aliases_count_as_what_they_stand_for() {
        let level =
            |from: usize| format!("s{}: &s{} [{}]\n", from + 1, from + 1, vec![format!("*s{from}"); 9].join(", "));
        let bomb = format!("s0: &s0 [x]\n{}", (0..20).map(level).collect::<String>());
        assert!(refused(&bomb).contains("more values than any manifest"), "{}", refused(&bomb));
        // One below another, by aliases alone.
        let chain: String = (0..1000).map(|n| format!("s{}: &s{} {{image: *s{n}}}\n", n + 1, n + 1)).collect();
        assert!(refused(&format!("s0: &s0 {{}}\n{chain}")).contains("nested deeper"));
        let many = format!("[{}]", "a,".repeat(MAX_NODES));
        assert!(refused(&many).contains("more values than any manifest"));
        assert!(refused(&"[\n".repeat(MAX_MARKS + 1)).starts_with(&format!("{}:1: more", MAX_MARKS + 1)));
        assert!(Tree::parse("a: &a [x, y]\nb: [*a, *a]\nc: {<<: [*a]}\n").is_ok());
    }
}
