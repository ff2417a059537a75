//! Tests the stored session of Claude Code and Codex, played by scripts: only session files are stored.

use crate::prelude::*;

const CLAUDE_SESSION: &str = "fdb0ce43-b309-486d-a9f2-6b73d8934b64";
const CODEX_SESSION: &str = "01a1fbae-e707-7122-9065-e350b6dbb161";

/// Starts a session like Claude Code, with this transcript, and works until it is stopped.
pub(crate) fn claude_script(transcript: &str) -> String {
    format!(
        "folder=$CLAUDE_CONFIG_DIR/projects/$(pwd | sed 's/[^A-Za-z0-9]/-/g'); mkdir -p $folder
         head -n 1 > @DIR@/prompt; echo half >> half.txt
         {{ {transcript}
         }} >> $folder/{CLAUDE_SESSION}.jsonl
         echo '{{\"oauth\":\"x\"}}' > $CLAUDE_CONFIG_DIR/.credentials.json
         grep '\"init\"' @CLAUDE@/tools_and_edits.jsonl | head -n 1; echo; echo '{{\"type\":\"odd\",\"text\":\"waiting\"}}'
         if [ -e @DIR@/ends ]; then cat @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null; exit 0; fi
         head -n 1 > @DIR@/told; tail -n 1 @CLAUDE@/interrupted_in_tool.jsonl; cat > /dev/null; exit 1"
    )
}

pub(crate) async fn pause_attempt(machine: &AgentMachine) {
    let runner = machine.world.spawn(|command| machine.set_env(command));
    machine.world.api.wait_for_text("waiting").await;
    machine.world.api.change_script(|script| script.pause = true);
    let ran = wait_for_exit(runner).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(!ran.log.contains("key-of-the-model"));
}

pub(crate) fn checkpoint_files(machine: &AgentMachine) -> BTreeMap<String, Vec<u8>> {
    unpack_checkpoint(&machine.world.api.bucket_object("checkpoint.tar.zst").unwrap())
}

fn assign_next_attempt(machine: &AgentMachine, policy: Policy) {
    let yield_request = machine.world.api.yields().pop().unwrap();
    machine.world.api.next_attempt(|job| {
        let inputs = vec![input(1, None, "Use tabs.")];
        job.resume = Some(ResumeState {
            agent: yield_request.agent,
            session: yield_request.session,
            read: yield_request.inputs,
            policy,
            inputs,
        });
    });
}

#[tokio::test]
async fn restored_session_is_resumed_with_new_inputs() {
    let machine = AgentMachine::with_agent(CLAUDE, &claude_script("echo '{\"said\":\"Hello\"}'")).await;
    pause_attempt(&machine).await;
    let names: Vec<_> = checkpoint_files(&machine).into_keys().collect();
    assert_eq!(names, ["about.json", &format!("session/{CLAUDE_SESSION}.jsonl"), "work.patch"]);

    assign_next_attempt(&machine, Policy::Require);
    std::fs::write(machine.world.outside_path("ends"), "").unwrap();
    machine.completes().await;
    let starts = machine.start_arguments();
    assert!(starts[1].contains(&format!("--resume={CLAUDE_SESSION}")), "{starts:?}");
    let prompt = std::fs::read_to_string(machine.world.outside_path("prompt")).unwrap();
    assert!(prompt.contains("ana said:\\n> Use tabs.") && prompt.contains("-1/tree` before"), "{prompt}");
    assert!(!prompt.contains("Write a greeting."), "the prompt repeats the task: {prompt}");
    assert_eq!(machine.world.file_at(crate::world::BRANCH, "half.txt").as_deref(), Some("half\nhalf\n"));
}

#[tokio::test]
async fn changed_task_is_sent_to_the_resumed_session() {
    let machine = AgentMachine::with_agent(CLAUDE, &claude_script("echo '{}'")).await;
    pause_attempt(&machine).await;
    assign_next_attempt(&machine, Policy::Prefer);
    machine.world.api.change_assignment(|job| job.prompt = "Write a long greeting.".into());
    std::fs::write(machine.world.outside_path("ends"), "").unwrap();
    machine.completes().await;
    let prompt = std::fs::read_to_string(machine.world.outside_path("prompt")).unwrap();
    assert!(prompt.contains("It is now:\\n\\nWrite a long greeting."), "{prompt}");
}

