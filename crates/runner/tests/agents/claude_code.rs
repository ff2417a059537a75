//! Runs Claude Code without the runner.

use crate::running::{Ended, Running};
use crate::scene::{KEY, Scene, program};
use tokio::process::Command;

pub(crate) const ALWAYS: [&str; 8] = [
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
pub(crate) const QUIET: [&str; 4] =
    ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING"];
pub(crate) const SESSION: &str = "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01";

pub(crate) fn bare(scene: &Scene) -> Command {
    let mut command = scene.command(&program("PULLYARD_CLAUDE_CODE"));
    command
        .env("ANTHROPIC_BASE_URL", scene.model.url())
        .env("ANTHROPIC_API_KEY", KEY)
        .env("CLAUDE_CONFIG_DIR", scene.config())
        .env("CLAUDE_CODE_MAX_RETRIES", "1");
    command
}

/// Claude Code as the runner starts it.
pub(crate) fn claude(scene: &Scene) -> Command {
    let mut command = bare(scene);
    command.args(ALWAYS).envs(QUIET.map(|name| (name, "1")));
    command
}

pub(crate) async fn ask(command: Command, prompt: &str) -> Ended {
    let mut running = Running::start(command);
    running.say(prompt).await;
    running.end().await
}
