//! Tests many concurrent deliveries while jobs are created, run and end.
//!
//! `PULLYARD_STORM=1000` sends a thousand deliveries of one review. Each storm prints its row of docs/capacity.md.

use crate::story::{REPOSITORY, begin_all, is, until};
use crate::webhooks::{ANNS_TOKEN, BRANCH, SECRET, World, signed};
use futures::StreamExt as _;
use pullyard_domain::decision::Verdict;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{DeliveryId, FinishId, IntegrationId, JobId, ReviewId};
use pullyard_domain::job::JobStatus;
use pullyard_domain::pull_request::PullRequestId;
use pullyard_protocol::attempt::{FinishOutcome, FinishPullRequest, FinishRequest, FinishResult, Phase};
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::delivery::Delivery;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const EVENT: &str = "pull_request_review";
const AT_ONCE: usize = 100;

fn large() -> Option<usize> {
    std::env::var("PULLYARD_STORM").ok().map(|count| count.parse().unwrap())
}

/// Counts the answered codes. Every answer must be a decision with a code.
fn counted(answers: &[(u16, Value)]) -> BTreeMap<String, usize> {
    let mut codes = BTreeMap::new();
    for (status, said) in answers {
        assert!((200..300).contains(status), "{status} {said}");
        let code = said["code"].as_str().unwrap_or_else(|| panic!("no code: {said}"));
        *codes.entry(code.to_owned()).or_default() += 1;
    }
    codes
}

