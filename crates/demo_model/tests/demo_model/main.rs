//! Tests the demo model over HTTP, byte by byte.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod client;
mod disguise;
mod endings;
mod messages;
mod responses;
mod scripts;
