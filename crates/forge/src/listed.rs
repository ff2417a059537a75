//! Results of paginated calls.

/// Longer lists are truncated and marked with `more`.
pub(crate) const MAX_PAGES: u32 = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    pub found: Vec<T>,
    pub more: bool,
}

impl<T> Listed<T> {
    pub(crate) fn filter_map<Other>(self, read: impl FnMut(T) -> Option<Other>) -> Listed<Other> {
        Listed { found: self.found.into_iter().filter_map(read).collect(), more: self.more }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, Next> {
    pub found: Vec<T>,
    /// `None` on the last page.
    pub next: Option<Next>,
}
