//! The forge crate against the local forge, and against scripted responses for faults.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, not in what they share")]

mod access;
mod apps;
mod bitbucket;
mod deliveries;
mod exchanges;
mod faults;
mod fetch_and_push;
mod issues;
mod model_keys;
mod prelude;
mod pull_requests;
mod report;
mod repositories;
mod review_loop;
mod reviews;
mod scripted_forge;
mod world;
