//! Tests of hooks that are installed at a forge or by hand: verified, repaired, removed and installed again.

use super::{World, hook_name};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn hook_is_installed_once_verified_repaired_and_removed() {
    let world = World::new().await;
    let api = &world.story.api;
    let hook = api.install_hook(&world.install_request("acme", false)).await.unwrap();
    let again = api.install_hook(&world.install_request("acme", false)).await.unwrap();
    assert_eq!((hook.forge_id.is_some(), hook.forge_id), (true, again.forge_id));
    world.story.local.forge().wait_for_deliveries().await;
    assert_eq!(api.verify_hook(&hook_name("acme")).await.unwrap().drifts, []);
    world.request_changes().await;
    world.story.wait_for_revision(1).await;

    let path = format!("/hooks/{}", hook.forge_id.unwrap());
    world.story.call_forge(Method::PATCH, &path, json!({ "active": false, "events": ["pull_request", "push"] })).await;
    let drifts = api.verify_hook(&hook_name("acme")).await.unwrap().drifts;
    let codes: Vec<_> = drifts.iter().map(|drift| drift.code.as_str()).collect();
    assert_eq!(codes, ["disabled", "events"], "{drifts:?}");
    assert_eq!(api.repair_hook(&hook_name("acme")).await.unwrap().drifts, []);
    api.remove_hook(&hook_name("acme"), false).await.unwrap();
    assert_eq!(world.story.call_forge(Method::GET, "/hooks", Value::Null).await, json!([]));
    assert_eq!(api.hook(&hook_name("acme")).await.unwrap_err().code(), Some("not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_an_unverified_hook_needs_keep_or_a_gone_repository() {
    let world = World::new().await;
    let api = &world.story.api;
    let answers = |path: &str, status| {
        let reading = CallFilter { method: Some("GET".into()), path: path.into() };
        world.story.local.forge().inject_fault(reading, 2, Fault::status(status));
    };
    for hook_may_stay in [false, true] {
        world.install_by_hand("acme").await;
        // A token without access to hooks gets either status.
        for status in [403, 404] {
            answers("/hooks", status);
            api.remove_hook(&hook_name("acme"), false).await.unwrap_err();
            assert_eq!(api.hook(&hook_name("acme")).await.unwrap().forge_id, None);
            world.story.local.forge().clear_faults();
        }
        // The removal succeeds if the repository is gone, or if the hook may stay at the forge.
        answers("/repos/", if hook_may_stay { 403 } else { 404 });
        api.remove_hook(&hook_name("acme"), hook_may_stay).await.unwrap();
        assert_eq!(api.hook(&hook_name("acme")).await.unwrap_err().code(), Some("not_found"));
        world.story.local.forge().clear_faults();
    }
}
