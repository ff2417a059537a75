//! Exhaustive models of the domain's rules: every interleaving of a small world, over an in-memory table with the
//! store's write conditions.
//!
//! The models call the public functions of `pullyard-domain` and contain no rule themselves.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on has failed; allow-unwrap-in-tests does not see helpers"
)]

mod explore;
mod fixtures;
mod groups;
mod items;
mod moments;
mod reviews;
mod runners;
mod runs;
mod tools;
