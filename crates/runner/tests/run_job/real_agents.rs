//! Tests the agent programs of the vendors with a scripted model inside the runner, and records their output.
//!
//! Tests that need a program are ignored by default; `.ci/agents` installs both programs and runs them.

mod agent_process;
mod attempts;
mod claude_code;
mod codex;
mod fixture;
mod goldens;
mod leftover_processes;
mod misbehaving;
mod refusing_proxy;
