//! Tests expired and revoked API tokens, bootstrap tokens and leases.

use crate::story::{Story, told};
use pullyard_store::{Scope, Write};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn expired_or_revoked_token_is_refused_at_once() {
    let story = Story::waiting().await;
    let store = story.store().await;
    let ask = async |token: &str| {
        let (status, _, body) = story.raw(Method::GET, "/v1/projects/acme", Some(token), Vec::new()).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let mut expiring = pullyard_entry::auth::stored_token("pat_expiring", "t", [Scope::Read].into(), None);
    expiring.expires_at = Some(story.clock.now().plus(Duration::from_secs(600)));
    assert_eq!(store.put_token(&expiring).await.unwrap(), Write::Applied);
    assert_eq!(ask("pat_expiring").await.0, 200);
    story.clock.advance(Duration::from_secs(601));
    assert_eq!(ask("pat_expiring").await, (401, "not_signed_in".into()));

    let token = story.token(&[Scope::Read], None).await;
    assert_eq!(ask(&token).await.0, 200);
    let id = pullyard_domain::id::TokenId::from_hash(&pullyard_entry::auth::hash_of(&token));
    story.api.revoke_token(&id).await.unwrap();
    assert_eq!(ask(&token).await, (401, "not_signed_in".into()));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_token_expires_and_lease_ends_with_its_attempt() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let bootstrap = told(&story.task_of(&job, 1).await, "PULLYARD_BOOTSTRAP");
    let (assignment, client) = story.claim(&job, "c1").await.unwrap();
    let start = async |claim: &str| {
        let body = json!({ "claim_id": claim, "instance": "i" }).to_string().into_bytes();
        let path = format!("/v1/jobs/{job}/attempts/1/start");
        let (status, _, body) = story.raw(Method::POST, &path, Some(&bootstrap), body).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(start("c2").await, (409, "lease_lost".into()));
    assert_eq!(start("c1").await.0, 200, "the repeated claim is refused");
    let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
    client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
    for what in ["credentials", "events", "status"] {
        let body = match what {
            "credentials" => json!({}),
            "events" => json!({ "first_seq": 1, "events": [] }),
            _ => json!({ "status": "executing" }),
        };
        let path = format!("/v1/jobs/{job}/attempts/1/{what}");
        let body = body.to_string().into_bytes();
        let (status, _, said) = story.raw(Method::POST, &path, Some(&assignment.lease), body).await;
        assert_eq!((status, &said["code"]), (409, &json!("lease_lost")), "{what}: {said}");
    }
    story.clock.advance(Duration::from_secs(30 * 24 * 3_600));
    assert_eq!(start("c1").await, (401, "not_signed_in".into()));
    story.end().await;
}
