//! Use cases over the embedded AWS: races, crashes, slow or refused calls, and time.
//!
//! The ignored tests measure a large fleet for docs/capacity.md:
//! `cargo test --release -p pullyard-control --test fleet -- --ignored --nocapture --test-threads 1`
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed; allow-unwrap-in-tests does not see helpers"
)]

mod accounts;
mod board;
mod claims;
mod ends;
mod entries;
mod held;
mod kept;
mod looks;
mod orders;
mod removals;
mod reviews;
mod rounds;
mod search;
mod settles;
mod slow;
mod starts;
mod sweep;
mod taken;
mod trust;
mod world;
