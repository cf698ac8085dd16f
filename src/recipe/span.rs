//! Where in a recipe something is written.

use std::ops::Range;

/// A range of bytes in one of a recipe's texts: the file itself, or a value given with `--set`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which text, as an index into [`super::Sources`].
    pub(super) source: u16,
    /// First byte.
    pub(super) start: u32,
    /// The byte after the last.
    pub(super) end: u32,
}

impl Span {
    /// Of what is written in no text.
    pub(super) const NOWHERE: Span = Span { source: 0, start: 0, end: 0 };

    /// A span of bytes of a text. Offsets beyond 4 GiB cannot be: texts are bounded long before.
    pub(crate) fn new(source: u16, range: Range<usize>) -> Self {
        let small = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { source, start: small(range.start), end: small(range.end) }
    }

    /// The bytes.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and the place where it is written, so that whoever finds fault with it can underline it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub span: Span,
}

impl<T> At<T> {
    /// A value at a place.
    pub fn new(value: T, span: Span) -> Self {
        At { value, span }
    }

    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), span: self.span }
    }

    /// The value by reference, at the same place.
    pub fn as_ref(&self) -> At<&T> {
        At { value: &self.value, span: self.span }
    }
}
