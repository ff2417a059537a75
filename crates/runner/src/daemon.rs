//! The daemon: a self-hosted runner that registers, is heard, claims jobs and runs each as a process of
//! its own, which outlives it.
//!
//! Deliberately not here: how a job is run (`run-job` does that, in the child), and which job is given.

mod agents;
mod args;
mod check;
mod child;
mod claims;
mod disk;
mod heart;
mod home;
mod life;
mod names;
mod pace;
mod post;
mod record;
mod refusals;
mod settings;
mod show;
mod state;
mod take;
mod world;

pub use args::{Check, Config, Start};
