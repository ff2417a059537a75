//! Tests the stored session of Claude Code and Codex, played by scripts: only session files are stored.

use crate::agents::{CLAUDE, CODEX, Machine};
use crate::rests::{input, unpacked};
use crate::world::end_of;
use pullyard_domain::project::Resume as Policy;
use pullyard_protocol::attempt::Resume;
use pullyard_protocol::event::EventKind;
use serde_json::json;
use std::collections::BTreeMap;

const CLAUDES: &str = "fdb0ce43-b309-486d-a9f2-6b73d8934b64";
const CODEXS: &str = "01a1fbae-e707-7122-9065-e350b6dbb161";

/// Starts a session like Claude Code, with this transcript, and works until it is stopped.
pub(crate) fn claude(transcript: &str) -> String {
    format!(
        "folder=$CLAUDE_CONFIG_DIR/projects/$(pwd | sed 's/[^A-Za-z0-9]/-/g'); mkdir -p $folder
         head -n 1 > @DIR@/prompt; echo half >> half.txt
         {{ {transcript}
         }} >> $folder/{CLAUDES}.jsonl
         echo '{{\"oauth\":\"x\"}}' > $CLAUDE_CONFIG_DIR/.credentials.json
         grep '\"init\"' @CLAUDE@/tools_and_edits.jsonl | head -n 1; echo; echo '{{\"type\":\"odd\",\"text\":\"waiting\"}}'
         if [ -e @DIR@/ends ]; then cat @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null; exit 0; fi
         head -n 1 > @DIR@/told; tail -n 1 @CLAUDE@/interrupted_in_tool.jsonl; cat > /dev/null; exit 1"
    )
}

pub(crate) async fn paused(machine: &Machine) {
    let runner = machine.world.spawn(|command| machine.equip(command));
    machine.world.api.wait_for_text("waiting").await;
    machine.world.api.script(|script| script.pause = true);
    let ran = end_of(runner).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(!ran.log.contains("key-of-the-model"));
}

pub(crate) fn kept(machine: &Machine) -> BTreeMap<String, Vec<u8>> {
    unpacked(&machine.world.api.kept("checkpoint.tar.zst").unwrap())
}

fn next(machine: &Machine, policy: Policy) {
    let told = machine.world.api.yields().pop().unwrap();
    machine.world.api.next_attempt(|job| {
        let inputs = vec![input(1, None, "Use tabs.")];
        job.resume = Some(Resume { agent: told.agent, session: told.session, read: told.inputs, policy, inputs });
    });
}

#[tokio::test]
async fn restored_session_is_resumed_with_new_inputs() {
    let machine = Machine::with(CLAUDE, &claude("echo '{\"said\":\"Hello\"}'")).await;
    paused(&machine).await;
    let names: Vec<_> = kept(&machine).into_keys().collect();
    assert_eq!(names, ["about.json", &format!("session/{CLAUDES}.jsonl"), "work.patch"]);

    next(&machine, Policy::Require);
    std::fs::write(machine.world.outside("ends"), "").unwrap();
    machine.completes().await;
    let starts = machine.starts();
    assert!(starts[1].contains(&format!("--resume={CLAUDES}")), "{starts:?}");
    let prompt = std::fs::read_to_string(machine.world.outside("prompt")).unwrap();
    assert!(prompt.contains("ana said:\\n> Use tabs.") && prompt.contains("-1/tree` before"), "{prompt}");
    assert!(!prompt.contains("Write a greeting."), "the prompt repeats the task: {prompt}");
    assert_eq!(machine.world.file(crate::world::BRANCH, "half.txt").as_deref(), Some("half\nhalf\n"));
}

#[tokio::test]
async fn changed_task_is_sent_to_the_resumed_session() {
    let machine = Machine::with(CLAUDE, &claude("echo '{}'")).await;
    paused(&machine).await;
    next(&machine, Policy::Prefer);
    machine.world.api.assign(|job| job.prompt = "Write a long greeting.".into());
    std::fs::write(machine.world.outside("ends"), "").unwrap();
    machine.completes().await;
    let prompt = std::fs::read_to_string(machine.world.outside("prompt")).unwrap();
    assert!(prompt.contains("It is now:\\n\\nWrite a long greeting."), "{prompt}");
}

