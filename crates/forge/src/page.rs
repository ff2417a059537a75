//! Results of paginated calls.

/// Longer lists are truncated and marked with `truncated`.
pub(crate) const MAX_PAGES: u32 = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    pub items: Vec<T>,
    pub truncated: bool,
}

impl<T> Listing<T> {
    pub(crate) fn filter_map<Other>(self, convert: impl FnMut(T) -> Option<Other>) -> Listing<Other> {
        Listing { items: self.items.into_iter().filter_map(convert).collect(), truncated: self.truncated }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, Next> {
    pub items: Vec<T>,
    pub next: Option<Next>,
}
