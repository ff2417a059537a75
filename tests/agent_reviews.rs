//! Tests reviews by agents end to end: requests, the runner, and what the forge stores.

mod automatic;
pub(crate) mod coming_from;
mod costs;
mod failures;
mod posting;
mod requests;
mod resolve;
mod world;
