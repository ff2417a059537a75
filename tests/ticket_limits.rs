//! Tests the limits of a ticket's life: at the limit no job starts until a raise, and its failure names the limit.

use crate::prelude::*;
use pullyard_protocol::client::Error;
use pullyard_protocol::ticket::RaiseLimit;

const DOLLAR: u64 = 1_000_000;

/// Two dollars and two jobs; a job that changes files reserves one dollar and leaves one.
async fn limited_story() -> (Story, User) {
    let (story, user) = Story::with_user().await;
    story
        .update_settings(|settings| {
            settings.budget.usd_micros_per_job = DOLLAR;
            (settings.limits.ticket_usd_micros, settings.limits.ticket_jobs) = (Some(2 * DOLLAR), Some(3));
        })
        .await;
    (story, user)
}

async fn fail_job(story: &Story, job: &JobId, usd: u64, failure: Failure) -> Job {
    let (assignment, attempt) = story.claim(job, "c1").await.unwrap();
    assert!(assignment.limits.cost_usd_micros.is_some());
    enter_phases(&attempt, Phase::Executing).await;
    let finish = FinishRequest { spent_usd_micros: Some(usd * DOLLAR), failure: Some(failure), ..failed_finish("f1") };
    attempt.finish(&finish).await.unwrap();
    story.wait_for_settled_ticket("APP-1").await;
    story.api.job(job).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn spent_ticket_starts_a_job_only_after_a_raise() {
    let (story, user) = limited_story().await;
    let first = story.create_job("e1", "APP-1", 1).await;
    let cost = Failure::CostLimit { spent: "$2.00".into(), limit: "$1.00".into() };
    let ended = fail_job(&story, &first, 2, cost).await;
    assert_eq!(ended.failure.unwrap().code, "ticket_limit");

    let refused = story.send_ticket_event("e2", "APP-1", TRIGGER, 2).await;
    assert_eq!((refused.code.as_str(), refused.job), ("ticket_limit", None));
    assert_eq!(refused.sentence, "APP-1 has used $2.00 of $2.00 in 1 job.");
    assert_eq!(refused.help, "Raise the limit: `pullyard tickets raise APP-1 --usd 20`.");
    user.run(&["jobs", "create", "--ticket", "APP-1"]).await.assert_exit(3, "$2.00 of $2.00");

    let raised = user.ok(&["tickets", "raise", "APP-1", "--usd", "2", "--idempotency-key", "k1"]).await;
    assert_eq!(raised, "APP-1: $2.00 of $4.00, 1 of 3 jobs, 1 attempt.\n");
    // A repeat raises nothing.
    assert_eq!(user.ok(&["tickets", "raise", "APP-1", "--usd", "2", "--idempotency-key", "k1"]).await, raised);
    user.ok(&["jobs", "create", "--ticket", "APP-1"]).await;
    assert_eq!(story.jobs().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn raise_with_start_starts_the_refused_job() {
    let (story, user) = limited_story().await;
    let first = story.create_job("e1", "APP-1", 1).await;
    let cost = Failure::CostLimit { spent: "$2.00".into(), limit: "$1.00".into() };
    fail_job(&story, &first, 2, cost.clone()).await;
    // The start fails after the raise.
    let jobs = ["tickets", "raise", "APP-1", "--jobs", "1", "--start", "--idempotency-key", "k0"];
    let refused = user.run(&jobs).await;
    refused.assert_exit(3, "The limit is raised. Repeat the command with `--idempotency-key k0`");
    let start = async |usd: &str, key: &str| {
        user.run(&["tickets", "raise", "APP-1", "--usd", usd, "--start", "--idempotency-key", key]).await
    };
    let started = start("2", "k1").await;
    assert_eq!(started.code, 0, "{started:?}");
    let jobs = story.jobs().await;
    let retry = &jobs.iter().find(|job| job.id != first).unwrap().id;
    let retried = story.api.job(retry).await.unwrap().retry_of;
    assert_eq!((jobs.len(), retried), (2, Some(first)), "the limit stopped the first job");
    assert!(started.out.ends_with(&format!("{retry}\n")), "{}", started.out);
    // A repeat raises nothing and starts nothing.
    assert_eq!(start("2", "k1").await.code, 0);
    assert_eq!(story.jobs().await.len(), 2);
    assert_eq!(start("3", "k1").await.code, 1, "the key belongs to another raise");
    assert_eq!(story.jobs().await.len(), 2);
    // Also after the end of the job that it started.
    fail_job(&story, retry, 2, cost).await;
    let late = start("2", "k1").await;
    assert_eq!((late.code, story.jobs().await.len()), (0, 2), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_raises_are_refused_and_change_nothing() {
    let (story, user) = limited_story().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    for (arguments, fault) in [
        (&["--usd", "0"][..], "at least $0.01"),
        (&["--usd=-5"], "use dollars"),
        (&["--usd", "1", "--for", "99d"], "at most 30 days"),
        (&[], "required"),
    ] {
        let output = user.run(&[&["tickets", "raise", "APP-1"][..], arguments].concat()).await;
        output.assert_exit(2, fault);
    }
    user.run(&["tickets", "raise", "APP-9", "--usd", "1"]).await.assert_exit(5, "APP-9");
    // All raises of the scope `jobs` together at most double the limit.
    let limited = story.create_token(&[pullyard_store::Scope::Jobs], None).await;
    let api = ApiClient::new(story.local.api_url(), &limited).unwrap();
    let (project, key) = (&story.project, "APP-1".parse().unwrap());
    let raise = async |usd: u64| {
        let raise = RaiseLimit { usd_micros: usd * DOLLAR, jobs: 0, for_secs: 60 };
        api.raise_ticket(project, &key, &raise, None).await
    };
    assert_eq!(raise(2).await.unwrap().limit_usd_micros, Some(4 * DOLLAR));
    let Err(Error::Problem(problem)) = raise(1).await else { panic!("the limit is doubled already") };
    assert_eq!(problem.code, "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_raises_the_limit_by_its_first_line() {
    let (story, user) = limited_story().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let comment = async |text: &str| user.run(&["tickets", "comment", "APP-1", text]).await;
    comment("/pullyard raise 99d").await.assert_exit(2, "use dollars");
    assert_eq!(comment("Please\n/pullyard raise 20").await.code, 0);
    assert_eq!(comment("/pullyard raise 1").await.code, 0);
    let raised = user.ok(&["tickets", "raise", "APP-1", "--jobs", "1"]).await;
    assert_eq!(raised, "APP-1: $0.00 of $3.00, 0 of 4 jobs, 0 attempts.\n");
    let comments = user.json(&["tickets", "comments", "list", "APP-1"]).await;
    assert_eq!(comments["comments"].as_array().unwrap().len(), 2);
}
