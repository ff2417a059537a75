//! What a job reports without changing a file: the output of its agent, and what of it is posted at the forge.

pub mod diff;
pub mod finding_marker;
mod markdown;
pub mod place;
pub mod render;
pub mod review_output;

/// The first fault of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFault {
    /// JSON pointer; empty for the whole output.
    pub pointer: String,
    /// One sentence without its end, for the agent: `it has 130 characters; at most 120 are allowed`.
    pub fault: String,
}
