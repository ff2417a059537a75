//! Tests many concurrent deliveries while jobs are created, run and end.
//!
//! `PULLYARD_STORM=1000` sends a thousand deliveries of one review. Each storm prints its row of docs/capacity.md.

use crate::prelude::*;
use crate::webhooks::{ANNS_TOKEN, BRANCH, SECRET, World, signature};
use futures::StreamExt as _;
use pullyard_protocol::attempt::{FinishPullRequest, FinishResult};
use pullyard_protocol::delivery::Delivery;
use std::sync::atomic::{AtomicUsize, Ordering};

const EVENT: &str = "pull_request_review";
const CONCURRENCY: usize = 100;

fn requested_size() -> Option<usize> {
    std::env::var("PULLYARD_STORM").ok().map(|count| count.parse().unwrap())
}

fn count_codes(answers: &[(u16, Value)]) -> BTreeMap<String, usize> {
    let mut codes = BTreeMap::new();
    for (status, response) in answers {
        assert!((200..300).contains(status), "{status} {response}");
        let code = response["code"].as_str().unwrap_or_else(|| panic!("no code: {response}"));
        *codes.entry(code.to_owned()).or_default() += 1;
    }
    codes
}

const MAX_REDELIVERIES: usize = 5;

struct Storm {
    answers: Vec<(u16, Value)>,
    redelivered: usize,
}

/// Sends all deliveries. After a 503, sends the delivery again with the same id, as a forge does.
async fn send_storm(world: &World, bodies: Vec<String>, answered: impl Fn()) -> Storm {
    let since = Instant::now();
    let count = bodies.len();
    let of = match bodies.iter().collect::<BTreeSet<_>>().len() {
        1 => "one review".to_owned(),
        reviews => format!("{reviews} reviews"),
    };
    let answered = &answered;
    let redelivered = AtomicUsize::new(0);
    let count_redelivery = || redelivered.fetch_add(1, Ordering::Relaxed);
    let sent = futures::stream::iter(bodies.into_iter().enumerate()).map(|(n, body)| async move {
        let signature = signature(SECRET, body.as_bytes());
        let (began, delivery) = (Instant::now(), format!("guid-{n}"));
        let send = || world.send_as("acme", EVENT, &delivery, &signature, body.clone().into_bytes());
        let mut answer = send().await;
        for _ in 0..MAX_REDELIVERIES {
            if answer.0 == 503 {
                count_redelivery();
                answer = send().await;
            }
        }
        answered();
        (answer, began.elapsed())
    });
    let (answers, mut took): (Vec<_>, Vec<_>) =
        sent.buffer_unordered(CONCURRENCY).collect::<Vec<_>>().await.into_iter().unzip();
    took.sort();
    let part = |share: usize| took.get(count * share / 100).unwrap_or(&Duration::ZERO).as_secs_f64();
    let (last, slowest) = (since.elapsed().as_secs_f64(), took.last().unwrap_or(&Duration::ZERO).as_secs_f64());
    let codes = count_codes(&answers).into_iter().map(|(code, times)| format!("{times} `{code}`")).collect::<Vec<_>>();
    println!(
        "\n| storm: {count} deliveries of {of}, {CONCURRENCY} at once | the last answer after {last:.1} s; one took p50 {:.1} s, p99 {:.1} s, at most {slowest:.1} s | {} |",
        part(50),
        part(99),
        codes.join(", ")
    );
    Storm { answers, redelivered: redelivered.into_inner() }
}

