//! Use cases over the embedded AWS: races, crashes, slow or refused calls, and time.
//!
//! The ignored tests measure a large fleet for docs/capacity.md:
//! `cargo test --release -p pullyard-control --test fleet -- --ignored --nocapture --test-threads 1`
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed; allow-unwrap-in-tests does not see helpers"
)]

mod accounts;
mod agent_reviews;
mod analyses;
mod artifacts;
mod board;
mod claims;
mod comments;
mod delayed_call;
mod dispatch;
mod ends;
mod entries;
mod hanging;
mod job_lists;
mod leases;
mod limits;
mod names;
mod notices;
mod overflow;
mod polling;
mod prelude;
mod removals;
mod requeues;
mod reviews;
mod rounds;
mod run_groups;
mod runner_commands;
mod runs;
mod schedules;
mod search;
mod secrets;
mod settles;
mod silence;
mod slow;
mod sweep;
mod views;
mod world;
