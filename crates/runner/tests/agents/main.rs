//! Tests the agent programs of the vendors with a scripted model inside the runner, and records their output.
//!
//! Tests that need a program are ignored by default; `.ci/agents` installs both programs and runs them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod agent_process;
#[expect(dead_code, reason = "the runner's other tests use more of it")]
#[path = "../run_job/api.rs"]
mod api;
mod attempts;
mod claude_code;
mod codex;
mod fixture;
mod goldens;
mod leftover_processes;
mod misbehaving;
mod refusing_proxy;
#[expect(dead_code, reason = "the runner's other tests use more of it")]
#[path = "../run_job/world.rs"]
mod world;
