//! The outputs of agents that review or fix, and their form at the forge.

pub mod diff;
mod finding;
pub mod finding_marker;
pub mod fix_output;
mod markdown;
pub mod place;
pub mod render;
pub mod review_output;
