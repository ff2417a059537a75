//! Tests of polling: events at the forge whose webhook never arrived.

use super::{ANN, ANNS_TOKEN, World};
use crate::prelude::*;
use pullyard_domain::review::delivery::Source;

#[tokio::test(flavor = "multi_thread")]
async fn polling_finds_events_that_an_organization_hook_lost() {
    let world = World::new().await;
    let hook =
        InstallHook { repository: None, organisation: Some("acme".into()), ..world.install_request("acme", false) };
    world.story.api.install_hook(&hook).await.unwrap();
    let forge = world.story.local.forge();
    forge.wait_for_deliveries().await;
    forge.inject_delivery_fault(100, DeliveryFault::NotRecorded);
    let store = world.story.store().await;
    let integration = IntegrationId::new("gh1").unwrap();
    let id = PullRequestId { integration, repository: world.repository, number: world.number };
    let poll = async || {
        world.story.advance_and_sweep(Duration::from_secs(61)).await;
        world.story.wait_for_empty_queues().await;
    };
    for (state, expected) in [("closed", PullRequestState::Closed), ("open", PullRequestState::Open)] {
        world.story.call_forge(Method::PATCH, &format!("/pulls/{}", world.number), json!({ "state": state })).await;
        poll().await;
        assert_eq!(store.load_pull_request(&id).await.unwrap().unwrap().state, expected);
    }
    world.comment_at_forge(ANNS_TOKEN, "/pullyard revise use tabs").await;
    world.request_changes().await;
    poll().await;
    let ledger = world.story.api.deliveries(&world.story.project, None).await.unwrap().deliveries;
    assert_eq!(ledger.iter().filter(|entry| entry.source == Source::Poll).count(), 2, "{ledger:?}");
    assert_eq!(world.story.revisions().await.len(), 1, "the later review waits for the job");
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_without_a_hook_is_polled_every_minute() {
    let world = World::new().await;
    world.request_changes().await;
    world.story.advance_and_sweep(Duration::from_secs(61)).await;
    let job = world.story.wait_for_revision(1).await;
    world.story.wait_for_empty_queues().await;
    let ledger = world.story.api.deliveries(&world.story.project, None).await.unwrap().deliveries;
    let entry = ledger.iter().find(|entry| entry.job.as_ref() == Some(&job.id)).unwrap();
    assert_eq!(serde_json::to_value(entry.source).unwrap(), json!("poll"));
    let listed = world.story.api.ingresses(&world.story.project).await.unwrap().repositories;
    assert_eq!((listed[0].ingress, listed[0].problem.clone()), (Ingress::Poll, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn poll_ignores_a_request_followed_by_an_approval() {
    let world = World::new().await;
    let (forge, bens_token) = (world.story.local.forge(), "ghp_ben");
    let ben = pullyard_local::User { login: "ben".into(), id: ANN + 1, token: bens_token.into() };
    forge.add_user(ben, AccountKind::User).await.unwrap();
    forge.set_role(REPOSITORY, "ben", Role::Write).await.unwrap();
    let url = format!("{}/repos/{REPOSITORY}/pulls/{}/reviews", forge.api_url(), world.number);
    for (token, event) in [
        (bens_token, "REQUEST_CHANGES"),
        (ANNS_TOKEN, "REQUEST_CHANGES"),
        (ANNS_TOKEN, "APPROVE"),
        (bens_token, "COMMENT"),
    ] {
        let body = json!({ "event": event, "body": "Not yet." });
        let call = reqwest::Client::new().post(url.as_str()).bearer_auth(token).body(body.to_string());
        let answer = call.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{event}: {text}");
        // The forge's times have whole seconds.
        forge.advance(Duration::from_secs(2));
    }
    world.story.advance_and_sweep(Duration::from_secs(61)).await;
    world.story.wait_for_revision(1).await;
    world.story.wait_for_empty_queues().await;
    let ledger = world.story.api.deliveries(&world.story.project, None).await.unwrap().deliveries;
    let authors: Vec<_> =
        ledger.iter().filter_map(|entry| entry.review.as_ref()).map(|of| of.author.as_str()).collect();
    assert_eq!(authors, ["ben"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn poll_finds_a_reopened_pull_request() {
    let world = World::new().await;
    let store = world.story.store().await;
    let id = PullRequestId {
        integration: IntegrationId::new("gh1").unwrap(),
        repository: world.repository,
        number: world.number,
    };
    for (state, expected) in [("closed", PullRequestState::Closed), ("open", PullRequestState::Open)] {
        world.story.call_forge(Method::PATCH, &format!("/pulls/{}", world.number), json!({ "state": state })).await;
        world.story.advance_and_sweep(Duration::from_secs(61)).await;
        world.story.wait_for_empty_queues().await;
        assert_eq!(store.load_pull_request(&id).await.unwrap().unwrap().state, expected);
    }
    world.request_changes().await;
    world.story.advance_and_sweep(Duration::from_secs(61)).await;
    world.story.wait_for_revision(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poll_stores_the_new_name_of_a_renamed_repository() {
    let world = World::new().await;
    let forge = world.story.local.forge();
    forge.rename_repository(REPOSITORY, "acme/renamed", "pullyard-bot").await.unwrap();
    world.story.advance_and_sweep(Duration::from_secs(61)).await;
    world.story.wait_for_empty_queues().await;
    let known = world.story.api.repositories(&world.story.project).await.unwrap().repositories;
    assert_eq!((known.len(), known[0].name.as_str(), known[0].id), (1, "acme/renamed", world.repository));
    assert_eq!(known[0].clone_url, format!("{}/acme/renamed.git", forge.url()));
    let listed = world.story.api.ingresses(&world.story.project).await.unwrap().repositories;
    assert_eq!((listed[0].ingress, listed[0].problem.clone()), (Ingress::Poll, None));
    assert_eq!(listed[0].renamed_from.as_ref().map(RepositoryName::as_str), Some(REPOSITORY));
    // Tickets and requests may still use the old name.
    let request = json!({ "project": "acme", "prompt": "Do it.", "repository": REPOSITORY });
    world.story.api.create_job(&serde_json::from_value(request).unwrap(), None).await.unwrap();
}
