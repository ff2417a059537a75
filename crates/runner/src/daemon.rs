//! The daemon of a self-hosted runner: registers, sends heartbeats, claims jobs and runs each in its own process.
//!
//! These processes outlive the daemon. `run-job` runs the job, and the control plane chooses it.

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