#[tokio::test(flavor = "multi_thread")]
async fn storm_of_one_review_makes_one_job_and_named_decisions() {
    let count = requested_size().unwrap_or(100);
    let world = World::with_hook().await;
    let id = request_changes(&world, 0).await;
    let body = world.review(id, "submitted", "changes_requested").to_string();
    let storm = send_storm(&world, vec![body; count], || {}).await;
    let codes = count_codes(&storm.answers);
    let again: usize = ["repeat", "duplicate_review", "queued"].iter().filter_map(|code| codes.get(*code)).sum();
    let accepted = codes.get("accepted").copied().unwrap_or_default();
    // The delivery that was accepted may be the one whose answer was lost.
    let is_lost = accepted == 0 && storm.redelivered > 0;
    assert!((accepted == 1 || is_lost) && accepted + again == count, "{codes:?}");
    world.story.wait_for_empty_queues().await;
    let jobs = world.story.revisions().await;
    assert_eq!(jobs.len(), 1);
    let entry = ledger_entry(&world, id).await;
    assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&jobs[0].id)));
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum JobEnd {
    Completes,
    Fails,
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_during_a_completing_job_share_one_later_job() {
    check_storm_during_job_end(JobEnd::Completes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_during_a_failing_job_are_refused() {
    check_storm_during_job_end(JobEnd::Fails).await;
}

/// Sends each review twice; the job ends when half of the answers have arrived.
async fn check_storm_during_job_end(end: JobEnd) {
    let count = if requested_size().is_some() { 60 } else { 24 };
    let world = World::with_hook().await;
    let story = &world.story;
    let first = request_changes(&world, 0).await;
    let body = world.review(first, "submitted", "changes_requested");
    let (_, response) = world.send("acme", EVENT, &body).await;
    assert_eq!(response["code"], "accepted", "{response}");
    let running = JobId::new(response["job"].as_str().unwrap()).unwrap();
    let (_, client) = story.claim(&running, "c1").await.unwrap();
    enter_phases(&client, Phase::Syncing).await;

    let reviews: Vec<u64> =
        futures::stream::iter(1..=count).map(|n| request_changes(&world, n)).buffer_unordered(4).collect().await;
    let told_twice = reviews.iter().flat_map(|id| [*id, *id]);
    let bodies = told_twice.map(|id| world.review(id, "submitted", "changes_requested").to_string()).collect();
    let answers = AtomicUsize::new(0);
    let count_one = || {
        answers.fetch_add(1, Ordering::Relaxed);
    };
    let (responses, ()) = tokio::join!(send_storm(&world, bodies, count_one), async {
        wait_until("half of the storm is over", async || match answers.load(Ordering::Relaxed) {
            few if few < count => Err(format!("{few} answers")),
            _ => Ok(()),
        })
        .await;
        finish_job(&world, &client, end).await;
    },);
    count_codes(&responses.answers);
    story.wait_for_empty_queues().await;
    match end {
        JobEnd::Completes => {
            story.wait_for_job(&running, has_status(JobStatus::Completed)).await;
            assert_eq!(world.story.revisions().await.len(), 1, "the hour is not over yet");
            story.advance_and_sweep(Duration::from_secs(3_600)).await;
            let next = wait_until("they get their job", async || {
                let jobs = world.story.revisions().await;
                jobs.iter()
                    .find(|job| job.id != running)
                    .map(|job| job.id.clone())
                    .ok_or(format!("{} jobs", jobs.len()))
            })
            .await;
            story.wait_for_empty_queues().await;
            for review in &reviews {
                let entry = ledger_entry(&world, *review).await;
                assert_eq!((entry.job.as_ref(), entry.verdict), (Some(&next), Verdict::Held), "{entry:?}");
            }
            for review in &reviews {
                let again = world.review(*review, "submitted", "changes_requested");
                assert_eq!(world.send("acme", EVENT, &again).await.0, 200, "a later repeat of {review}");
            }
            let (assignment, _) = story.claim(&next, "c2").await.unwrap();
            for n in 1..=count {
                assert!(assignment.prompt.contains(&review_text(n)), "the prompt lacks review {n}");
            }
        }
        JobEnd::Fails => {
            for review in &reviews {
                let entry = wait_until("it has its last answer", async || {
                    let entry = ledger_entry(&world, *review).await;
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
            story.advance_and_sweep(Duration::from_secs(3_600)).await;
            story.wait_for_empty_queues().await;
        }
    }
    assert_eq!(ledger_entry(&world, first).await.job, Some(running));
    assert_eq!(world.story.revisions().await.len(), if end == JobEnd::Completes { 2 } else { 1 });
}

fn review_text(n: usize) -> String {
    format!("Not yet, for reason {n}.")
}

async fn request_changes(world: &World, n: usize) -> u64 {
    let forge = world.story.local.forge().api_url();
    let url = format!("{forge}/repos/{REPOSITORY}/pulls/{}/reviews", world.number);
    let body = json!({ "event": "REQUEST_CHANGES", "body": review_text(n) }).to_string();
    let answer = reqwest::Client::new().post(url).bearer_auth(ANNS_TOKEN).body(body).send().await.unwrap();
    let review: Value = answer.error_for_status().unwrap().json().await.unwrap();
    review["id"].as_u64().unwrap()
}

async fn ledger_entry(world: &World, review: u64) -> Delivery {
    let integration = IntegrationId::new("gh1").unwrap();
    let id = PullRequestId { integration, repository: world.repository, number: world.number };
    let review = ReviewId::new(review.to_string()).unwrap();
    world.story.api.delivery(&DeliveryId::for_review(&world.story.project, &id, &review)).await.unwrap()
}

async fn finish_job(world: &World, client: &AttemptClient, end: JobEnd) {
    let (outcome, failure, result) = match end {
        JobEnd::Fails => (FinishOutcome::Failed, Some(no_changes()), None),
        JobEnd::Completes => {
            let url = format!("https://forge.test/{REPOSITORY}/pull/{}", world.number);
            let result = FinishResult {
                branch: BRANCH.into(),
                head: "a".repeat(40),
                pull_request: Some(FinishPullRequest { number: world.number, url }),
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
        .finish(&FinishRequest {
            finish_id,
            outcome,
            failure,
            result,
            output: None,
            spent_usd_micros: None,
            work: None,
        })
        .await
        .unwrap();
}
