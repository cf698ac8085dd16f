//! YAML (and with it JSON) as a tree in which every node knows its place in the text.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{ManifestError, Position};

/// Nesting that is followed; manifests have a tenth of it.
const MAX_DEPTH: usize = 128;

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
}

impl Tree {
    /// Reads all documents of a text.
    ///
    /// # Errors
    /// [`ManifestError`], where it is no YAML.
    pub(super) fn parse(text: &str) -> Result<Self, ManifestError> {
        // The parser counts characters.
        let mut offsets: Vec<usize> = text.char_indices().map(|(offset, _)| offset).collect();
        offsets.push(text.len());
        let offset = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
        let mut tree = Tree { nodes: Vec::new(), documents: Vec::new() };
        let mut anchors: BTreeMap<usize, NodeId> = BTreeMap::new();
        let mut open: Vec<Open> = Vec::new();
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
            let (kind, anchor) = match event {
                Event::Scalar(value, style, anchor, _) => (Kind::Scalar { value: value.into_owned(), style }, anchor),
                Event::SequenceStart(anchor, _) => (Kind::Sequence(Vec::new()), anchor),
                Event::MappingStart(anchor, _) => (Kind::Mapping(Vec::new()), anchor),
                Event::Alias(anchor) => {
                    let target = anchors.get(&anchor).ok_or_else(|| refused("an alias has no anchor before it"))?;
                    (Kind::Alias(*target), 0)
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let ended = open.pop().ok_or_else(|| refused("more ends than it begins"))?;
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
            let is_mapping = matches!(kind, Kind::Mapping(_));
            let begins = is_mapping || matches!(kind, Kind::Sequence(_));
            let whole = offset(span.start.index())..offset(span.end.index());
            let start = behind_properties(text, whole.clone());
            let bytes = match &kind {
                Kind::Scalar { value, style } => word(text, start..whole.end, value, *style).unwrap_or(start..start),
                _ => start..start,
            };
            tree.nodes.push(Node { kind, bytes, position });
            if anchor != 0 {
                anchors.insert(anchor, id);
            }
            match open.last_mut() {
                Some(parent) => parent.children.push(id),
                None => tree.documents.push(id),
            }
            if begins {
                if open.len() == MAX_DEPTH {
                    return Err(refused("nested deeper than any manifest"));
                }
                open.push(Open { id, is_mapping, children: Vec::new() });
            }
        }
        Ok(tree)
    }

    fn end(&mut self, Open { id, is_mapping, children }: Open) {
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

    /// The value of a key, behind its alias: the last one, as readers take it.
    pub(super) fn get(&self, mapping: NodeId, key: &str) -> Option<NodeId> {
        let found = self.entries(mapping).iter().rev().find(|(name, _)| self.scalar(*name) == Some(key));
        found.map(|(_, value)| self.behind(*value))
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
}
