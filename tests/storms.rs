//! Tests many concurrent deliveries of one review.
//!
//! `PULLYARD_STORM=1000` sends a thousand, and prints the row of docs/capacity.md.

use crate::story::REPOSITORY;
use crate::webhooks::{ANNS_TOKEN, SECRET, World, signature};
use futures::StreamExt as _;
use pullyard_domain::id::{DeliveryId, IntegrationId, ReviewId};
use pullyard_domain::pull_request::PullRequestId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const EVENT: &str = "pull_request_review";
const CONCURRENCY: usize = 100;

/// Counts the answered codes. Every answer must be a decision with a code.
fn count_codes(answers: &[(u16, Value)]) -> BTreeMap<String, usize> {
    let mut codes = BTreeMap::new();
    for (status, said) in answers {
        assert!((200..300).contains(status), "{status} {said}");
        let code = said["code"].as_str().unwrap_or_else(|| panic!("no code: {said}"));
        *codes.entry(code.to_owned()).or_default() += 1;
    }
    codes
}

/// Sends the body concurrently as `count` deliveries.
async fn send_storm(world: &World, body: &str, count: usize) -> Vec<(u16, Value)> {
    let since = Instant::now();
    let sent = futures::stream::iter(0..count).map(|n| async move {
        let signature = signature(SECRET, body.as_bytes());
        let began = Instant::now();
        let answer = world.send_as("acme", EVENT, &format!("guid-{n}"), &signature, body.into()).await;
        (answer, began.elapsed())
    });
    let (answers, mut took): (Vec<_>, Vec<_>) =
        sent.buffer_unordered(CONCURRENCY).collect::<Vec<_>>().await.into_iter().unzip();
    took.sort();
    let part = |share: usize| took.get(count * share / 100).unwrap_or(&Duration::ZERO).as_secs_f64();
    let (last, slowest) = (since.elapsed().as_secs_f64(), took.last().unwrap_or(&Duration::ZERO).as_secs_f64());
    let codes = count_codes(&answers).into_iter().map(|(code, times)| format!("{times} `{code}`")).collect::<Vec<_>>();
    println!(
        "\n| storm: {count} deliveries of one review, {CONCURRENCY} at once | the last answer after {last:.1} s; one took p50 {:.1} s, p99 {:.1} s, at most {slowest:.1} s | {} |",
        part(50),
        part(99),
        codes.join(", ")
    );
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn storm_of_one_review_makes_one_job_and_named_decisions() {
    let count = std::env::var("PULLYARD_STORM").map_or(100, |count| count.parse().unwrap());
    let world = World::new().await;
    world.install_by_hand("acme").await;
    let id = request_changes(&world).await;
    let body = world.review(id, "submitted", "changes_requested").to_string();
    let answers = send_storm(&world, &body, count).await;
    let codes = count_codes(&answers);
    let again: usize = ["repeat", "duplicate_review", "queued"].iter().filter_map(|code| codes.get(*code)).sum();
    assert_eq!((codes.get("accepted"), again), (Some(&1), count - 1), "{codes:?}");
    world.story.wait_for_empty_queues().await;
    let jobs = world.revisions().await;
    assert_eq!(jobs.len(), 1);
    let integration = IntegrationId::new("gh1").unwrap();
    let pull = PullRequestId { integration, repository: world.repository, number: world.number };
    let delivery = DeliveryId::for_review(&world.story.project, &pull, &ReviewId::new(id.to_string()).unwrap());
    let entry = world.story.api.delivery(&delivery).await.unwrap();
    assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&jobs[0].id)));
}

async fn request_changes(world: &World) -> u64 {
    let forge = world.story.local.forge().api_url();
    let url = format!("{forge}/repos/{REPOSITORY}/pulls/{}/reviews", world.number);
    let body = json!({ "event": "REQUEST_CHANGES", "body": "Not yet." }).to_string();
    let answer = reqwest::Client::new().post(url).bearer_auth(ANNS_TOKEN).body(body).send().await.unwrap();
    let made: Value = answer.error_for_status().unwrap().json().await.unwrap();
    made["id"].as_u64().unwrap()
}
