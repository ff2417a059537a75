//! Tests the stored session of Claude Code and Codex, played by scripts: only session files are stored.

use crate::agents::{CLAUDE, CODEX, Machine};
use crate::rests::{input, unpacked};
use crate::world::end_of;
use pullyard_domain::project::Resume as Policy;
use pullyard_protocol::attempt::{FinishOutcome, Resume};
use pullyard_protocol::event::EventKind;
use serde_json::json;
use std::collections::BTreeMap;

const CLAUDES: &str = "fdb0ce43-b309-486d-a9f2-6b73d8934b64";
const CODEXS: &str = "01a1fbae-e707-7122-9065-e350b6dbb161";
const LOST: &str = "01a1fbae-0000-7122-9065-e350b6dbb161";

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
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
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
    assert_eq!(machine.run().await.outcome, FinishOutcome::Completed);
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

/// Verifies that nothing is stored, the log has the reason, and a requiring job fails.
async fn keeps_nothing(machine: Machine, reason: &str) {
    paused(&machine).await;
    assert!(machine.world.api.kept("checkpoint.tar.zst").is_none(), "{reason}");
    let texts = machine.world.api.texts();
    assert!(texts.contains(&format!("What the agent did so far is not kept, because {reason}")), "{reason}: {texts}");
    next(&machine, Policy::Require);
    let finish = machine.run().await;
    assert_eq!(finish.failure.unwrap().code(), "session_lost", "{reason}");
}

#[tokio::test]
async fn checkpoint_with_a_secret_or_too_large_is_not_stored() {
    let planted = claude("echo '{}'; echo key-of-the-model > config.ini 2> /dev/null");
    keeps_nothing(Machine::with(CLAUDE, &planted).await, "a secret of the job stands in `config.ini`").await;
    let large = claude(
        "truncate -s 300M $folder/large; mkdir $folder/fdb0ce43-b309-486d-a9f2-6b73d8934b64
        mv $folder/large $folder/fdb0ce43-b309-486d-a9f2-6b73d8934b64/result.txt",
    );
    keeps_nothing(Machine::with(CLAUDE, &large).await, "it is larger than 64 MiB packed or 256 MiB unpacked").await;
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
    assert_eq!(machine.run().await.outcome, FinishOutcome::Completed);
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
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let work = finish.work.unwrap();
    assert_eq!((work.input_tokens, work.output_tokens), (200, 100), "of 300 and 150 in all");
    let told = machine.world.api.events().into_iter().filter(|event| event.kind == EventKind::Usage);
    let told: Vec<_> = told.filter_map(|event| event.data).collect();
    let so_far = told.iter().find(|data| data["so_far"] == true).unwrap();
    assert_eq!((&so_far["input_tokens"], &so_far["output_tokens"]), (&json!(200), &json!(100)), "{told:?}");
    assert!(machine.starts()[1].contains(&CODEXS.to_owned()), "{:?}", machine.starts());
}

#[tokio::test]
async fn usage_of_a_lost_session_is_not_subtracted() {
    // The files of each session report one request; the next attempt reports only the total of its session.
    let machine = Machine::with(
        CODEX,
        &format!(
            "cat > @DIR@/prompt; day=$CODEX_HOME/sessions/2026/11/21; mkdir -p $day; echo half >> half.txt
             if [ -e $day/rollout-2026-11-21T05-58-13-{CODEXS}.jsonl ]; then cat @CODEX@/resume_after.jsonl; exit 0; fi
             uses() {{ sed '/token_usage_record/q' @CODEX@/rollout.jsonl > $day/rollout-2026-11-21T05-58-13-$1.jsonl; }}
             if [ ! -e @DIR@/began ]; then
               touch @DIR@/began; uses {LOST}; sed 's/{CODEXS}/{LOST}/' @CODEX@/resume_before.jsonl; exit 1
             fi
             if grep -q {LOST} @DIR@/starts.args; then echo 'no rollout found for thread id {LOST}' >&2; exit 1; fi
             uses {CODEXS}
             head -n 3 @CODEX@/resume_before.jsonl; echo '{{\"type\":\"odd\",\"text\":\"waiting\"}}'; exec sleep 600"
        ),
    )
    .await;
    paused(&machine).await;
    let first = machine.world.api.yields()[0].work.clone().unwrap();
    assert_eq!((first.starts, first.session.as_deref()), (3, Some(CODEXS)));
    assert_eq!((first.input_tokens, first.output_tokens), (200, 100), "of both sessions");
    let about: serde_json::Value = serde_json::from_slice(&kept(&machine)["about.json"]).unwrap();
    assert_eq!(about["tokens"], json!({ "input": 100, "cached": 0, "output": 50 }));
    next(&machine, Policy::Require);
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let work = finish.work.unwrap();
    assert_eq!((work.input_tokens, work.output_tokens), (200, 100), "of 300 and 150 in all");
}

/// A Codex whose session is lost before the resume. Its new session has no id until the file `ends` exists. `first`
/// ends the first start.
fn forgets(first: &str) -> String {
    format!(
        "cat > @DIR@/prompt; day=$CODEX_HOME/sessions/2026/11/21; mkdir -p $day
         waits() {{ echo '{{\"type\":\"odd\",\"text\":\"waiting\"}}'; exec sleep 600; }}
         if grep -q {CODEXS} @DIR@/starts.args; then echo 'no rollout found for thread id {CODEXS}' >&2; exit 1; fi
         if [ -e @DIR@/ends ]; then cat @CODEX@/tools_and_edits.jsonl; exit 0; fi
         if [ -e @DIR@/began ]; then waits; fi
         touch @DIR@/began; echo half >> half.txt
         sed '/token_usage_record/q' @CODEX@/rollout.jsonl > $day/rollout-2026-11-21T05-58-13-{CODEXS}.jsonl
         {first}"
    )
}

/// Verifies that the lost session is dropped and the work is resumed.
async fn is_forgotten(machine: &Machine) {
    let kept = kept(machine);
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["about.json", "work.patch"]);
    let about: serde_json::Value = serde_json::from_slice(&kept["about.json"]).unwrap();
    assert_eq!((&about["session"], &about["read"]), (&json!(null), &json!(0)), "{about}");
    assert_eq!(machine.world.api.yields()[0].session, None);
    next(machine, Policy::Prefer);
    std::fs::write(machine.world.outside("ends"), "").unwrap();
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let texts = machine.world.api.texts();
    let because = "because no session was kept; the agent begins again, with the work that it had done.";
    assert!(texts.contains(because), "{texts}");
    let all = machine.starts();
    let looked = all.iter().filter(|args| args.contains(&CODEXS.to_owned())).count();
    assert_eq!((all.len(), looked), (4, 1), "{all:?}");
    assert_eq!(machine.world.file(crate::world::BRANCH, "half.txt").as_deref(), Some("half\n"));
}

#[tokio::test]
async fn lost_session_of_an_earlier_attempt_is_tried_once() {
    let machine = Machine::with(CODEX, &forgets("head -n 3 @CODEX@/resume_before.jsonl; waits")).await;
    paused(&machine).await;
    assert_eq!(machine.world.api.yields()[0].session.as_deref(), Some(CODEXS));
    next(&machine, Policy::Prefer);
    paused(&machine).await;
    is_forgotten(&machine).await;
}

#[tokio::test]
async fn lost_session_of_this_attempt_is_not_stored() {
    let machine = Machine::with(CODEX, &forgets("cat @CODEX@/resume_before.jsonl; exit 1")).await;
    paused(&machine).await;
    is_forgotten(&machine).await;
}
