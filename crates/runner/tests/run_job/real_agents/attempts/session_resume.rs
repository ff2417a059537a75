//! Tests that a stopped agent resumes its session on another machine and receives only new inputs.

use super::fixture::{ALL_AGENTS, Agent, Stage};
use crate::real_agents::agent_process::{WAIT_LIMIT, wait_for_content};
use crate::real_agents::fixture::KEY;
use crate::world::{BRANCH, RunResult, wait_for_exit};
use pullyard_demo_model::{Answer, Step, Usage};
use pullyard_domain::project::Resume as Policy;
use pullyard_protocol::attempt::{FinishOutcome, Input, ResumeState, YieldReason};
use serde_json::json;
use tokio::time::timeout;

fn usage(input: u64, output: u64) -> Usage {
    Usage { input, cached: 0, output }
}

async fn pause_attempt(agent: Agent, tool: Option<&str>) -> Stage {
    let stage = Stage::start_for(agent).await;
    let command = format!("echo half > half.txt; echo {KEY}; {}", tool.unwrap_or("true"));
    stage.model.add_steps([agent.run_command_answer(&command).with_usage(usage(1_000, 50))]);
    stage.model.set_repeating_step(Step::Hang);
    let runner = stage.start();
    if tool.is_some() {
        wait_for_content(&stage.worktree().join("half.txt")).await;
    } else {
        timeout(WAIT_LIMIT, stage.model.wait_for_turns(2)).await.unwrap();
    }
    stage.world.api.change_script(|script| script.pause = true);
    let ran = wait_for_exit(runner).await;
    assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
    stage
}

async fn resume_attempt(stage: &Stage, inputs: Vec<Input>) -> RunResult {
    let yield_request = stage.world.api.yields().pop().unwrap();
    assert!(yield_request.session.is_some() && yield_request.work.is_some(), "{:?} {yield_request:?}", stage.agent);
    stage.world.api.next_attempt(|job| {
        job.resume = Some(ResumeState {
            agent: yield_request.agent,
            session: yield_request.session,
            read: yield_request.inputs,
            policy: Policy::Require,
            inputs,
        });
    });
    let dir = stage.world.dir.path().join("another machine");
    stage
        .run_with(|command| {
            command.env("PULLYARD_WORK_DIR", dir);
        })
        .await
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn paused_agent_resumes_its_session_on_another_machine() {
    for agent in ALL_AGENTS {
        for tool in [None, Some("while :; do sleep 0.1; done")] {
            let stage = pause_attempt(agent, tool).await;
            let before = stage.model.model_calls().len();
            stage.model.add_steps([agent.run_command_answer("cat half.txt > whole.txt").with_usage(usage(300, 7))]);
            stage.model.set_repeating_step(Answer::text("All done.").with_usage(usage(400, 9)));
            let session = stage.world.api.yields()[0].session.clone();
            let ran = resume_attempt(&stage, Vec::new()).await;
            let finish = stage.world.api.only_finish();
            assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
            for (file, expected) in [("half.txt", "half\n"), ("whole.txt", "half\n")] {
                assert_eq!(stage.world.file_at(BRANCH, file).as_deref(), Some(expected), "{agent:?} {file}");
            }
            let turns = stage.model.model_calls();
            let request = &turns[before];
            for text in ["Write a greeting.", "half.txt", "You were interrupted", "Your work folder is"] {
                assert!(request.contains_text(text), "{agent:?}: the request lacks `{text}`");
            }
            let work = finish.work.unwrap();
            assert_eq!((work.session, work.starts, work.turns), (session, 1, 2), "{agent:?}");
            // Usage of the first attempt is not counted again.
            assert_eq!((work.input_tokens, work.output_tokens), (700, 16), "{agent:?}");
            assert!(stage.world.api.event_texts().contains("Continuing in the session of attempt 1"), "{agent:?}");
            stage.check_end();
        }
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn agent_question_file_is_answered_in_its_session() {
    for agent in ALL_AGENTS {
        let stage = Stage::start_for(agent).await;
        let question_script =
            "echo half > half.txt; mkdir -p .pullyard; echo 'Which language?' > .pullyard/question.md";
        stage.model.add_steps([agent.run_command_answer(question_script), Answer::text("I wait for the answer.")]);
        let ran = wait_for_exit(stage.start()).await;
        assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
        let [yield_request] = stage.world.api.yields().try_into().unwrap();
        assert_eq!(
            (yield_request.outcome, yield_request.question.as_deref()),
            (YieldReason::Asks, Some("Which language?")),
            "{agent:?}"
        );
        let before = stage.model.model_calls().len();
        stage.model.set_repeating_step(Answer::text("All done."));
        let question = Some("Which language?".into());
        let input = Input { seq: 1, by: "ana".into(), question, text: "Latin.".into() };
        let ran = resume_attempt(&stage, vec![input]).await;
        assert_eq!(stage.world.api.only_finish().outcome, FinishOutcome::Completed, "{agent:?} {}", ran.log);
        let turns = stage.model.model_calls();
        let body = turns[before].body.to_string();
        assert!(body.contains("answered your question") && body.contains("> Latin."), "{agent:?}: {body}");
        assert!(body.contains("I wait for the answer."), "{agent:?}: the session differs");
        assert_eq!(stage.world.file_at(BRANCH, "half.txt").as_deref(), Some("half\n"), "{agent:?}");
        assert_eq!(stage.world.file_at(BRANCH, ".pullyard/question.md"), None, "{agent:?}");
        stage.check_end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn stored_session_contains_no_key() {
    for agent in ALL_AGENTS {
        let stage = pause_attempt(agent, None).await;
        // A tool printed the model's key, so the session contains it.
        assert!(stage.model.model_calls().last().unwrap().contains_text(KEY), "{agent:?}");
        let archive = stage.world.api.bucket_object("checkpoint.tar.zst").unwrap();
        let all = zstd::decode_all(archive.as_slice()).unwrap();
        let text = String::from_utf8_lossy(&all);
        assert!(text.contains("half.txt") && text.contains("[redacted]"), "{agent:?}");
        for never in [KEY, "auth.json", "config.toml", ".claude.json", ".credentials"] {
            assert!(!text.contains(never), "{agent:?}: the archive contains {never}");
        }
        stage.check_end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_restores_its_task_list_on_resume() {
    let stage = Stage::start_for(Agent::ClaudeCode).await;
    let task = json!({ "subject": "Say it in Latin", "description": "All of it." });
    stage.model.add_steps([Answer::tool("TaskCreate", task)]);
    stage.model.set_repeating_step(Step::Hang);
    let runner = stage.start();
    timeout(WAIT_LIMIT, stage.model.wait_for_turns(2)).await.unwrap();
    stage.world.api.change_script(|script| script.pause = true);
    assert_eq!(wait_for_exit(runner).await.code, Some(0));
    let before = stage.model.model_calls().len();
    stage
        .model
        .add_steps([Answer::tool("TaskList", json!({})), stage.agent.run_command_answer("echo hello > greeting.txt")]);
    stage.model.set_repeating_step(Answer::text("All done."));
    let ran = resume_attempt(&stage, Vec::new()).await;
    assert_eq!(stage.world.api.only_finish().outcome, FinishOutcome::Completed, "{}", ran.log);
    let turns = stage.model.model_calls();
    let listed = turns[before + 1].body["messages"].as_array().unwrap().last().unwrap().to_string();
    assert!(listed.contains("Say it in Latin"), "{listed}");
    stage.check_end();
}
