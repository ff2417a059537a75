//! Tests which tools and settings the two programs offer their models when the runner starts them.

use super::fixture::{Agent, Stage};
use pullyard_demo_model::Answer;

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_offers_only_allowed_tools_and_our_timeouts() {
    let stage = Stage::start_for(Agent::ClaudeCode).await;
    stage.model.add_steps([stage.agent.run_command_answer("echo hello > greeting.txt"), Answer::text("All done.")]);
    stage.run_to_success().await;
    let body = stage.model.model_calls().remove(0).body;
    let tools = body["tools"].as_array().unwrap();
    let mut names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    // `Agent` is the name of the allowed `Task`. No tool calls out, waits for a clock or changes the work folder.
    // 2.1.330 adds a `DeferredToolPlaceholder` unless ENABLE_TOOL_SEARCH is false.
    let expected = "Agent Bash Edit Glob Grep NotebookEdit Read TaskCreate TaskGet TaskList TaskUpdate Write";
    assert_eq!(names.join(" "), expected);
    let bash = tools.iter().find(|tool| tool["name"] == "Bash").unwrap();
    let about = bash["description"].as_str().unwrap();
    assert!(about.contains("default 300000, max 1800000"), "BASH_DEFAULT_TIMEOUT_MS, BASH_MAX_TIMEOUT_MS: {about}");
    let parameters = &bash["input_schema"]["properties"];
    assert!(parameters.get("run_in_background").is_none(), "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: {parameters}");
    let system_prompt = body["system"].to_string();
    assert!(
        system_prompt.contains("# Environment") && !system_prompt.contains("MEMORY.md"),
        "its own memory: {system_prompt}"
    );
    stage.check_end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn codex_offers_no_provider_side_tools() {
    let codex = Agent::Codex;
    let stage = Stage::start_for(codex).await;
    stage.model.add_steps([stage.agent.run_command_answer("echo hello > greeting.txt"), Answer::text("All done.")]);
    stage.run_to_success().await;
    let body = stage.model.model_calls().remove(0).body;
    let spaces = body["input"][0]["tools"].as_array().unwrap().iter();
    let tools = spaces.flat_map(|space| space["tools"].as_array().unwrap());
    let mut names: Vec<_> = tools.map(|tool| tool["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let expected = "exec followup_task interrupt_agent list_agents request_user_input request_user_input_async \
        send_message sleep spawn_agent wait wait_agent";
    assert_eq!((names.join(" ").as_str(), &body["tools"]), (expected, &serde_json::Value::Null));
    assert!(!body.to_string().contains("web_search"));
    stage.check_end();
}
