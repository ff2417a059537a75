//! Tests of hooks that are installed at a forge or by hand: verified, repaired, removed and installed again.

use super::{World, name, signed};
use crate::story::REPOSITORY;
use pullyard_domain::hook::Webhook;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_store::Write;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn hook_is_installed_once_verified_repaired_and_removed() {
    let world = World::make().await;
    let api = &world.story.api;
    let made = api.install_hook(&world.wanted("acme", false)).await.unwrap();
    let again = api.install_hook(&world.wanted("acme", false)).await.unwrap();
    assert_eq!((made.forge_id.is_some(), made.forge_id), (true, again.forge_id));
    world.story.local.forge().deliveries_settled().await;
    assert_eq!(api.verify_hook(&name("acme")).await.unwrap().drifts, []);
    world.asks().await;
    world.revised().await;

    let path = format!("/hooks/{}", made.forge_id.unwrap());
    world.story.forge(Method::PATCH, &path, json!({ "active": false, "events": ["pull_request", "push"] })).await;
    let drifts = api.verify_hook(&name("acme")).await.unwrap().drifts;
    let codes: Vec<_> = drifts.iter().map(|drift| drift.code.as_str()).collect();
    assert_eq!(codes, ["disabled", "events"], "{drifts:?}");
    assert_eq!(api.repair_hook(&name("acme")).await.unwrap().drifts, []);
    api.remove_hook(&name("acme"), false).await.unwrap();
    assert_eq!(world.story.forge(Method::GET, "/hooks", Value::Null).await, json!([]));
    assert_eq!(api.hook(&name("acme")).await.unwrap_err().code(), Some("not_found"));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reinstalled_hook_has_no_state_of_its_predecessor() {
    let world = World::make().await;
    let (api, store) = (&world.story.api, world.story.store().await);
    let star = json!({ "action": "created", "repository": { "id": world.repository, "full_name": REPOSITORY } });
    let both_ways = async || {
        assert_eq!(world.send("acme", "star", &star).await.0, 200);
        let wrong = signed("another secret", star.to_string().as_bytes());
        assert_eq!(world.send_as("acme", "star", "g", &wrong, star.to_string().into()).await.0, 401);
        let hook = api.hook(&name("acme")).await.unwrap();
        assert!(hook.verified_at.is_some() && hook.refused_at.is_some(), "{hook:?}");
        assert_eq!(hook.refused, 1);
    };
    world.by_hand("acme").await;
    both_ways().await;
    let before = store.hook(&name("acme")).await.unwrap().unwrap();
    api.remove_hook(&name("acme"), false).await.unwrap();
    // A process that read the hook earlier still writes its notes.
    let late = before.created.plus(Duration::from_secs(1));
    assert_eq!(store.note_hook_verified(&before, late).await.unwrap(), Write::Applied);
    assert_eq!(store.note_hook_refused(&before, 3, late).await.unwrap(), Write::Applied);
    // Later than these notes, and before a process repeats its own.
    world.story.pass(Duration::from_secs(2)).await;
    world.by_hand("acme").await;
    let hook = api.hook(&name("acme")).await.unwrap();
    assert_eq!((hook.verified_at, hook.refused_at, hook.refused), (None, None, 0));
    both_ways().await;
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_without_a_stored_id_is_removed_at_the_forge() {
    let world = World::make().await;
    let (api, store) = (&world.story.api, world.story.store().await);
    let stays = api.install_hook(&world.wanted("other", false)).await.unwrap();
    api.install_hook(&world.wanted("acme", false)).await.unwrap();
    world.story.local.forge().deliveries_settled().await;
    // The state after a crash before the id was stored.
    let hook = store.hook(&name("acme")).await.unwrap().unwrap();
    assert_eq!(store.put_hook(&Webhook { forge_id: None, ..hook }).await.unwrap(), Write::Applied);
    api.remove_hook(&name("acme"), false).await.unwrap();
    let there = world.story.forge(Method::GET, "/hooks", Value::Null).await;
    let ids: Vec<_> = there.as_array().unwrap().iter().map(|hook| hook["id"].as_u64()).collect();
    assert_eq!(ids, [stays.forge_id]);
    assert_eq!(api.hook(&name("acme")).await.unwrap_err().code(), Some("not_found"));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_an_unverified_hook_needs_keep_or_a_gone_repository() {
    let world = World::make().await;
    let api = &world.story.api;
    let answers = |path: &str, status| {
        let reading = Calls { method: Some("GET".into()), path: path.into() };
        world.story.local.forge().order_fault(reading, 2, Fault::status(status));
    };
    for keeps in [false, true] {
        world.by_hand("acme").await;
        // A token without access to hooks gets either status.
        for status in [403, 404] {
            answers("/hooks", status);
            api.remove_hook(&name("acme"), false).await.unwrap_err();
            assert_eq!(api.hook(&name("acme")).await.unwrap().forge_id, None);
            world.story.local.forge().forget_faults();
        }
        // The removal succeeds if the repository is gone, or if the hook may stay at the forge.
        answers("/repos/", if keeps { 403 } else { 404 });
        api.remove_hook(&name("acme"), keeps).await.unwrap();
        assert_eq!(api.hook(&name("acme")).await.unwrap_err().code(), Some("not_found"));
        world.story.local.forge().forget_faults();
    }
    world.story.end().await;
}
