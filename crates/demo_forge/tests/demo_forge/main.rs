//! The demo forge over HTTP: what it answers, refuses and tells. Git and the forge crate meet it in
//! `crates/forge/tests/against_demo_forge`.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, not in what they share")]

mod apps;
mod around;
mod bitbucket;
mod bitbucket_comments;
mod bitbucket_hooks;
mod bitbucket_reviews;
mod hooks;
mod listener;
mod pages;
mod pull_requests;
mod reviews;
mod threads;
mod world;
