//! Tests how long bootstrap tokens and leases are valid.

use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_token_expires_and_lease_ends_with_its_attempt() {
    let (story, job) = Story::with_job().await;
    let bootstrap = task_variable(&story.wait_for_task(&job, 1).await, "PULLYARD_BOOTSTRAP");
    let (assignment, client) = story.claim(&job, "c1").await.unwrap();
    let start = async |attempt: u32, claim: &str| {
        let body = json!({ "claim_id": claim, "instance": "i" }).to_string().into_bytes();
        let path = format!("/v1/jobs/{job}/attempts/{attempt}/start");
        let (status, _, body) = story.request(Method::POST, &path, Some(&bootstrap), body).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    for other in [0, 2] {
        assert_eq!(start(other, "c1").await, (401, "not_signed_in".into()), "attempt {other}");
    }
    assert_eq!(start(1, "c2").await, (409, "lease_lost".into()));
    assert_eq!(start(1, "c1").await.0, 200, "the repeated claim is refused");
    let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
    client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
    for endpoint in ["credentials", "events", "status"] {
        let body = match endpoint {
            "credentials" => json!({}),
            "events" => json!({ "first_seq": 1, "events": [] }),
            _ => json!({ "status": "executing" }),
        };
        let path = format!("/v1/jobs/{job}/attempts/1/{endpoint}");
        let body = body.to_string().into_bytes();
        let (status, _, problem) = story.request(Method::POST, &path, Some(&assignment.lease), body).await;
        assert_eq!((status, &problem["code"]), (409, &json!("lease_lost")), "{endpoint}: {problem}");
    }
    assert_eq!(start(1, "c1").await, (409, "lease_lost".into()));
    story.clock.advance(Duration::from_secs(601));
    assert_eq!(start(1, "c1").await, (401, "not_signed_in".into()));
}
