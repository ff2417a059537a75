//! The local forge over HTTP: responses, refusals and events.
//! `crates/forge/tests/against_local_forge` tests it with git and the forge crate.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, not in what they share")]

mod access_and_comments;
mod hooks;
mod listener;
mod merges;
mod pull_requests;
mod reviews;
mod threads;
mod world;
