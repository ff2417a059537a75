//! What a large fleet of self-hosted runners takes, for docs/capacity.md: figures are printed and nothing depends
//! on them; that no job is claimed twice does. In `weak` what use cases make of a copy of a moment ago, and in `ends`
//! the end of an attempt, in `trust` of what is gone, in `accounts` of models that answer nobody, in `starts` of what
//! ECS says, in `rounds` of what is due, in `slow` of calls that take long meanwhile, in `orders` of what people
//! want of a runner and of its job, in `board` of what they do on the board, in `entries` of a ticket's event that came
//! to no end, in `settles` of what waited and what comes late, in `reviews` of reviews, in `looks` of what nobody
//! told, in `kept` of artifacts, in `removals` of what is in use, in `rows` of claims that begin with what another one
//! read, and in `taken` of jobs that runners lose.
//!
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
