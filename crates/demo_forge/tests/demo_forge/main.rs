//! The demo forge over HTTP: what it answers, refuses and tells. Git and the forge crate meet it in
//! `crates/forge/tests/against_demo_forge`.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, not in what they share")]

mod around;
mod hooks;
mod listener;
mod pages;
mod pull_requests;
mod reviews;
mod threads;
mod world;

/// What `World` starts its forge with.
fn extension() -> std::sync::Arc<dyn pullyard_demo_forge::Extension> {
    std::sync::Arc::new(pullyard_demo_forge::NoExtension)
}