#[tokio::test]
async fn stored_session_contains_no_secret() {
    let says = "echo '{\"out\":\"KEY=key-of-the-model\"}'; printf '{\"half\":\"key-of-the-model'";
    let machine = AgentMachine::with_agent(CLAUDE, &claude_script(says)).await;
    pause_attempt(&machine).await;
    for (name, content) in checkpoint_files(&machine) {
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains("key-of-the-model") && !text.contains("oauth"), "{name}: {text}");
    }
    let transcript =
        String::from_utf8(checkpoint_files(&machine).remove(&format!("session/{CLAUDE_SESSION}.jsonl")).unwrap())
            .unwrap();
    assert!(transcript.starts_with("{\"out\":\"KEY=[redacted]\"}\n"), "{transcript}");
}

#[tokio::test]
async fn checkpoint_with_a_secret_is_not_stored() {
    let planted = claude_script("echo '{}'; echo key-of-the-model > config.ini 2> /dev/null");
    let machine = AgentMachine::with_agent(CLAUDE, &planted).await;
    pause_attempt(&machine).await;
    assert!(machine.world.api.bucket_object("checkpoint.tar.zst").is_none());
    let texts = machine.world.api.event_texts();
    let because = "What the agent did so far is not kept, because the change of `config.ini` contains a secret";
    assert!(texts.contains(because), "{texts}");
    assign_next_attempt(&machine, Policy::Require);
    assert_eq!(machine.run().await.failure.unwrap().code(), "session_lost");
}

#[tokio::test]
async fn work_is_stored_without_a_session_that_seals_a_secret() {
    let sealed = claude_script("echo '{\"content\":[{\"type\":\"thinking\",\"thinking\":\"key-of-the-model\"}]}'");
    let machine = AgentMachine::with_agent(CLAUDE, &sealed).await;
    pause_attempt(&machine).await;
    assert_eq!(checkpoint_files(&machine).into_keys().collect::<Vec<_>>(), ["about.json", "work.patch"]);
    let texts = machine.world.api.event_texts();
    let because = "The agent's session is not kept, because the model's signed reasoning contains a secret";
    assert!(texts.contains(because), "{texts}");
    assign_next_attempt(&machine, Policy::Prefer);
    std::fs::write(machine.world.outside_path("ends"), "").unwrap();
    machine.completes().await;
    assert_eq!(machine.world.file_at(crate::world::BRANCH, "half.txt").as_deref(), Some("half\nhalf\n"));
}

#[tokio::test]
async fn usage_of_earlier_attempts_is_not_counted_again() {
    // The first attempt reports one request in its files, the second only the total of the session.
    let machine = AgentMachine::with_agent(
        CODEX,
        &format!(
            "cat > @DIR@/prompt; day=$CODEX_HOME/sessions/2026/11/21; mkdir -p $day; echo half >> half.txt
             if [ -e $day/rollout-2026-11-21T05-58-13-{CODEX_SESSION}.jsonl ]; then cat @CODEX@/resume_after.jsonl; exit 0; fi
             sed '/token_usage_record/q' @CODEX@/rollout.jsonl > $day/rollout-2026-11-21T05-58-13-{CODEX_SESSION}.jsonl
             echo '{{}}' > $CODEX_HOME/auth.json
             head -n 3 @CODEX@/resume_before.jsonl; echo '{{\"type\":\"odd\",\"text\":\"waiting\"}}'; exec sleep 600"
        ),
    )
    .await;
    pause_attempt(&machine).await;
    let first = machine.world.api.yields()[0].work.clone().unwrap();
    assert_eq!((first.input_tokens, first.output_tokens), (100, 50));
    assert!(
        checkpoint_files(&machine).keys().all(|name| !name.contains("auth")),
        "{:?}",
        checkpoint_files(&machine).keys()
    );
    assign_next_attempt(&machine, Policy::Require);
    let finish = machine.completes().await;
    let work = finish.work.unwrap();
    assert_eq!((work.input_tokens, work.output_tokens), (200, 100), "of 300 and 150 in all");
    let usage_events = machine.world.api.events().into_iter().filter(|event| event.kind == EventKind::Usage);
    let usage_events: Vec<_> = usage_events.filter_map(|event| event.data).collect();
    let so_far = usage_events.iter().find(|data| data["so_far"] == true).unwrap();
    assert_eq!((&so_far["input_tokens"], &so_far["output_tokens"]), (&json!(200), &json!(100)), "{usage_events:?}");
    assert!(machine.start_arguments()[1].contains(&CODEX_SESSION.to_owned()), "{:?}", machine.start_arguments());
}
