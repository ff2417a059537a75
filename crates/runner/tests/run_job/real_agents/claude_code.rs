//! Runs Claude Code without the runner.

use crate::real_agents::agent_process::{AgentProcess, ProcessResult};
use crate::real_agents::fixture::{AgentFixture, KEY, program};
use tokio::process::Command;

pub(crate) const BASE_ARGUMENTS: [&str; 8] = [
    "-p",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--verbose",
    "--setting-sources=",
    "--strict-mcp-config",
    "--permission-mode=acceptEdits",
    "--allowedTools=Bash,Write,Edit,Read",
];
/// Settings that stop all calls except to the model.
pub(crate) const QUIET_SETTINGS: [&str; 4] =
    ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING"];
pub(crate) const SESSION: &str = "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01";

pub(crate) fn base_command(scene: &AgentFixture) -> Command {
    let mut command = scene.command(&program("PULLYARD_CLAUDE_CODE"));
    command
        .env("ANTHROPIC_BASE_URL", scene.model.url())
        .env("ANTHROPIC_API_KEY", KEY)
        .env("CLAUDE_CONFIG_DIR", scene.config())
        .env("CLAUDE_CODE_MAX_RETRIES", "1");
    command
}

/// Claude Code as the runner starts it.
pub(crate) fn runner_command(scene: &AgentFixture) -> Command {
    let mut command = base_command(scene);
    command.args(BASE_ARGUMENTS).envs(QUIET_SETTINGS.map(|name| (name, "1")));
    command
}

pub(crate) async fn run_prompt(command: Command, prompt: &str) -> ProcessResult {
    let mut running = AgentProcess::start(command);
    running.send_user_message(prompt).await;
    running.wait_for_exit().await
}
