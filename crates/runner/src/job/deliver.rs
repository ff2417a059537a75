//! What an attempt delivers, by the kind of its job.

pub(super) mod change;
pub(super) mod read;
