//! Answers that come in pages.

/// A list of more pages is read no further, and said to go on.
pub(crate) const MAX_PAGES: u32 = 10;

/// What a list has, as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// In the forge's order.
    pub found: Vec<T>,
    /// Whether the list goes on after what was read.
    pub more: bool,
}

impl<T> Listed<T> {
    /// The same list of something else, without what is none.
    pub(crate) fn filter_map<Other>(self, read: impl FnMut(T) -> Option<Other>) -> Listed<Other> {
        Listed { found: self.found.into_iter().filter_map(read).collect(), more: self.more }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, Next> {
    /// In the forge's order.
    pub found: Vec<T>,
    /// What the next page is asked for with; `None` at the end.
    pub next: Option<Next>,
}
