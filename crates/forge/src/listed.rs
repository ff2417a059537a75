//! Answers that come in pages.

/// What a list has, as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// In the forge's order.
    pub found: Vec<T>,
    /// Whether the list goes on after what was read.
    pub more: bool,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, Next> {
    /// In the forge's order.
    pub found: Vec<T>,
    /// What the next page is asked for with; `None` at the end.
    pub next: Option<Next>,
}
