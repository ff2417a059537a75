//! Runs commands in real sandboxes: as this user, and as an unprivileged one if this user is root.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, not in what they share")]

mod canaries;
mod commands;
mod containers;
mod world;
