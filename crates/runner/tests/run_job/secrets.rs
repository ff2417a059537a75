//! Tests that secrets known to an agent never leave the machine.

use crate::prelude::*;
use crate::world::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const MODEL_KEY: &str = "the-model's/key+0123";
/// Has the length of a model's key; in base64 it takes two lines.
const LONG_KEY: &str =
    "sk-ant-api03-Vq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7aRiOk3lXv9QnWt6My4HgDzBjUeFcIpSAoq8Zr1LxT0uYw5NfKdGhJ2mPbCsE7aR-AA";
/// Tokens unknown to the attempt: in its repository, its ticket and its agent's output.
const REPOSITORY_TOKEN: &str = "ghp_rEpOsItOrY0123456789abcdefghijABCDEF";
const TICKET_TOKEN: &str = "glpat-tIcKeT0123456789abcd";
const OUTPUT_TOKEN: &str = "sk_live_oUtPuT0123456789abcdefgh";
const PEM_LINES: [&str; 2] = [
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
    "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu",
];

fn sent_calls(world: &World) -> String {
    let calls = ["status", "events", "finish"].map(|name| world.api.calls(name));
    calls.into_iter().flatten().map(|call| call.body.to_string()).collect()
}

async fn check(script: &str, hidden: &[&str]) -> World {
    let world = World::with_agent(script).await;
    let ran = world.run_under("SOME_MODEL_KEY", MODEL_KEY).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let calls_text = sent_calls(&world);
    assert!(calls_text.contains("[redacted]"), "{calls_text}");
    for secret in hidden.iter().chain(&[MODEL_KEY, TOKEN]) {
        assert!(!calls_text.contains(secret), "{secret} in {calls_text}");
        assert!(!ran.log.contains(secret), "{secret} in {}", ran.log);
    }
    world
}

#[tokio::test]
async fn secrets_in_agent_output_are_redacted_in_every_form() {
    let encoded = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let script = format!(
        "echo \"the key is {MODEL_KEY}\"; echo 'header: Basic {encoded}' >&2; echo '?k=the-model%27s%2Fkey%2B0123'
         echo '{{\"kind\":\"tool_call\",\"name\":\"{TOKEN}\",\"input\":{{\"{TOKEN}\":[\"a {TOKEN} b\"]}}}}'
         echo ghp_0123456789abcdefghijABCDEFGHIJ012345; echo hello > greeting.txt"
    );
    let of_both = STANDARD.encode(TOKEN);
    let hidden = ["%2Fkey%2B", &of_both[..16], "ghp_0123456789"];
    let world = check(&script, &hidden).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
}

#[tokio::test]
async fn secret_at_the_cut_of_a_long_line_is_redacted() {
    // The cut would leave the first half of the key.
    let script = format!("printf '%65525s' x; echo \"{MODEL_KEY}\"; echo hello > greeting.txt");
    check(&script, &["the-model's"]).await;
}

#[tokio::test]
async fn quoted_output_of_a_failed_agent_is_redacted() {
    let world = check(&format!("echo \"no such key: {MODEL_KEY}\" >&2; exit 1"), &[]).await;
    let failure = world.api.only_finish().failure.unwrap();
    assert_eq!(failure.sentence(), "The agent stopped with exit code 1: \"no such key: [redacted]\".");
}

#[tokio::test]
async fn change_with_a_secret_is_not_pushed() {
    let encoded = STANDARD.encode(format!("user:{TOKEN}"));
    for script in [
        format!("echo \"key = {MODEL_KEY}\" > settings.ini"),
        format!("printf 'a\\0b{encoded}\\0' > data.bin"),
        format!("echo fine > {TOKEN}.txt"),
        format!("printf 'user:%s' '{LONG_KEY}' | base64 > notes.txt"),
    ] {
        let world = World::with_agent(&script).await;
        run_with_keys(&world).await;
        let failure = world.api.only_finish().failure.unwrap();
        assert_eq!(failure.code(), "secret_in_change", "{script}");
        assert!(!failure.sentence().contains(TOKEN), "{}", failure.sentence());
        assert_eq!(world.branch_head(BRANCH), None, "{script}");
    }
}