/// Sends all bodies concurrently as separate deliveries; `answered` runs after each answer.
async fn storm(world: &World, bodies: Vec<String>, answered: impl Fn()) -> Vec<(u16, Value)> {
    let since = Instant::now();
    let count = bodies.len();
    let of = match bodies.iter().collect::<BTreeSet<_>>().len() {
        1 => "one review".to_owned(),
        reviews => format!("{reviews} reviews"),
    };
    let answered = &answered;
    let sent = futures::stream::iter(bodies.into_iter().enumerate()).map(|(n, body)| async move {
        let signature = signed(SECRET, body.as_bytes());
        let began = Instant::now();
        let answer = world.send_as("acme", EVENT, &format!("guid-{n}"), &signature, body.into_bytes()).await;
        answered();
        (answer, began.elapsed())
    });
    let (answers, mut took): (Vec<_>, Vec<_>) =
        sent.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().unzip();
    took.sort();
    let part = |share: usize| took.get(count * share / 100).unwrap_or(&Duration::ZERO).as_secs_f64();
    let (last, slowest) = (since.elapsed().as_secs_f64(), took.last().unwrap_or(&Duration::ZERO).as_secs_f64());
    let codes = counted(&answers).into_iter().map(|(code, times)| format!("{times} `{code}`")).collect::<Vec<_>>();
    println!(
        "\n| storm: {count} deliveries of {of}, {AT_ONCE} at once | the last answer after {last:.1} s; one took p50 {:.1} s, p99 {:.1} s, at most {slowest:.1} s | {} |",
        part(50),
        part(99),
        codes.join(", ")
    );
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn storm_of_one_review_makes_one_job_and_named_decisions() {
    let count = large().unwrap_or(100);
    let world = World::make().await;
    world.by_hand("acme").await;
    let id = asked_for(&world, 0).await;
    let body = world.review(id, "submitted", "changes_requested").to_string();
    let answers = storm(&world, vec![body; count], || {}).await;
    let codes = counted(&answers);
    let again: usize = ["repeat", "duplicate_review", "queued"].iter().filter_map(|code| codes.get(*code)).sum();
    assert_eq!((codes.get("accepted"), again), (Some(&1), count - 1), "{codes:?}");
    world.story.quiet().await;
    let jobs = world.revisions().await;
    assert_eq!(jobs.len(), 1);
    let entry = entry(&world, id).await;
    assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&jobs[0].id)));
    world.story.end().await;
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Completes,
    Fails,
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_during_a_completing_job_share_one_later_job() {
    while_a_job_ends(End::Completes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_during_a_failing_job_are_refused() {
    while_a_job_ends(End::Fails).await;
}

/// Sends each review twice; the job ends when half of the answers have arrived.
async fn while_a_job_ends(end: End) {
    let count = if large().is_some() { 60 } else { 24 };
    let world = World::make().await;
    world.by_hand("acme").await;
    let story = &world.story;
    let first = asked_for(&world, 0).await;
    let body = world.review(first, "submitted", "changes_requested");
    let (_, said) = world.send("acme", EVENT, &body).await;
    assert_eq!(said["code"], "accepted", "{said}");
    let running = JobId::new(said["job"].as_str().unwrap()).unwrap();
    let (_, client) = story.claim(&running, "c1").await.unwrap();
    begin_all(&client, Phase::Syncing).await;

    let reviews: Vec<u64> =
        futures::stream::iter(1..=count).map(|n| asked_for(&world, n)).buffer_unordered(4).collect().await;
    let told_twice = reviews.iter().flat_map(|id| [*id, *id]);
    let bodies = told_twice.map(|id| world.review(id, "submitted", "changes_requested").to_string()).collect();
    let answers = AtomicUsize::new(0);
    let count_one = || {
        answers.fetch_add(1, Ordering::Relaxed);
    };
    let (told, ()) = tokio::join!(storm(&world, bodies, count_one), async {
        until("half of the storm is over", async || match answers.load(Ordering::Relaxed) {
            few if few < count => Err(format!("{few} answers")),
            _ => Ok(()),
        })
        .await;
        finish(&world, &client, end).await;
    },);
    counted(&told);
    story.quiet().await;
    match end {
        End::Completes => {
            story.job_until(&running, is(JobStatus::Completed)).await;
            assert_eq!(world.revisions().await.len(), 1, "the hour is not over yet");
            story.pass(Duration::from_secs(3_600)).await;
            let next = until("they get their job", async || {
                let jobs = world.revisions().await;
                jobs.iter()
                    .find(|job| job.id != running)
                    .map(|job| job.id.clone())
                    .ok_or(format!("{} jobs", jobs.len()))
            })
            .await;
            story.quiet().await;
            for review in &reviews {
                let entry = entry(&world, *review).await;
                assert_eq!((entry.job.as_ref(), entry.verdict), (Some(&next), Verdict::Held), "{entry:?}");
            }
            let (assignment, _) = story.claim(&next, "c2").await.unwrap();
            for n in 1..=count {
                assert!(assignment.prompt.contains(&words(n)), "the prompt lacks review {n}");
            }
        }
        End::Fails => {
            for review in &reviews {
                let entry = until("it has its last answer", async || {
                    let entry = entry(&world, *review).await;
                    if entry.verdict == Verdict::Refused { Ok(entry) } else { Err(format!("{entry:?}")) }
                })
                .await;
                assert_eq!(
                    (entry.code.as_str(), entry.job),
                    ("previous_job_not_completed", None),
                    "{}",
                    entry.sentence
                );
            }
            story.pass(Duration::from_secs(3_600)).await;
            story.quiet().await;
        }
    }
    assert_eq!(entry(&world, first).await.job, Some(running));
    assert_eq!(world.revisions().await.len(), if end == End::Completes { 2 } else { 1 });
    world.story.end().await;
}

fn words(n: usize) -> String {
    format!("Not yet, for reason {n}.")
}

/// Requests changes as Ann, without a webhook.
async fn asked_for(world: &World, n: usize) -> u64 {
    let forge = world.story.local.forge().api_url();
    let url = format!("{forge}/repos/{REPOSITORY}/pulls/{}/reviews", world.number);
    let body = json!({ "event": "REQUEST_CHANGES", "body": words(n) }).to_string();
    let answer = reqwest::Client::new().post(url).bearer_auth(ANNS_TOKEN).body(body).send().await.unwrap();
    let made: Value = answer.error_for_status().unwrap().json().await.unwrap();
    made["id"].as_u64().unwrap()
}

async fn entry(world: &World, review: u64) -> Delivery {
    let integration = IntegrationId::new("gh1").unwrap();
    let id = PullRequestId { integration, repository: world.repository, number: world.number };
    let review = ReviewId::new(review.to_string()).unwrap();
    world.story.api.delivery(&DeliveryId::for_review(&world.story.project, &id, &review)).await.unwrap()
}

async fn finish(world: &World, client: &AttemptClient, end: End) {
    let (outcome, failure, result) = match end {
        End::Fails => (FinishOutcome::Failed, Some(Failure::NoChanges {}), None),
        End::Completes => {
            let url = format!("https://forge.test/{REPOSITORY}/pull/{}", world.number);
            let result = FinishResult {
                branch: BRANCH.into(),
                head: "a".repeat(40),
                pull_request: FinishPullRequest { number: world.number, url },
                files: 1,
                insertions: 1,
                deletions: 1,
                replies: None,
            };
            (FinishOutcome::Completed, None, Some(result))
        }
    };
    let finish_id = FinishId::new("f1").unwrap();
    client
        .finish(&FinishRequest { finish_id, outcome, failure, result, spent_usd_micros: None, work: None })
        .await
        .unwrap();
}
