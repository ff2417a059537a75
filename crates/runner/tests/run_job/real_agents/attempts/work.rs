//! Tests that finished work becomes a commit and a pull request, with events while it runs.

use super::fixture::{ALL_AGENTS, Agent, Stage};
use crate::world::BRANCH;
use pullyard_demo_model::{Answer, Usage};
use pullyard_protocol::event::EventKind;

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn agent_changes_become_a_commit_and_a_pull_request() {
    for agent in ALL_AGENTS {
        let stage = Stage::start_for(agent).await;
        let usage = |input, output| Usage { input, cached: 0, output };
        stage.model.add_steps([
            agent.run_command_answer("echo hello > greeting.txt").with_usage(usage(1_000, 50)),
            Answer::text("All done.").with_usage(usage(2_000, 70)),
        ]);
        stage.run_to_success().await;
        assert_eq!(stage.world.file_at(BRANCH, "greeting.txt").unwrap(), "hello\n", "{agent:?}");
        assert_eq!(stage.world.git_line(&["diff", "--name-only", "main", BRANCH]), "greeting.txt", "{agent:?}");
        assert!(stage.world.open_pull_request(BRANCH).await.is_some());
        assert!(stage.model.model_calls()[0].contains_text("Write a greeting."));

        let work = stage.world.api.only_finish().work.unwrap();
        assert_eq!((work.agent.as_str(), work.starts, work.turns), (agent.capability(), 1, 2), "{work:?}");
        assert_eq!((work.input_tokens, work.output_tokens), (3_000, 120), "{work:?}");
        assert!(work.version.is_some() && work.session.is_some() && work.isolation == "none", "{work:?}");
        if agent == Agent::ClaudeCode {
            assert!(stage.world.api.only_finish().spent_usd_micros.unwrap() > 0);
        }
        assert!(stage.world.api.event_texts().contains("All done."), "{agent:?}");
        let called = stage.events_of_kind(EventKind::ToolCall).len() + stage.events_of_kind(EventKind::Command).len();
        assert!(called >= 1 && stage.events_json().contains("greeting.txt"), "{agent:?}");
        assert!(
            !stage.events_of_kind(EventKind::Usage).is_empty() && !stage.events_of_kind(EventKind::Result).is_empty(),
            "{agent:?}"
        );
        // Usage is reported before the end, and its last event has the totals.
        let sums: Vec<_> = stage
            .events_of_kind(EventKind::Usage)
            .into_iter()
            .filter(|event| event.running_usage_sentence().is_some())
            .collect();
        let ended = stage.events_of_kind(EventKind::Result)[0].seq;
        assert!(sums[0].seq < ended, "{agent:?} {sums:?}");
        let last = sums.last().and_then(|event| event.usage()).unwrap();
        assert_eq!((last.turns, last.input_tokens, last.output_tokens), (Some(2), Some(3_000), Some(120)), "{agent:?}");
        stage.check_end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn denied_tool_is_named_when_nothing_changed() {
    let stage = Stage::start_for(Agent::ClaudeCode).await;
    // Claude Code requires a permission to write its own settings, despite all allowances.
    let path = stage.worktree().join(".claude/settings.json");
    let write = serde_json::json!({ "file_path": path, "content": "{}" });
    stage.model.add_steps([Answer::tool("Write", write), Answer::text("I could not.")]);
    let failure = stage.run_to_failure().await;
    assert_eq!((failure.code(), failure.sentence().contains("Write")), ("permission_denied", true), "{failure:?}");
    stage.check_end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn unreported_codex_edits_are_committed() {
    let codex = Agent::Codex;
    let stage = Stage::start_for(codex).await;
    // The sandbox denies the second half. Codex may report neither if that ends at once.
    let denied = stage.agent.run_command_answer("echo hello > greeting.txt; touch /etc/pullyard-canary");
    stage.model.add_steps([denied, Answer::text("All done.")]);
    stage.run_to_success().await;
    assert!(!std::path::Path::new("/etc/pullyard-canary").exists());
    assert_eq!(stage.events_of_kind(EventKind::FileEdit).len(), 0, "Codex reported a file edit");
    assert_eq!(stage.world.git_line(&["diff", "--name-only", "main", BRANCH]), "greeting.txt");
    assert_eq!(stage.world.file_at(BRANCH, "greeting.txt").unwrap(), "hello\n");
    stage.check_end();
}
