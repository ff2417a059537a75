//! Runs Codex without the runner.

use crate::real_agents::fixture::{AgentFixture, KEY, program};
use tokio::process::Command;

pub(crate) const BASE_ARGUMENTS: [&str; 6] = [
    "--json",
    "--disable=plugins",
    "--disable=unbounded_connection_retries",
    "-c=shell_environment_policy.inherit=\"core\"",
    "-c=sandbox_mode=\"workspace-write\"",
    "-c=approval_policy=\"never\"",
];

/// Writes Codex's configuration: the scripted model, two tries per request, no other hosts.
pub(crate) fn configure(scene: &AgentFixture, address: &str) {
    let text = format!(
        "model = \"gpt-5\"\nmodel_provider = \"scripted\"\ncheck_for_update_on_startup = false\n\n\
         [analytics]\nenabled = false\n\n\
         [model_providers.scripted]\nname = \"scripted\"\nbase_url = \"{address}\"\nenv_key = \"OPENAI_API_KEY\"\n\
         wire_api = \"responses\"\nrequest_max_retries = 1\nstream_max_retries = 1\n"
    );
    std::fs::write(scene.config().join("config.toml"), text).unwrap();
}

/// `codex exec` with the base arguments and no prompt.
pub(crate) fn exec_command(scene: &AgentFixture) -> Command {
    base_command(scene, &["exec"])
}

pub(crate) fn resume_command(scene: &AgentFixture) -> Command {
    base_command(scene, &["exec", "resume"])
}

fn base_command(scene: &AgentFixture, command: &[&str]) -> Command {
    if !scene.config().join("config.toml").exists() {
        configure(scene, &scene.model.openai_url());
    }
    let mut run = scene.command(&program("PULLYARD_CODEX"));
    run.args(command).args(BASE_ARGUMENTS).env("CODEX_HOME", scene.config()).env("OPENAI_API_KEY", KEY);
    run
}
