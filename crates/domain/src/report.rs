//! What a job reports without changing a file: the output of its agent, and what of it is posted at the forge.

pub mod diff;
pub mod finding_marker;
pub mod fix_output;
mod markdown;
pub mod place;
pub mod render;
pub mod review_output;
