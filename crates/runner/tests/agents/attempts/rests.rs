//! Tests that a stopped agent resumes its session on another machine and receives only new inputs.

use super::stage::{Agent, BOTH, Stage};
use crate::running::{PATIENCE, is_written};
use crate::scene::KEY;
use crate::world::{BRANCH, Ran, end_of};
use pullyard_demo_model::{Answer, Step, Usage};
use pullyard_domain::project::Resume as Policy;
use pullyard_protocol::attempt::{FinishOutcome, Input, Resume, YieldOutcome};
use serde_json::json;
use tokio::time::timeout;

fn usage(input: u64, output: u64) -> Usage {
    Usage { input, cached: 0, output }
}

/// Starts an attempt and pauses it during the second model request, or during the tool.
async fn paused(agent: Agent, tool: Option<&str>) -> Stage {
    let stage = Stage::of(agent).await;
    let command = format!("echo half > half.txt; echo {KEY}; {}", tool.unwrap_or("true"));
    stage.model.play([agent.shell(&command).taking(usage(1_000, 50))]);
    stage.model.keep(Step::Hang);
    let runner = stage.start();
    if tool.is_some() {
        is_written(&stage.tree().join("half.txt")).await;
    } else {
        timeout(PATIENCE, stage.model.wait_for_turns(2)).await.unwrap();
    }
    stage.world.api.script(|script| script.pause = true);
    let ran = end_of(runner).await;
    assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
    stage
}

/// Runs the next attempt with the session and inputs of the last yield.
async fn goes_on(stage: &Stage, inputs: Vec<Input>) -> Ran {
    let told = stage.world.api.yields().pop().unwrap();
    assert!(told.session.is_some() && told.work.is_some(), "{:?} {told:?}", stage.agent);
    stage.world.api.next_attempt(|job| {
        job.resume = Some(Resume {
            agent: told.agent,
            session: told.session,
            read: told.inputs,
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
    for agent in BOTH {
        for tool in [None, Some("while :; do sleep 0.1; done")] {
            let stage = paused(agent, tool).await;
            let before = stage.model.turns().len();
            stage.model.play([agent.shell("cat half.txt > whole.txt").taking(usage(300, 7))]);
            stage.model.keep(Answer::text("All done.").taking(usage(400, 9)));
            let session = stage.world.api.yields()[0].session.clone();
            let ran = goes_on(&stage, Vec::new()).await;
            let finish = stage.world.api.finish();
            assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
            for (file, expected) in [("half.txt", "half\n"), ("whole.txt", "half\n")] {
                assert_eq!(stage.world.file(BRANCH, file).as_deref(), Some(expected), "{agent:?} {file}");
            }
            let turns = stage.model.turns();
            let told = &turns[before];
            for words in ["Write a greeting.", "half.txt", "You were stopped", "Your work folder is"] {
                assert!(told.mentions(words), "{agent:?}: the request lacks `{words}`");
            }
            let work = finish.work.unwrap();
            assert_eq!((work.session, work.starts, work.turns), (session, 1, 2), "{agent:?}");
            // Usage of the first attempt is not counted again.
            assert_eq!((work.input_tokens, work.output_tokens), (700, 16), "{agent:?}");
            assert!(stage.world.api.texts().contains("Continuing in the session of attempt 1"), "{agent:?}");
            stage.end();
        }
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn agent_question_file_is_answered_in_its_session() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let asks = "echo half > half.txt; mkdir -p .pullyard; echo 'Which language?' > .pullyard/question.md";
        stage.model.play([agent.shell(asks), Answer::text("I wait for the answer.")]);
        let ran = end_of(stage.start()).await;
        assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
        let [told] = stage.world.api.yields().try_into().unwrap();
        assert_eq!(
            (told.outcome, told.question.as_deref()),
            (YieldOutcome::Asks, Some("Which language?")),
            "{agent:?}"
        );
        let before = stage.model.turns().len();
        stage.model.keep(Answer::text("All done."));
        let question = Some("Which language?".into());
        let input = Input { seq: 1, by: "ana".into(), question, text: "Latin.".into() };
        let ran = goes_on(&stage, vec![input]).await;
        assert_eq!(stage.world.api.finish().outcome, FinishOutcome::Completed, "{agent:?} {}", ran.log);
        let turns = stage.model.turns();
        let body = turns[before].body.to_string();
        assert!(body.contains("answered your question") && body.contains("> Latin."), "{agent:?}: {body}");
        assert!(body.contains("I wait for the answer."), "{agent:?}: the session differs");
        assert_eq!(stage.world.file(BRANCH, "half.txt").as_deref(), Some("half\n"), "{agent:?}");
        assert_eq!(stage.world.file(BRANCH, ".pullyard/question.md"), None, "{agent:?}");
        stage.end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn stored_session_contains_no_key() {
    for agent in BOTH {
        let stage = paused(agent, None).await;
        // A tool printed the model's key, so the session contains it.
        assert!(stage.model.turns().last().unwrap().mentions(KEY), "{agent:?}");
        let kept = stage.world.api.kept("checkpoint.tar.zst").unwrap();
        let all = zstd::decode_all(kept.as_slice()).unwrap();
        let text = String::from_utf8_lossy(&all);
        assert!(text.contains("half.txt") && text.contains("[redacted]"), "{agent:?}");
        for never in [KEY, "auth.json", "config.toml", ".claude.json", ".credentials"] {
            assert!(!text.contains(never), "{agent:?}: the archive contains {never}");
        }
        stage.end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_restores_its_task_list_on_resume() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    let task = json!({ "subject": "Say it in Latin", "description": "All of it." });
    stage.model.play([Answer::tool("TaskCreate", task)]);
    stage.model.keep(Step::Hang);
    let runner = stage.start();
    timeout(PATIENCE, stage.model.wait_for_turns(2)).await.unwrap();
    stage.world.api.script(|script| script.pause = true);
    assert_eq!(end_of(runner).await.code, Some(0));
    let before = stage.model.turns().len();
    stage.model.play([Answer::tool("TaskList", json!({})), stage.agent.shell("echo hello > greeting.txt")]);
    stage.model.keep(Answer::text("All done."));
    let ran = goes_on(&stage, Vec::new()).await;
    assert_eq!(stage.world.api.finish().outcome, FinishOutcome::Completed, "{}", ran.log);
    let turns = stage.model.turns();
    let listed = turns[before + 1].body["messages"].as_array().unwrap().last().unwrap().to_string();
    assert!(listed.contains("Say it in Latin"), "{listed}");
    stage.end();
}
