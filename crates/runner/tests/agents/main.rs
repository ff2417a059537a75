//! The agents' own programs, as their makers ship them, against a scripted model: first by themselves, so that
//! what the adapters rest on is known to hold for these versions; then inside the runner.
//!
//! Tests that need a program are ignored unless they are asked for; `.ci/agents` installs both and asks.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

#[expect(dead_code, reason = "the runner's other tests use more of it")]
#[path = "../run_job/api.rs"]
mod api;
mod attempts;
mod call_outs;
mod claude_code;
mod codex;
mod goldens;
mod independent;
mod left_over;
mod misbehaving;
mod running;
mod scene;
#[expect(dead_code, reason = "the runner's other tests use more of it")]
#[path = "../run_job/world.rs"]
mod world;
