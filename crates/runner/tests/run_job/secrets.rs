//! Secrets that an agent gets hold of leave the machine nowhere.

use crate::world::{BRANCH, TOKEN, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pullyard_protocol::attempt::FinishOutcome;

const MODEL_KEY: &str = "the-model's/key+0123";

/// Everything that the control plane was told, as it came over the wire.
fn told(world: &World) -> String {
    let calls = ["status", "events", "finish"].map(|name| world.api.calls(name));
    calls.into_iter().flatten().map(|call| call.body.to_string()).collect()
}

async fn check(script: &str, hidden: &[&str]) -> World {
    let world = World::with_agent(script).await;
    let ran = world
        .run_with(|command| {
            command.env("SOME_MODEL_KEY", MODEL_KEY);
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let told = told(&world);
    assert!(told.contains("[redacted]"), "{told}");
    for secret in hidden.iter().chain(&[MODEL_KEY, TOKEN]) {
        assert!(!told.contains(secret), "{secret} in {told}");
        assert!(!ran.log.contains(secret), "{secret} in {}", ran.log);
    }
    world
}

#[tokio::test]
async fn what_the_agent_says_of_them_is_taken_out_in_every_form() {
    let encoded = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let script = format!(
        "echo \"the key is {MODEL_KEY}\"; echo 'header: Basic {encoded}' >&2; echo '?k=the-model%27s%2Fkey%2B0123'
         echo '{{\"kind\":\"tool_call\",\"name\":\"{TOKEN}\",\"input\":{{\"{TOKEN}\":[\"a {TOKEN} b\"]}}}}'
         echo ghp_0123456789abcdefghijABCDEFGHIJ012345; echo hello > greeting.txt"
    );
    let of_both = STANDARD.encode(TOKEN);
    let hidden = ["%2Fkey%2B", &of_both[..16], "ghp_0123456789"];
    let world = check(&script, &hidden).await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
}

#[tokio::test]
async fn a_secret_that_is_cut_at_the_end_of_a_long_line_does_not_stay_by_half() {
    // Its first half would be the last of what is kept of the line.
    let script = format!("printf '%65525s' x; echo \"{MODEL_KEY}\"; echo hello > greeting.txt");
    check(&script, &["the-model's"]).await;
}

#[tokio::test]
async fn the_last_words_of_a_failed_agent_have_none() {
    let world = check(&format!("echo \"no such key: {MODEL_KEY}\" >&2; exit 1"), &[]).await;
    let failure = world.api.finish().failure.unwrap();
    assert_eq!(failure.sentence(), "The agent ended with exit code 1: \"no such key: [redacted]\".");
}

#[tokio::test]
async fn a_change_that_has_one_is_not_pushed() {
    let encoded = STANDARD.encode(format!("user:{TOKEN}"));
    for script in [
        format!("echo \"key = {MODEL_KEY}\" > settings.ini"),
        format!("printf 'a\\0b{encoded}\\0' > data.bin"),
        format!("echo fine > {TOKEN}.txt"),
    ] {
        let world = World::with_agent(&script).await;
        let ran = world
            .run_with(|command| {
                command.env("SOME_MODEL_KEY", MODEL_KEY);
            })
            .await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        let failure = world.api.finish().failure.unwrap();
        assert_eq!(failure.code(), "secret_in_change", "{script}");
        assert!(!failure.sentence().contains(TOKEN), "{}", failure.sentence());
        assert_eq!(world.head(BRANCH), None, "{script}");
    }
}

#[tokio::test]
async fn taking_one_out_of_the_repository_is_no_leak() {
    let world = World::with_agent(&format!("rm -f agent.sh # {MODEL_KEY}")).await;
    let ran = world
        .run_with(|command| {
            command.env("SOME_MODEL_KEY", MODEL_KEY);
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
}