#[tokio::test]
async fn stored_session_contains_no_secret() {
    let says = "echo '{\"out\":\"KEY=key-of-the-model\"}'; printf '{\"half\":\"key-of-the-model'";
    let machine = Machine::with(CLAUDE, &claude(says)).await;
    paused(&machine).await;
    for (name, content) in kept(&machine) {
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains("key-of-the-model") && !text.contains("oauth"), "{name}: {text}");
    }
    let said = String::from_utf8(kept(&machine).remove(&format!("session/{CLAUDES}.jsonl")).unwrap()).unwrap();
    assert!(said.starts_with("{\"out\":\"KEY=[redacted]\"}\n"), "{said}");
}

#[tokio::test]
async fn checkpoint_with_a_secret_is_not_stored() {
    let planted = claude("echo '{}'; echo key-of-the-model > config.ini 2> /dev/null");
    let machine = Machine::with(CLAUDE, &planted).await;
    paused(&machine).await;
    assert!(machine.world.api.kept("checkpoint.tar.zst").is_none());
    let texts = machine.world.api.texts();
    let because = "What the agent did so far is not kept, because a secret of the job stands in `config.ini`";
    assert!(texts.contains(because), "{texts}");
    next(&machine, Policy::Require);
    assert_eq!(machine.run().await.failure.unwrap().code(), "session_lost");
}

#[tokio::test]
async fn work_is_stored_without_a_session_that_seals_a_secret() {
    let sealed = claude("echo '{\"content\":[{\"type\":\"thinking\",\"thinking\":\"key-of-the-model\"}]}'");
    let machine = Machine::with(CLAUDE, &sealed).await;
    paused(&machine).await;
    assert_eq!(kept(&machine).into_keys().collect::<Vec<_>>(), ["about.json", "work.patch"]);
    let texts = machine.world.api.texts();
    let because = "The agent's session is not kept, because a secret stands in the model's own thoughts";
    assert!(texts.contains(because), "{texts}");
    next(&machine, Policy::Prefer);
    std::fs::write(machine.world.outside("ends"), "").unwrap();
    machine.completes().await;
    assert_eq!(machine.world.file(crate::world::BRANCH, "half.txt").as_deref(), Some("half\nhalf\n"));
}

#[tokio::test]
async fn usage_of_earlier_attempts_is_not_counted_again() {
    // The first attempt reports one request in its files, the second only the total of the session.
    let machine = Machine::with(
        CODEX,
        &format!(
            "cat > @DIR@/prompt; day=$CODEX_HOME/sessions/2026/11/21; mkdir -p $day; echo half >> half.txt
             if [ -e $day/rollout-2026-11-21T05-58-13-{CODEXS}.jsonl ]; then cat @CODEX@/resume_after.jsonl; exit 0; fi
             sed '/token_usage_record/q' @CODEX@/rollout.jsonl > $day/rollout-2026-11-21T05-58-13-{CODEXS}.jsonl
             echo '{{}}' > $CODEX_HOME/auth.json
             head -n 3 @CODEX@/resume_before.jsonl; echo '{{\"type\":\"odd\",\"text\":\"waiting\"}}'; exec sleep 600"
        ),
    )
    .await;
    paused(&machine).await;
    let first = machine.world.api.yields()[0].work.clone().unwrap();
    assert_eq!((first.input_tokens, first.output_tokens), (100, 50));
    assert!(kept(&machine).keys().all(|name| !name.contains("auth")), "{:?}", kept(&machine).keys());
    next(&machine, Policy::Require);
    let finish = machine.completes().await;
    let work = finish.work.unwrap();
    assert_eq!((work.input_tokens, work.output_tokens), (200, 100), "of 300 and 150 in all");
    let told = machine.world.api.events().into_iter().filter(|event| event.kind == EventKind::Usage);
    let told: Vec<_> = told.filter_map(|event| event.data).collect();
    let so_far = told.iter().find(|data| data["so_far"] == true).unwrap();
    assert_eq!((&so_far["input_tokens"], &so_far["output_tokens"]), (&json!(200), &json!(100)), "{told:?}");
    assert!(machine.starts()[1].contains(&CODEXS.to_owned()), "{:?}", machine.starts());
}