async fn run_with_keys(world: &World) -> RunResult {
    let ran = world
        .run_with(|command| {
            command
                .env("SOME_MODEL_KEY", MODEL_KEY)
                .env("OTHER_MODEL_KEY", LONG_KEY)
                .env("PULLYARD_RAW_CAPTURE", "true");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    ran
}

fn base64_fragments(secret: &str) -> Vec<String> {
    let encoded = STANDARD.encode(secret);
    (0..encoded.len() - 19).step_by(4).map(|from| encoded[from..from + 19].to_owned()).collect()
}

fn assert_nothing_sent(world: &World, secrets: &[&str]) {
    let mut all: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    all.extend(base64_fragments(LONG_KEY));
    let sent_data = world.sent_data();
    for place in ["events", "agent-output.jsonl"] {
        assert!(sent_data.iter().any(|(to, _)| to == place), "nothing went to {place}");
    }
    for (to, content) in sent_data {
        let content = String::from_utf8_lossy(&content).into_owned();
        for secret in &all {
            assert!(!content.contains(secret.as_str()), "{secret} went to {to}: {content}");
        }
    }
}

#[tokio::test]
async fn no_sent_data_contains_a_secret() {
    let script = format!(
        "cat; cat token.txt; echo \"{MODEL_KEY} {LONG_KEY} {OUTPUT_TOKEN}\"; printf '%s' '{LONG_KEY}' | base64
         printf 'key={LONG_KEY}' | base64 >&2; echo '{{\"kind\":\"text\",\"text\":\"a {LONG_KEY}\"}}'
         sed -i 's/one/two/; /{REPOSITORY_TOKEN}/d' token.txt; head -c 100000 /dev/zero | tr '\\0' 'x'
         echo \" {MODEL_KEY}\"; echo hello > greeting.txt"
    );
    let world = World::with_agent("exit 1").await;
    commit_file(&world, "main", "token.txt", &format!("one\n{REPOSITORY_TOKEN}\nend\n"));
    world.api.change_assignment(|job| {
        set_command(job, &script);
        job.prompt = format!("Write a greeting with {TICKET_TOKEN}.");
        job.pull_request.title = format!("APP-17: Greet {TICKET_TOKEN} {MODEL_KEY}");
        job.pull_request.body = format!("As {TICKET_TOKEN} asked.");
    });
    let ran = run_with_keys(&world).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    let secrets = [MODEL_KEY, LONG_KEY, TOKEN, REPOSITORY_TOKEN, TICKET_TOKEN, OUTPUT_TOKEN];
    assert_nothing_sent(&world, &secrets);
    let raw = String::from_utf8(world.api.bucket_object("provider-payload.txt").unwrap()).unwrap();
    assert!(raw.contains("[redacted] [redacted] [redacted]"), "{raw}");
    let patch = String::from_utf8(world.api.bucket_object("changes.patch").unwrap()).unwrap();
    assert!(patch.contains("-[redacted]") && patch.contains("+two"), "{patch}");
    let pull = pull_request(&world).await.to_string();
    assert!(pull.contains("APP-17: Greet [redacted] [redacted]") && pull.contains("As [redacted] asked."), "{pull}");
    let message = world.git_line(&["log", "-1", "--format=%s", BRANCH]);
    assert_eq!(message, "APP-17: Greet [redacted] [redacted]");
    for secret in secrets {
        assert!(!pull.contains(secret) && !ran.log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn yielding_attempt_sends_no_secret() {
    let script = format!("cat token.txt; echo {OUTPUT_TOKEN}; printf '%s' '{LONG_KEY}' | base64");
    let world = World::with_agent("exit 1").await;
    commit_file(&world, "main", "token.txt", &format!("one\n{REPOSITORY_TOKEN}\nend\n"));
    world.api.change_assignment(|job| {
        let question = format!("{{\"kind\":\"question\",\"text\":\"Is it {MODEL_KEY} or {LONG_KEY}?\"}}");
        set_command(job, &format!("cat; {script}; echo half > half.txt; printf '%s\\n' \"$0\""));
        job.agent.command.push(question);
        job.prompt = format!("Write a greeting with {TICKET_TOKEN}.");
    });
    run_with_keys(&world).await;
    let [yield_request] = world.api.yields().try_into().unwrap();
    assert_eq!(
        (yield_request.outcome, yield_request.question.as_deref()),
        (YieldReason::Asks, Some("Is it [redacted] or [redacted]?"))
    );
    assert!(world.api.bucket_object("checkpoint.tar.zst").is_some());
    assert_nothing_sent(&world, &[MODEL_KEY, LONG_KEY, TOKEN, REPOSITORY_TOKEN, TICKET_TOKEN, OUTPUT_TOKEN]);
}

#[tokio::test]
async fn patch_of_a_removed_secret_is_redacted() {
    let world = World::with_agent(&format!("rm -f agent.sh # {MODEL_KEY}")).await;
    run_with_keys(&world).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    let patch = String::from_utf8(world.api.bucket_object("changes.patch").unwrap()).unwrap();
    assert!(patch.contains("-rm -f agent.sh # [redacted]"), "{patch}");
}

#[tokio::test]
async fn patch_omits_binary_content_with_a_secret() {
    let world = World::with_agent("exit 1").await;
    commit_file(&world, "main", "store.bin", &format!("a\0{MODEL_KEY}\0b"));
    let work = "cat > /dev/null; printf 'a\\0none\\0b' > store.bin; echo hello > greeting.txt";
    world.api.change_assignment(|job| set_command(job, work));
    run_with_keys(&world).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    let patch = String::from_utf8(world.api.bucket_object("changes.patch").unwrap()).unwrap();
    assert!(patch.contains("Binary files a/store.bin and b/store.bin differ") && patch.contains("+hello"), "{patch}");
    assert!(!patch.contains("GIT binary patch"), "{patch}");
}

#[tokio::test]
async fn checkpoint_that_removes_a_secret_is_not_stored() {
    for taken_out in ["agent.sh", "store.bin"] {
        // Two files contain the secret; the agent deletes one.
        let world = World::with_agent(&format!("exit 1 # {MODEL_KEY}")).await;
        commit_file(&world, "main", "store.bin", &format!("a\0{MODEL_KEY}\0b"));
        world.api.change_assignment(|job| {
            let question = "{\"kind\":\"question\",\"text\":\"Go on?\"}";
            set_command(job, &format!("cat > /dev/null; rm {taken_out}; echo half > half.txt; echo '{question}'"));
        });
        run_with_keys(&world).await;
        assert_eq!(world.api.yields().len(), 1, "{taken_out}");
        assert!(world.api.bucket_object("checkpoint.tar.zst").is_none(), "{taken_out}");
        let texts = world.api.event_texts();
        let message = format!("is not kept, because the change of `{taken_out}` contains a secret of the job.");
        assert!(texts.contains(&message), "{taken_out}: {texts}");
    }
}

#[tokio::test]
async fn private_key_printed_line_by_line_is_redacted() {
    let [one, two] = PEM_LINES;
    let lines = ["-----BEGIN PRIVATE KEY-----", one, two, "-----END PRIVATE KEY-----", "after it"];
    let prints = lines.map(|line| format!("printf '%s\\n' '{line}'")).join("; ");
    let texts = lines.map(|line| format!("printf '%s\\n' '{{\"kind\":\"text\",\"text\":\"{line}\"}}'")).join("; ");
    for script in [prints.clone(), format!("{{ {prints}; }} >&2"), texts] {
        let world = World::with_agent("exit 1").await;
        world.api.change_assignment(|job| {
            set_command(job, &format!("cat > /dev/null; {script}; echo hello > greeting.txt"))
        });
        run_with_keys(&world).await;
        assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
        assert_nothing_sent(&world, &PEM_LINES);
        assert!(world.api.event_texts().contains("after it"), "{}", world.api.event_texts());
        if !script.ends_with(">&2") {
            let raw = String::from_utf8(world.api.bucket_object("provider-payload.txt").unwrap()).unwrap();
            assert!(raw.contains("after it"), "{raw}");
        }
    }
}

#[tokio::test]
async fn secret_streamed_in_pieces_is_redacted_in_the_raw_capture() {
    let script = "head -n 1 > /dev/null; echo hello > greeting.txt; cat @DIR@/said
        tail -n 1 @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null";
    let machine = AgentMachine::with_agent(CLAUDE, script).await;
    let (first, second) = ("key-of-t", "he-model");
    let piece = |delta: Value| {
        let event = json!({ "type": "content_block_delta", "index": 0, "delta": delta });
        json!({ "type": "stream_event", "event": event })
    };
    let text = |half: &str| piece(json!({ "type": "text_delta", "text": half }));
    let input = |half: &str| piece(json!({ "type": "input_json_delta", "partial_json": half }));
    let content = json!([{ "type": "text", "text": format!("It is {first}{second}.") }]);
    let message = json!({ "type": "assistant", "message": { "id": "m1", "model": "x", "content": content } });
    let lines = [text(first), text(second), input(first), input(second), message];
    std::fs::write(machine.world.outside_path("said"), lines.map(|line| format!("{line}\n")).concat()).unwrap();
    let ran = machine
        .world
        .run_with(|command| {
            machine.set_env(command);
            command.env("PULLYARD_RAW_CAPTURE", "true");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = machine.world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let raw = String::from_utf8(machine.world.api.bucket_object("provider-payload.txt").unwrap()).unwrap();
    assert!(raw.contains("It is [redacted]."), "the key was not redacted: {raw}");
    assert_nothing_sent(&machine.world, &[first, second]);
}

/// A Codex with a subscription that prints its tokens and changes them while it works.
const SUBSCRIPTION_AGENT: &str = r#"cat > /dev/null
said() { printf '{"type":"item.completed","item":{"id":"i","type":"agent_message","text":"it has %s"}}\n' "$1"; }
printf '{"type":"thread.started","thread_id":"01a1fbad-d7a7-71b0-93ec-bf8d23475498"}\n{"type":"turn.started"}\n'
said "$(tr -d '\n"' < "$CODEX_HOME/auth.json")"
printf '{"tokens":{"refresh_token":"planted-rotated-token"}}' > "$CODEX_HOME/auth.json"
@WORK@
printf '{"type":"turn.completed","usage":{"input_tokens":1,"cached_input_tokens":0,"output_tokens":1}}\n'"#;

async fn run_with_subscription(work: &str) -> World {
    let machine = AgentMachine::with_agent(CODEX, &SUBSCRIPTION_AGENT.replace("@WORK@", work)).await;
    let auth = machine.world.outside_path("auth.json");
    let tokens = r#"{"auth_mode": "chatgpt", "tokens": {"access_token": "planted-access-token",
        "refresh_token": "planted-refresh-token"}, "last_refresh": "2026-11-21T05:58:13Z"}"#;
    std::fs::write(&auth, tokens).unwrap();
    let ran = machine
        .world
        .run_with(|command| {
            machine.set_env(command);
            command.env_remove("OPENAI_API_KEY").env("PULLYARD_CODEX_AUTH", &auth);
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_nothing_sent(&machine.world, &["planted-access-token", "planted-refresh-token"]);
    machine.world
}

#[tokio::test]
async fn subscription_tokens_are_redacted() {
    let world = run_with_subscription("echo hello > greeting.txt").await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    let texts = world.api.event_texts();
    assert!(texts.contains("access_token: [redacted]") && texts.contains("auth_mode: chatgpt"), "{texts}");
}

#[tokio::test]
async fn rotated_subscription_tokens_are_not_pushed() {
    for token in ["planted-refresh-token", "planted-rotated-token"] {
        let world = run_with_subscription(&format!("echo {token} > notes.txt")).await;
        assert_eq!((world.api.failure_code(), world.branch_head(BRANCH)), ("secret_in_change", None), "{token}");
    }
}

#[tokio::test]
async fn rotated_subscription_tokens_are_redacted() {
    // The runner looks for new tokens once per second.
    let world = run_with_subscription("sleep 3; said planted-rotated-token; echo hello > greeting.txt").await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    assert_nothing_sent(&world, &["planted-rotated-token"]);
    assert!(world.api.event_texts().contains("it has [redacted]"), "{}", world.api.event_texts());
}

#[tokio::test]
async fn model_or_session_named_like_a_secret_is_redacted() {
    let script = "head -n 1 > /dev/null; echo hello > greeting.txt
        sed 's/fdb0ce43-b309-486d-a9f2-6b73d8934b64/key-of-the-model/; s/claude-opus-4-8/key-of-the-model/' \
        @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null";
    let finish = AgentMachine::with_agent(CLAUDE, script).await.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let work = finish.work.unwrap();
    assert_eq!((work.session, work.model.as_deref()), (None, Some("[redacted][1m]")));
}
