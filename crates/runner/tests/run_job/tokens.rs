//! Tests forge tokens that expire: a new one before the push, and revocation of all.

use crate::attempt_ends::send_sigterm;
use crate::prelude::*;
use crate::token_gate::{Gate, long_token};
use crate::world::World;

async fn world_with_token_gate(agent: &str, tokens: &[String]) -> (World, Gate) {
    let mut world = World::with_agent(agent).await;
    let gate = Gate::start(&world.forge.url(), TOKEN, |_| Router::new()).await;
    let mut assignment = world.api.assignment();
    let through = |url: &str| url.replace(&world.forge.url(), &gate.url);
    assignment.repository.api_url = through(&assignment.repository.api_url);
    assignment.repository.clone_url = through(&assignment.repository.clone_url);
    world.api = Api::start(assignment, "none").await;
    let minted = tokens.iter().cloned().collect();
    world.api.change_script(|script| script.expiring_tokens = minted);
    tokens.iter().for_each(|token| gate.admit(token));
    (world, gate)
}

#[tokio::test]
async fn work_with_an_expired_token_is_pushed_with_a_new_one() {
    let tokens = [long_token(1), long_token(2)];
    let (world, gate) = world_with_token_gate(WAITING_AGENT, &tokens).await;
    let child = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    gate.revoke(&tokens[0]);
    std::fs::write(world.outside_path("go"), "").unwrap();
    let ran = crate::world::wait_for_exit(child).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{}", ran.log);
    assert!(world.branch_head(BRANCH).is_some() && world.open_pull_request(BRANCH).await.is_some());

    let calls = gate.calls();
    let by = |path: &str| -> Vec<String> {
        let mut by: Vec<_> = calls.iter().filter(|(call, _)| call == path).map(|(_, token)| token.clone()).collect();
        by.dedup();
        by
    };
    assert_eq!(by("POST /acme/app.git/git-upload-pack"), [tokens[0].clone()], "fetched by the first");
    assert_eq!(by("POST /acme/app.git/git-receive-pack"), [tokens[1].clone()], "pushed by the second");
    assert_eq!(by("POST /api/v3/repos/acme/app/pulls"), [tokens[1].clone()]);
    assert!(gate.valid_tokens().is_empty(), "a token is still valid");
    for token in &tokens {
        let part = &token[..40];
        assert!(!ran.log.contains(part) && !world.api.event_texts().contains(part), "a token was sent");
    }
}

#[tokio::test]
async fn superseded_or_terminated_attempt_revokes_its_token() {
    for code in [0, 143] {
        let token = long_token(1);
        let (world, gate) = world_with_token_gate("echo waiting; sleep 60", std::slice::from_ref(&token)).await;
        let child = world.spawn(|_| ());
        world.api.wait_for_text("waiting").await;
        match code {
            0 => world.api.change_script(|script| script.refuse("events", 409, "lease_lost")),
            _ => send_sigterm(&child),
        }
        let ran = crate::world::wait_for_exit(child).await;
        assert_eq!(ran.code, Some(code), "{}", ran.log);
        assert!(gate.valid_tokens().is_empty(), "{}", ran.log);
    }
}

#[tokio::test]
async fn refused_token_fails_as_source_denied() {
    for (status, code) in [(422, "forge_refused"), (422, "secret_missing"), (403, "not_listed")] {
        let (world, _gate) = world_with_token_gate("true", &[]).await;
        world.api.change_script(|script| script.refuse("credentials", status, code));
        assert_eq!(world.fails().await, "source_denied", "{code}");
    }
}

#[tokio::test]
async fn runner_uses_its_own_token_for_its_own_forge() {
    let agent = "env > greeting.txt; cat /proc/[0-9]*/environ >> greeting.txt 2> /dev/null; true";
    let mut world = World::with_agent(agent).await;
    let assignment = world.api.assignment();
    let own_url = assignment.repository.api_url.clone();
    for (api_url, outcome) in [("https://api.github.com", FinishOutcome::Failed), (&own_url, FinishOutcome::Completed)]
    {
        world.api = Api::start(assignment.clone(), "").await;
        let ran = world
            .run_with(|command| {
                command.env("PULLYARD_FORGE_TOKEN", TOKEN).env("PULLYARD_FORGE_API_URL", api_url);
            })
            .await;
        let finish = world.api.only_finish();
        assert_eq!(finish.outcome, outcome, "{}", ran.log);
        assert!(!ran.log.contains(TOKEN) && !world.api.event_texts().contains(TOKEN), "{}", ran.log);
        if outcome == FinishOutcome::Failed {
            assert_eq!(finish.failure.unwrap().code(), "source_denied");
            assert!(world.api.event_texts().contains("the runner has none for http://127.0.0.1"));
        }
    }
    assert!(!world.file_at(BRANCH, "greeting.txt").unwrap().contains(TOKEN));
}
